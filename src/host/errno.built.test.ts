import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errnoName, errnoOf, errnoText } from "./errno.ts";

test("every errno of the kernel has its name: code that decides on a name would be wrong without a word", () => {
  const headers = ["errno-base", "errno"].map((name) => readFileSync(`/usr/include/asm-generic/${name}.h`, "utf8"));
  const defined = [...headers.join("").matchAll(/^#define\s+(E\w+)\s+(\d+)\b/gm)];
  expect(defined.length).toBeGreaterThan(120);
  expect(defined.map(([, , number]) => errnoName(Number(number)))).toEqual(defined.map(([, name]) => name));
  expect(defined.map(([, name]) => errnoOf(name!))).toEqual(defined.map(([, , number]) => Number(number)));
});

test("a number that the kernel does not have", () => {
  expect([errnoName(4095), errnoText(4095), errnoOf("EXYZ")]).toEqual(["E4095", "error 4095", 0]);
});
