import { describe, expect, test } from "vitest";
import { countOption, fileOption, numberOption, severalOf } from "./options.ts";

describe("a number that is not negative", () => {
  test("is taken", () => {
    expect([numberOption("0"), numberOption("0.5"), numberOption("120")]).toEqual([0, 0.5, 120]);
  });
  test.each(["abc", "-3", "", " ", "1x", "NaN", "Infinity"])("is not %j", (text) => {
    expect(() => numberOption(text)).toThrow(/not negative/);
  });
});

describe("a count", () => {
  test("is a whole number of at least so many", () => {
    expect([countOption()("0"), countOption(1)("1")]).toEqual([0, 1]);
    expect(() => countOption(1)("0")).toThrow(/at least 1/);
    expect(() => countOption()("0.5")).toThrow(/whole/);
    expect(() => countOption()("1e99")).toThrow(/whole/);
  });
});

describe("a file to write", () => {
  test("is in a directory that is there", () => {
    expect(fileOption("/tmp/podnic-not-there.json")).toBe("/tmp/podnic-not-there.json");
    expect(() => fileOption("/nonexistent/x.json")).toThrow(/cannot be written/);
    expect(() => fileOption("/tmp")).toThrow(/directory/);
  });
});

test("a name is one of those there are", () => {
  const fs = severalOf(["ext4", "xfs"]);
  expect(fs("xfs", ["ext4"])).toEqual(["ext4", "xfs"]);
  expect(() => fs("ex4", [])).toThrow(/There are: ext4, xfs/);
});
