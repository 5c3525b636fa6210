import fc from "fast-check";
import { expect, test } from "vitest";
import { runs } from "../testing/effort.ts";
import { findJsonError } from "./json-error.ts";

test.each([
  ["", 1, 1, "it is empty"],
  ['{"a":1', 1, 7, "ends inside an object"],
  ['{"a":[1,2', 1, 10, "ends inside a list"],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3, "a comma or a bracket is missing"],
  ['{"a":1,}', 1, 8, "there is a trailing comma before }"],
  ["[1,]", 1, 4, "there is an extra comma"],
  ['{"a" 1}', 1, 6, "the colon after the key"],
  ["{a:1}", 1, 2, "a key in double quotes"],
  ["{'a':1}", 1, 2, "a key in double quotes"],
  ["{\"a\":'x'}", 1, 6, "double quotes"],
  ['{"a":1} // x', 1, 9, "more text after the end"],
  ['{"a":/*x*/1}', 1, 6, "does not allow comments"],
  ['{"a":yes}', 1, 6, "not a JSON value"],
  ['{"a":01}', 1, 6, "not a JSON value"],
  ['{"a":"x}', 1, 6, "has no closing quote"],
  ['{"a":"x\ny"}', 1, 8, "control character"],
  ['{"a":"\\x"}', 1, 7, "escape sequence"],
  ["{}{}", 1, 3, "more text after the end"],
  ["{}\0", 1, 3, "more text after the end"],
  ["[}", 1, 2, "a value is missing"],
  ["\ufeff{}", 1, 1, "a byte order mark"],
])("%j", (text, line, column, what) => {
  expect(findJsonError(text)).toMatchObject({ line, column, text: expect.stringContaining(what) });
});

test("finds an error exactly where JSON.parse does", () => {
  const token = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    '"a"',
    '"',
    "1",
    "-1.5e3",
    "01",
    "true",
    "nul",
    " ",
    "\n",
    "\\",
    '"\\u00e9"',
    "'",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join("")),
        fc.json(),
      ),
      (text) => {
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }
        expect(findJsonError(text) === undefined).toBe(valid);
      },
    ),
    runs(5000),
  );
});

test("no nesting is too deep", () => {
  expect(findJsonError("[".repeat(1_000_000))).toMatchObject({ line: 1, column: 1_000_001 });
});
