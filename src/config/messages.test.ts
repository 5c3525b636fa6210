import { expect, test } from "vitest";
import { problemOf } from "./messages.ts";

const said = (keyword: string, params: object, value: unknown): string =>
  problemOf({ keyword, params, instancePath: "/a", schemaPath: "" } as never, { a: value }).text;

test.each([
  ["minItems", 1, [], "a must not be an empty list (found an empty list)"],
  ["minItems", 2, [1], "a must have at least 2 entries (found a list with 1 entry)"],
  ["maxItems", 1, [1, 2], "a must have at most 1 entry (found a list with 2 entries)"],
  ["minLength", 1, "", 'a must not be empty (found "")'],
  ["minLength", 2, "b", 'a must have at least 2 characters (found "b")'],
  ["minimum", 4, 3, "a must be at least 4 (found 3)"],
  ["exclusiveMinimum", 3, 3, "a must be more than 3 (found 3)"],
  ["maximum", 4, 5, "a must be at most 4 (found 5)"],
  ["exclusiveMaximum", 5, 5, "a must be less than 5 (found 5)"],
])("%s %s", (keyword, limit, value, text) => {
  expect(said(keyword, { limit }, value)).toBe(text);
});
