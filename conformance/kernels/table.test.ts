// The table of kernels in docs/kernels.md is what was run.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { tables } from "../cases/index.ts";
import { bind } from "../harness/case.ts";
import { CARDS, caseNames, complaint, type Results, resultsFile, summary, table, withTable } from "./table.ts";

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

it("docs/kernels.md has the results of conformance/results/kernels.json", () => {
  const page = text("docs/kernels.md");
  expect(withTable(page, JSON.parse(text(resultsFile)) as Results)).toBe(page);
});

it("every name begins a case", () => {
  const ids = bind(tables, ["macvlan"]).map((c) => c.id);
  for (const guest of [undefined, ...Object.keys(CARDS)])
    expect(caseNames(guest).filter((name) => !ids.some((id) => id.startsWith(name)))).toEqual([]);
});

it("looks at all that is asked for before a guest starts", () => {
  const good = { guests: ["sid"], cases: [] };
  const about = (more: object) => complaint({ ...good, ...more }, ["sid", "trixie"], ["B-26a"]);
  expect(about({})).toBeUndefined();
  expect(about({ cases: ["B-26"] })).toBeUndefined();
  expect(about({ guests: ["sid", "sdi"] })).toBe("no guest called sdi: sid, trixie");
  expect(about({ cases: ["B-26", "X"] })).toBe("no case begins with X");
});

it("counts by plugin, and names what did not pass or run", () => {
  const verdict = (id: string, outcome: "passed" | "failed" | "not-run", got = "") =>
    ({ id, outcome, got, tag: "S", requirement: "", expected: "", ms: 0 }) as const;
  const result = summary([
    verdict("SRV-01", "passed"),
    verdict("B-85a", "failed", "code 1\nmore"),
    verdict("B-85b", "passed"),
    verdict("IV-1-host", "not-run", "no ipvlan"),
  ]);
  expect(result.counts).toMatchObject({ sriov: [1, 1], bridge: [1, 2], ipvlan: [0, 0] });
  const kernel = { kernel: "6.10.1", commit: "abc", date: "2026-01-01", minutes: 3, ...result, again: ["SRV-01"] };
  const lines = table({
    newer: kernel,
    older: { ...kernel, kernel: "6.9.0", failed: {}, notRun: {}, again: [] },
  }).split("\n");
  expect(lines.slice(2)).toEqual([
    "| older | 6.9.0 | 0 of 0 | 0 of 0 | 0 of 0 | 1 of 1 | 1 of 2 | 2 of 3 | 0 | abc | 2026-01-01 | 3 |",
    "| newer | 6.10.1 | 0 of 0 | 0 of 0 | 0 of 0 | 1 of 1 | 1 of 2 | 2 of 3 | 1 | abc | 2026-01-01 | 3 |",
    "",
    "- newer: B-85a failed: code 1",
    "- newer: not run, because no ipvlan: IV-1-host",
    "- newer: failed beside another case and passed alone: SRV-01",
  ]);
});

it("has a table of its own for other cards, with what a kill left", () => {
  const seen = { id: "SVV-01", outcome: "passed", got: "", tag: "G", requirement: "", expected: "", ms: 0 } as const;
  const kernel = { kernel: "6.12.1", commit: "abc", date: "2026-01-01", minutes: 3, again: [], ...summary([seen]) };
  const lines = table({ virtio: { ...kernel, kills: { points: 9, notClean: ["DEL close 3: eth0"] } } }).split("\n");
  expect(lines.slice(3)).toEqual([
    "| card | kernel | sriov | not run | kills | not clean | commit | date | minutes |",
    "| --- | --- | ---: | ---: | ---: | ---: | --- | --- | ---: |",
    "| virtio | 6.12.1 | 1 of 1 | 0 | 9 | 1 | abc | 2026-01-01 | 3 |",
    "",
    "- virtio: not clean after a kill: DEL close 3: eth0",
  ]);
});
