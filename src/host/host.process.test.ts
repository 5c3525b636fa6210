import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runs } from "../testing/effort.ts";
import { contract } from "../testing/host-contract.ts";
import { NodeHost } from "./node/host.ts";
import { decodeLossy, decodeName, encodeName } from "./utf8.ts";

describe("Node host", () => {
  test.each(Object.keys(contract))("%s", (name) => {
    const dir = mkdtempSync(join(tmpdir(), "podnic-host-"));
    try {
      contract[name]!(new NodeHost(), dir);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

const bytes = fc.oneof(
  fc.constantFrom(0x22, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xb2, 0xb3, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
  fc.nat(255),
);

test("a name of any bytes is itself again, also after JSON, and no two are one text", () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 12 }), fc.string({ unit: "binary", maxLength: 12 }), (list, text) => {
      const name = decodeName(new Uint8Array(list));
      expect([...encodeName(name)]).toEqual(list);
      expect(JSON.parse(JSON.stringify(name))).toBe(name);
      const valid = new TextEncoder().encode(text);
      expect(decodeName(valid)).toBe(text);
      expect([...encodeName(text)]).toEqual([...valid]);
    }),
    runs(4_000),
  );
});

test("broken UTF-8 becomes what TextDecoder makes of it", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 12 }), (list) => {
      const data = new Uint8Array(list);
      expect(decodeLossy(data)).toBe(decoder.decode(data));
    }),
    runs(20_000),
  );
});
