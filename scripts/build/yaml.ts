// The package `yaml` is written for engines where a generator costs little and a part of a text is no copy. In QuickJS each token went
// through a handful of generators, and the work of its lexer grew with the square of a line's length, and of a file's with quotes.
// So its lexer and parser are rewritten while they are bundled (docs/decisions.md). Another version than was looked at fails the build.
import { readFileSync } from "node:fs";
import type { Plugin } from "esbuild";
import { BuildError } from "./paths.ts";

type Change = readonly [from: string, to: string, times: number];

/** Where the line ends, instead of a copy of the rest of it; and of a quoted text only its own characters. */
const LEXER: readonly Change[] = [
  [
    "const line = this.getLine();\n        if (line === null)",
    "const end = this.lineEnd();\n        if (end === -1)",
    2,
  ],
  [
    "    getLine() {",
    `    lineEnd() {
        let end = this.lineEndPos;
        if (typeof end !== 'number' || (end !== -1 && end < this.pos))
            end = this.lineEndPos = this.buffer.indexOf('\\n', this.pos);
        if (end === -1) return this.atEnd ? this.buffer.length : -1;
        return this.buffer[end - 1] === '\\r' ? end - 1 : end;
    }
    getLine() {`,
    1,
  ],
  ["switch (line[n]) {", "switch (this.pos < end ? this.buffer[this.pos] : undefined) {", 2],
  ["while (line[n] === ',') {", "while (this.buffer[this.pos] === ',') {", 1],
  ["yield* this.pushCount(line.length - n);\n", "yield* this.pushCount(end - this.pos);\n", 3],
  ["line[0] !== '#'", "this.buffer[this.pos] !== '#'", 1],
  ["(line.startsWith('---') || line.startsWith('...'))", "(this.peek(3) === '---' || this.peek(3) === '...')", 1],
  ["isEmpty(line[3])", "isEmpty(this.charAt(3))", 1],
  ["(line[0] === ']' || line[0] === '}')", "(this.charAt(0) === ']' || this.charAt(0) === '}')", 1],
  [
    "const qb = this.buffer.substring(0, end);",
    "const start = this.pos;\n        const qb = end === -1 ? '' : this.buffer.substring(start, end);",
    1,
  ],
  ["let nl = qb.indexOf('\\n', this.pos);", "let nl = qb.indexOf('\\n');", 1],
  [
    "const cs = this.continueScalar(nl + 1);\n                if (cs === -1)\n                    break;\n                nl = qb.indexOf('\\n', cs);",
    "const cs = this.continueScalar(start + nl + 1);\n                if (cs === -1)\n                    break;\n                nl = qb.indexOf('\\n', cs - start);",
    1,
  ],
  ["end = nl - (qb[nl - 1]", "end = start + nl - (qb[nl - 1]", 1],
];

/** Only the outermost generators stay: those that the package's users call. OUTER stands for their stars until the others are gone. */
const OUTER = "\u0001";
const LEXER_CALLS: readonly Change[] = [
  // A generator that nobody asks does nothing; a method would.
  ["            this.pushNewline();\n            return 'stream';", "            return 'stream';", 1],
  ["    *lex(", `    ${OUTER}lex(`, 1],
  ["next = yield* this.parseNext(next);", `{ this.out = []; next = this.parseNext(next); yield${OUTER} this.out; }`, 1],
];
const PARSER_CALLS: readonly Change[] = [
  ["    *parse(", `    ${OUTER}parse(`, 1],
  ["            yield* this.next(lexeme);\n", `            yield${OUTER} this.next(lexeme);\n`, 1],
  ["            yield* this.end();\n", `            yield${OUTER} this.end();\n`, 1],
  [
    "    *next(source) {",
    "    next(source) { this.out = []; this.take(source); return this.out; }\n    take(source) {",
    1,
  ],
  ["    *end() {", "    end() { this.out = []; this.popAll(); return this.out; }\n    popAll() {", 1],
];

/** Makes the changes; each must be possible as often as it says. */
function change(text: string, changes: readonly Change[]): string {
  return changes.reduce((before, [from, to, times]) => {
    const found = before.split(from).length - 1;
    if (found !== times) throw new BuildError(`yaml: ${found} and not ${times} times: ${from}`);
    return before.replaceAll(from, () => to);
  }, text);
}

/** Methods that put what they have into `this.out` instead of yielding it. */
function withoutGenerators(text: string): string {
  return text
    .replaceAll(/^ {4}\*(\w+\()/gm, "    $1")
    .replaceAll("yield* ", "")
    .replaceAll(/\byield ([^;]+);/g, "this.out.push($1);")
    .replaceAll(OUTER, "*");
}

export function rewriteLexer(text: string): string {
  return withoutGenerators(change(text, [...LEXER, ...LEXER_CALLS]));
}

export function rewriteParser(text: string): string {
  return withoutGenerators(change(text, PARSER_CALLS));
}

export const yaml: Plugin = {
  name: "yaml",
  setup(build) {
    build.onLoad({ filter: /\/node_modules\/yaml\/browser\/dist\/parse\/(lexer|parser)\.js$/ }, ({ path }) => {
      const rewrite = path.endsWith("lexer.js") ? rewriteLexer : rewriteParser;
      return { contents: rewrite(readFileSync(path, "utf8")) };
    });
  },
};
