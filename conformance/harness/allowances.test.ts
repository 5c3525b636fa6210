// Each difference that the differential run allows is one that docs/differences.md names, in the same words.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { undocumented } from "./allowances.ts";

test("every allowance is documented", () => {
  expect(undocumented(readFileSync(new URL("../../docs/differences.md", import.meta.url), "utf8"))).toEqual([]);
});
