import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import * as original from "yaml";
import { runs } from "../../src/testing/effort.ts";
import { cache, root } from "./paths.ts";
import { rewriteLexer, rewriteParser } from "./yaml.ts";

/** The package's modules, two of them rewritten. */
const source = join(root, "node_modules/yaml/browser/dist/parse");
const dir = mkdtempSync(join(cache, "yaml-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
for (const [file, rewrite] of [
  ["lexer.js", rewriteLexer],
  ["parser.js", rewriteParser],
  ["cst.js", (text: string) => text.replaceAll("'./cst-", `'${source}/cst-`)],
] as const) {
  writeFileSync(
    join(dir, file.replace(".js", ".mjs")),
    rewrite(readFileSync(join(source, file), "utf8")).replaceAll(/'\.\/(lexer|cst)\.js'/g, "'./$1.mjs'"),
  );
}
const { Lexer } = (await import(join(dir, "lexer.mjs"))) as typeof original;
const { Parser } = (await import(join(dir, "parser.mjs"))) as typeof original;

function same(text: string): void {
  expect([...new Lexer().lex(text)]).toEqual([...new original.Lexer().lex(text)]);
  expect([...new Parser().parse(text)]).toEqual([...new original.Parser().parse(text)]);
}

test("the rewritten reader of YAML reads what people write as the package does", () => {
  const broken = join(root, "src/cli/tests/broken");
  const corpus = join(root, "conformance/fuzz/corpus/yaml");
  for (const folder of [broken, corpus]) {
    for (const name of readdirSync(folder)) same(readFileSync(join(folder, name), "latin1"));
  }
});

test("and whatever is in a text", () => {
  const pieces = [
    "a",
    "b c",
    '"',
    "'",
    "\\",
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    "- ",
    "? ",
    ": ",
    "-",
    ":",
    ",",
    "[",
    "]",
    "{",
    "}",
  ];
  const more = [
    "|\n",
    ">-\n",
    "|2+\n",
    "# x",
    "#",
    "---",
    "--- ",
    "...",
    "&a ",
    "*a",
    "!t ",
    "!<x> ",
    "%TAG !a! b\n",
    "%",
    "\ufeff",
  ];
  const text = fc.array(fc.constantFrom(...pieces, ...more), { maxLength: 40 }).map((parts) => parts.join(""));
  fc.assert(fc.property(text, same), runs(20_000));
});
