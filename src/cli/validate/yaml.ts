// Parses YAML in bounded time and memory. The parser takes about 18 µs for each token or line, and calls itself once for each level. Its work
// grows with the square of the depth, and each level takes so much memory that 2,000 exhaust the heap. QuickJS copies substrings, and the
// lexer takes many. This file therefore counts levels, tokens and copied characters while it reads the tokens, before it parses them.
import { Composer, type Document, isScalar, Lexer, type Node, Parser, visit } from "yaml";

/** Maximum number of levels. A Kubernetes object has three or four, and a configuration in JSON not many more. */
export const DEEPEST = 100;
/**
 * Maximum number of tokens, plus the lines of multi-line strings. A line of YAML has about seven tokens, so this allows about 4,000 lines. A
 * network in kubectl's output has 30 to 60 lines.
 */
export const MOST_TOKENS = 30_000;
/** The cost of a document, in tokens. */
const DOCUMENT_TOKENS = 5;
/**
 * Maximum number of bytes that the lexer copies. For each token it copies the rest of the line, and for a quoted string everything before the
 * closing quote. For kubectl's output with 600 networks, it copies a quarter of this.
 */
const MOST_COPIED = 2_000_000_000;
/** The cost of a directive, in tokens. It is high, because each document gets a copy. Kubernetes objects have no directives. */
const DIRECTIVE_TOKENS = 1000;

/** The lexer returns this token before the text of a scalar, which can itself look like a bracket. */
const SCALAR = "\u001f";
/** Tokens that are not part of the text: the beginning of a document, an incomplete flow collection, and SCALAR. */
const DOCUMENT = "\u0002";
const MARKS = [DOCUMENT, "\u0018", SCALAR];

/** Why podnic does not parse a file, and the offset at which it detected this. */
export interface Refused {
  offset: number;
  reason: "deep" | "long" | "copied";
}

/** The documents of the file, unless it exceeds DEEPEST, MOST_TOKENS or MOST_COPIED. Accepts repeated keys; repeatedKey finds them. */
export function parseYaml(text: string): Document[] | Refused {
  const tokens: string[] = [];
  const depth = new Depth();
  // In a string with other characters, every character takes two bytes.
  const width = /[^\u0000-\u00ff]/.test(text) ? 2 : 1;
  let offset = 0;
  let lineEnd = -1;
  let weight = 0;
  let copied = 0;
  for (const token of new Lexer().lex(text)) {
    if (!MARKS.includes(token)) {
      const isText = tokens.at(-1) === SCALAR;
      if (depth.after(token, isText) > DEEPEST) return { offset, reason: "deep" };
      if (offset > lineEnd) lineEnd = ends(text, offset);
      copied += width * (lineEnd - offset + (token[0] === "'" || token[0] === '"' ? offset : 0));
      if (copied > MOST_COPIED) return { offset, reason: "copied" };
      offset += token.length;
    }
    weight += weightOf(token);
    if (weight > MOST_TOKENS) return { offset, reason: "long" };
    tokens.push(token);
  }
  const composer = new Composer({ prettyErrors: false, uniqueKeys: false });
  return [...composer.compose(parse(tokens))];
}

/** The end of the line that contains this offset. */
function ends(text: string, offset: number): number {
  const end = text.indexOf("\n", offset);
  return end < 0 ? text.length : end;
}

/** The cost of parsing a token, relative to an ordinary one. */
function weightOf(token: string): number {
  if (token === DOCUMENT || token === "---") return DOCUMENT_TOKENS;
  if (token[0] === "%") return DIRECTIVE_TOKENS;
  let weight = 1;
  if (token.length > 2) {
    for (let at = token.indexOf("\n"); at >= 0 && weight <= MOST_TOKENS; at = token.indexOf("\n", at + 1)) weight++;
  }
  return weight;
}

function* parse(tokens: string[]) {
  const parser = new Parser();
  for (const token of tokens) yield* parser.next(token);
  yield* parser.end();
}

/**
 * Estimates the parser's depth from the tokens. In block style, each column at which a list or map begins is a level, which ends with the
 * first line that begins further left. (A list can begin in the same column as its key, so a column can have two levels.) Inside brackets,
 * each bracket is a level, and also a second "-", "?" or ":" in one entry, which the parser treats as a level of its own.
 */
class Depth {
  #column = 0;
  /** The columns of the levels in block style. */
  #block: number[] = [];
  /** For each open bracket, the number of indicators in the current entry. */
  #flow: number[] = [];
  #indicators = 0;
  /** True if the next token can begin a level. */
  #opens = true;

  after(token: string, isText: boolean): number {
    const isIndicator = !isText && (token === "-" || token === "?" || token === ":");
    if (!isText && isBlank(token)) {
      if (token.endsWith("\n")) this.#opens = true;
    } else if (this.#flow.length > 0) {
      this.#inBrackets(token, isText, isIndicator);
    } else {
      if (this.#opens) this.#begin();
      const isProperty = !isText && (token[0] === "&" || token[0] === "!");
      this.#opens = isIndicator || isProperty || token === "---";
      if (!isText && (token === "[" || token === "{")) this.#flow.push(0);
    }
    const newline = token.lastIndexOf("\n");
    this.#column = newline < 0 ? this.#column + token.length : token.length - newline - 1;
    return Math.max(this.#block.length, this.#flow.length + this.#indicators);
  }

  #begin(): void {
    while ((this.#block.at(-1) ?? -1) > this.#column) this.#block.pop();
    if (this.#block.at(-1) !== this.#column) this.#block.push(this.#column);
  }

  #inBrackets(token: string, isText: boolean, isIndicator: boolean): void {
    const last = this.#flow.length - 1;
    if (isIndicator) {
      // The first indicator belongs to an ordinary pair, and adds no level.
      if (this.#flow[last]!++ > 0) this.#indicators++;
    } else if (isText) {
      return;
    } else if (token === "[" || token === "{") {
      this.#flow.push(0);
    } else if (token === "]" || token === "}" || token === ",") {
      this.#indicators -= Math.max(0, this.#flow[last]! - 1);
      this.#flow[last] = 0;
      if (token !== ",") this.#flow.pop();
    }
  }
}

/** Line ends, white space and comments. */
function isBlank(token: string): boolean {
  return token.trimStart() === "" || token[0] === "#";
}

/** The first repeated key of a map; undefined if there is none. */
export function repeatedKey(document: Document): Node | undefined {
  let found: Node | undefined;
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          found = key;
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return found;
}
