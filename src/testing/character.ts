// Any character of Unicode, for properties over texts. fast-check's own unit "binary" first makes a table of the million of them.
import fc from "fast-check";

const SURROGATES = 0xd800;
const BEHIND = 0xe000;

export const character: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: 0x10ffff - (BEHIND - SURROGATES) })
  .map((n) => String.fromCodePoint(n < SURROGATES ? n : n + BEHIND - SURROGATES), numberOf);

/** Throws when it is not a single character, as fast-check wants it. */
function numberOf(text: unknown): number {
  const code = typeof text === "string" ? (text.codePointAt(0) ?? SURROGATES) : SURROGATES;
  if (code >= SURROGATES && code < BEHIND) throw new Error("not a character");
  if (String.fromCodePoint(code) !== text) throw new Error("more than a character");
  return code < SURROGATES ? code : code - BEHIND + SURROGATES;
}
