import { expect, test } from "vitest";
import { installHost } from "./host/host.ts";
import { NodeHost } from "./host/node/host.ts";
import { jsonText } from "./json-text.ts";

installHost(new NodeHost());

test("no character that a terminal obeys, and the same value", () => {
  const value = { "key\u009b": "\u0000\u001b[31m\u007f\u0080\u009b2J\u009f\u2028\u2029é\u00a0€" };
  const text = jsonText(value, 2);
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
  expect(text).toContain("é\u00a0€");
  expect(JSON.parse(text)).toEqual(value);
});

test("what needs nothing is as JSON.stringify has it", () => {
  const value = { a: [1, "é", null], b: {} };
  expect(jsonText(value, 4)).toBe(JSON.stringify(value, undefined, 4));
});
