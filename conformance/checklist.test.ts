import { expect, test } from "vitest";
import { tables } from "./cases/index.ts";
import { checklistRows, coverage } from "./checklist.ts";
import { bind } from "./harness/case.ts";

const ids = bind(tables, ["macvlan", "host-device", "ipvlan"]).map((c) => c.id);

test("every row of the checklist has a case, or a word about where it is shown", () => {
  const { rows, own, elsewhere, missing } = coverage(ids);
  expect(missing).toEqual([]);
  expect(rows).toBe(473);
  expect(own + Object.keys(elsewhere).length).toBe(rows);
});

test("a row whose case is taken away is missing", () => {
  expect(coverage(ids.filter((id) => !id.startsWith("CHK-07"))).missing).toEqual(["CHK-07"]);
  expect(coverage(ids.filter((id) => !id.startsWith("ENV-03b"))).missing).toEqual(["ENV-03b"]);
});

test("rows are spelled as cases are", () => {
  expect(checklistRows()).toContain("ENV-03f");
  expect(checklistRows()).toContain("VER-09");
  expect(checklistRows()).not.toContain("DLG-39");
});
