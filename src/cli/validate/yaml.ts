// YAML in a time that grows with its length: the parser's own grows with the square of the depth, and of the keys of a map.
import { type Document, isScalar, Lexer, type Node, parseAllDocuments, visit } from "yaml";

/** Of brackets. An object of Kubernetes' has three or four, a configuration as one line of JSON not many more. */
export const DEEPEST = 100;

/** The lexer says so in front of a scalar's text, which may be no more than a bracket. */
const SCALAR = "\u001f";
/** Tokens that are no text of the file: a document begins, a flow collection was cut off, SCALAR. */
const MARKS = ["\u0002", "\u0018", SCALAR];

/** Offset of the bracket that goes deeper than DEEPEST; undefined when there is none. */
export function tooDeep(text: string): number | undefined {
  let depth = 0;
  let offset = 0;
  let before = "";
  for (const token of new Lexer().lex(text)) {
    if (before !== SCALAR) {
      if (token === "[" || token === "{") depth++;
      else if (token === "]" || token === "}") depth--;
    }
    if (depth > DEEPEST) return offset;
    if (!MARKS.includes(token)) offset += token.length;
    before = token;
  }
  return undefined;
}

/** None of them deeper than DEEPEST: see tooDeep. Keys may repeat: see repeatedKey. */
export function parseYaml(text: string): Document[] {
  const documents = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false });
  return "empty" in documents ? [] : documents;
}

/** The first key that its map has already; undefined when there is none. */
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
