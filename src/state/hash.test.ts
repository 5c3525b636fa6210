import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { character } from "../testing/character.ts";
import { runs } from "../testing/effort.ts";
import { sha256 } from "./hash.ts";
import { sha512 } from "./sha512.ts";

const openssl = (name: string, text: string): string => createHash(name).update(text).digest("hex");

test.each([
  ["sha256", sha256],
  ["sha512", sha512],
])("%s is OpenSSL's, at every length around the blocks and of any text", (name, ours) => {
  for (let length = 0; length < 300; length++) {
    const text = "podnic ".repeat(50).slice(0, length);
    expect(ours(text)).toBe(openssl(name, text));
  }
  const anything = fc.string({ unit: character, maxLength: 300 });
  fc.assert(
    fc.property(anything, (any) => {
      expect(ours(any)).toBe(openssl(name, any));
    }),
    runs(100),
  );
});
