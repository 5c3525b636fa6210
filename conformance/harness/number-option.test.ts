import { expect, test } from "vitest";
import { numberOption } from "./number-option.ts";

test("a number that is not negative is taken", () => {
  expect([numberOption("0"), numberOption("0.5"), numberOption("120")]).toEqual([0, 0.5, 120]);
});

test.each(["abc", "-3", "", " ", "1x", "NaN", "Infinity"])("%j is refused", (text) => {
  expect(() => numberOption(text)).toThrow(/not negative/);
});
