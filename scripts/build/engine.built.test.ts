// Tests of the patched engine.
import { expect, test } from "vitest";
import { compileBytecode } from "./engine.ts";

// checks.patch: a check is an instruction of three bytes. Reading a variable without a check takes one byte, and dropping the value takes another.
test("a variable is read without a check whether it has its value, behind the place that gives it", () => {
  const size = (reads: number): number =>
    compileBytecode(Buffer.from(`"use strict"; (() => { let a = 0; ${"a;".repeat(reads)} })`)).length;
  expect(size(1000) - size(0)).toBeLessThan(3000);
});
