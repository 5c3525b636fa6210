import { expect, test } from "vitest";
import { countMarks, hasTooManyKeys, isTooDeep } from "./json-limits.ts";

const keys = (count: number, key: (n: number) => string) =>
  `{${Array.from({ length: count }, (_, n) => `${key(n)} : 1`).join(",")}}`;

test("1,024 different keys, and not one more", () => {
  const key = (n: number) => JSON.stringify(`key "${n}" \\`);
  expect(hasTooManyKeys(keys(1024, key))).toBe(false);
  expect(hasTooManyKeys(keys(1025, key))).toBe(true);
});

test("equal keys count once, however many there are", () => {
  const route = '{"dst":"10.0.0.0/8","gw":"10.0.0.1"}';
  expect(hasTooManyKeys(`[${Array(20_000).fill(route).join()}]`)).toBe(false);
  expect(hasTooManyKeys(keys(60_000, (n) => `"key${n % 1024}"`))).toBe(false);
  expect(hasTooManyKeys(keys(60_000, (n) => `"key${n % 1025}"`))).toBe(true);
});

test("texts that are no keys do not count", () => {
  expect(hasTooManyKeys(JSON.stringify(Array.from({ length: 5000 }, (_, n) => `text":${n}`)))).toBe(false);
  // This text is not JSON, because it ends inside a key.
  expect(hasTooManyKeys(`${'"a",'.repeat(5000)}"b`)).toBe(false);
});

test("every key takes at least six characters, so that shorter texts need not be looked at", () => {
  const shortest = keys(1025, (n) => `"${n.toString(36)}"`).replaceAll(" ", "");
  expect(shortest.length).toBeGreaterThan(6 * 1024);
  expect(hasTooManyKeys(shortest)).toBe(true);
});

test("brackets, commas and colons outside of texts are counted, up to a limit", () => {
  expect(countMarks('{"a,[{:":[1,"\\",":",2]}', 100)).toBe(5);
  expect(countMarks("[".repeat(1000), 10)).toBe(11);
});

test("depth is that of brackets outside of texts", () => {
  const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
  expect(isTooDeep(nested(10_000))).toBe(false);
  expect(isTooDeep(nested(10_001))).toBe(true);
  expect(isTooDeep(JSON.stringify(nested(20_000)))).toBe(false);
});
