// Maps positions in a JSON text inside a YAML string to positions in the file.
import type { Scalar } from "yaml";

const shortEscapes = 'abtnvfre "/\\N_LP';

/**
 * For each of the first `most` UTF-16 units of the scalar's value, the offset in `source`. YAML can fold and indent white space, but the other
 * characters have the same order in the value and in the source.
 */
export function offsetsOf(source: string, scalar: Scalar<string>, most = scalar.value.length): number[] {
  const { value, type } = scalar;
  let at = scalar.range?.[0] ?? 0;
  // Skip the header of a block, such as "|-  # comment".
  if (type === "BLOCK_LITERAL" || type === "BLOCK_FOLDED") at = source.indexOf("\n", at) + 1;
  if (type === "QUOTE_SINGLE" || type === "QUOTE_DOUBLE") at++;
  const offsets: number[] = [];
  for (const unit of value.slice(0, most).split("")) {
    if (!isSpace(unit)) at = skipTo(source, at, type === "QUOTE_DOUBLE");
    offsets.push(at);
    if (!isSpace(unit)) at += lengthAt(source, at, type);
  }
  offsets.push(at);
  return offsets;
}

function isSpace(unit: string): boolean {
  return " \t\n\r".includes(unit);
}

/** The offset of the next character that is not white space. In double quotes, \n and the like are also white space. */
function skipTo(source: string, at: number, escapes: boolean): number {
  while (at < source.length) {
    if (isSpace(source[at]!)) at++;
    else if (escapes && source[at] === "\\" && "ntr \n".includes(source[at + 1]!)) at += 2;
    else break;
  }
  return at;
}

/** The number of characters in the source that represent one character of the value. */
function lengthAt(source: string, at: number, type: Scalar["type"]): number {
  if (type === "QUOTE_SINGLE" && source[at] === "'") return 2;
  if (type !== "QUOTE_DOUBLE" || source[at] !== "\\") return 1;
  const letter = source[at + 1] ?? "";
  if (shortEscapes.includes(letter)) return 2;
  return 2 + ({ x: 2, u: 4, U: 8 }[letter] ?? 0);
}
