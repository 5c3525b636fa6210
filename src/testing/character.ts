// Generates any character of Unicode, for properties of texts. fast-check's own unit "binary" first builds a table of all the million characters.
import fc from "fast-check";

const SURROGATES = 0xd800;
const BEHIND = 0xe000;

export const character: fc.Arbitrary<string> = fc
  .integer({ min: 0, max: 0x10ffff - (BEHIND - SURROGATES) })
  .map((n) => String.fromCodePoint(n < SURROGATES ? n : n + BEHIND - SURROGATES), numberOf);

/** Throws unless `text` is a single character, as fast-check requires. */
function numberOf(text: unknown): number {
  const code = typeof text === "string" ? (text.codePointAt(0) ?? SURROGATES) : SURROGATES;
  if (code >= SURROGATES && code < BEHIND) throw new Error("not a character");
  if (String.fromCodePoint(code) !== text) throw new Error("more than a character");
  return code < SURROGATES ? code : code - BEHIND + SURROGATES;
}
