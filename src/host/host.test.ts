import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contract } from "../testing/host-contract.ts";
import { errnoName, errnoOf, errnoText } from "./errno.ts";
import { NodeHost } from "./node/host.ts";
import { NUMBERS } from "./syscalls.ts";
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

function defined(header: string): Map<string, number> {
  const text = readFileSync(header, "utf8");
  const found = [...text.matchAll(/^#define\s+(?:__NR_|__NR3264_)?(\w+)\s+(\d+)/gm)];
  return new Map(found.map(([, name, value]) => [name!, Number(value)]));
}

test("system call numbers are those of the kernel's headers", () => {
  const x64 = defined("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  const arm64 = defined("/usr/include/asm-generic/unistd.h");
  for (const [name, numbers] of Object.entries(NUMBERS))
    expect([name, ...numbers]).toEqual([name, x64.get(name), arm64.get(name)]);
});

test("errno names are those of the kernel's headers", () => {
  const names = new Map([
    ...defined("/usr/include/asm-generic/errno-base.h"),
    ...defined("/usr/include/asm-generic/errno.h"),
  ]);
  const known = [...Array(200).keys()].filter((errno) => errnoName(errno) !== `E${errno}`);
  expect(known.length).toBeGreaterThan(60);
  for (const errno of known) {
    expect([errno, names.get(errnoName(errno))]).toEqual([errno, errno]);
    expect(errnoOf(errnoName(errno))).toBe(errno);
  }
  expect(errnoText(2)).toBe("no such file or directory");
  expect([errnoName(4000), errnoText(4000), errnoOf("ENONE")]).toEqual(["E4000", "error 4000", 0]);
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
    { numRuns: 20_000 },
  );
});
