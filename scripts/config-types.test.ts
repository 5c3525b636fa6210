import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { configTypes } from "./config-types.ts";

test.each([...configTypes()])("%s is what its schema says (npm run keys writes it)", (path, text) => {
  expect(readFileSync(path, "utf8")).toBe(text);
});
