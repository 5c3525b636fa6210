import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { sha512 } from "./sha512.ts";

const openssl = (text: string): string => createHash("sha512").update(text).digest("hex");

it("is SHA-512 at every length around the blocks", () => {
  for (let length = 0; length < 300; length++) {
    const text = "podnic ".repeat(50).slice(0, length);
    expect(sha512(text)).toBe(openssl(text));
  }
});

it("is SHA-512 of any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (text) => {
      expect(sha512(text)).toBe(openssl(text));
    }),
  );
});
