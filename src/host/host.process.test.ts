import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runs } from "../testing/effort.ts";
import { contract } from "../testing/host-contract.ts";
import { NodeHost } from "./node/host.ts";
import { decodeLossy } from "./utf8.ts";

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

test("broken UTF-8 becomes what TextDecoder makes of it", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const bytes = fc.oneof(
    fc.constantFrom(0x22, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
    fc.nat(255),
  );
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 12 }), (list) => {
      const data = new Uint8Array(list);
      expect(decodeLossy(data)).toBe(decoder.decode(data));
    }),
    runs(20_000),
  );
});
