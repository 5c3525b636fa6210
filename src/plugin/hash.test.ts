import { expect, test } from "vitest";
import { host } from "../host/host.ts";
import { hash32, hashWords } from "./hash.ts";

const TEXTS = Array.from({ length: 20_000 }, (_, n) => `net${n % 3}:fast:${n.toString(16).padStart(64, "0")}`);

test("hash32: names and numbers of links that earlier versions made stay theirs", () => {
  expect(["", "a", "0:net1:id:eth0", "żółw 🐢"].map(hash32)).toEqual([2872998923, 444641715, 547245953, 1305939346]);
});

test.each([
  ["hash32", hash32],
  ["hashWords", (text: string) => hashWords(host.encode(`${text}\0\0\0`))],
])("%s: texts that hardly differ share few numbers", (_name, hash) => {
  const numbers = TEXTS.map(hash);
  expect(numbers.every((number) => Number.isInteger(number) && number >= 0 && number < 2 ** 32)).toBe(true);
  // With 32 bits, 0.05 collisions are expected among 20,000 texts.
  expect(new Set(numbers).size).toBeGreaterThan(TEXTS.length - 3);
  expect(new Set(numbers.map((number) => number >>> 20)).size).toBeGreaterThan(4000);
});
