import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tables } from "./cases/index.ts";
import { bind } from "./harness/case.ts";
import { levelOf, REQUIREMENTS } from "./requirements.ts";

const cases = bind(tables, ["macvlan", "host-device", "ipvlan"]);

test("every requirement that a case cites is listed", () => {
  const cited = cases.flatMap((c) => c.requirement.match(/C-\d+/g) ?? []);
  expect([...new Set(cited)].filter((id) => REQUIREMENTS[id] === undefined)).toEqual([]);
});

test("docs/conformance.md has the same table", () => {
  const docs = readFileSync(new URL("../docs/conformance.md", import.meta.url), "utf8");
  const rows = docs.split("\n").flatMap((line) => {
    const [, ids = "", level, since, text] = line.split("|").map((cell) => cell.trim());
    return (ids.match(/^C-\d+/) ? ids.split(", ") : []).map((id) => [id, { level, since, text }]);
  });
  expect(Object.fromEntries(rows)).toEqual(REQUIREMENTS);
});

test("a case has the strongest level of what it cites", () => {
  expect(levelOf("C-002, C-065: CNI_COMMAND is exact")).toBe("M");
  expect(levelOf("C-093: a route")).toBe("S");
  expect(levelOf("resolvConf")).toBeUndefined();
});
