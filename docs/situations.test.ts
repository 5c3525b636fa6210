// The table of devices in configuration.md is what conformance/cases/node-devices.ts shows.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { situations, situationTable } from "../conformance/cases/node-situations.ts";

it("every situation is a row, and every row a case", () => {
  const text = readFileSync(new URL("configuration.md", import.meta.url), "utf8");
  expect(text).toContain(`\n${situationTable()}\n`);
  expect(text.match(/^\| ND-\d+ /gm)?.length).toBe(situations.length);
  expect(situations.length).toBeGreaterThanOrEqual(40);
});
