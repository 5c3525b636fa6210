// The engine as it is patched.
import { expect, test } from "vitest";
import { compileBytecode } from "./engine.ts";

// checks.patch. A check is an instruction of three bytes; to read a variable without one takes one byte, and to drop the value another one.
test("a variable is read without a check whether it has its value, behind the place that gives it", () => {
  const size = (reads: number): number =>
    compileBytecode(Buffer.from(`"use strict"; (() => { let a = 0; ${"a;".repeat(reads)} })`)).length;
  expect(size(1000) - size(0)).toBeLessThan(3000);
});
