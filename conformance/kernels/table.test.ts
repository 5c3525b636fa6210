// The table of kernels in docs/kernels.md is what was run.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { tables } from "../cases/index.ts";
import { bind } from "../harness/case.ts";
import {
  agrees,
  CARDS,
  caseNames,
  complaint,
  exitOf,
  type Results,
  resultsFile,
  settle,
  summary,
  table,
  withTable,
} from "./table.ts";

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
  for (const option of [",", "", "B-26,"]) expect(about({ cases: option.split(",") })).toBe("--case has an empty name");
});

it("asks a card's guest for sriov's cases only", () => {
  const about = (guests: string[], ...cases: string[]) =>
    complaint({ guests, cases }, ["sid", "virtio", "netdevsim"], ["SVV-01", "SRV-01", "S-1", "B-26a"]);
  expect(about(["virtio"], "SVV-01")).toBeUndefined();
  expect(about(["netdevsim", "sid"], "SRV-01")).toBeUndefined();
  expect(about(["sid"], "B-26a")).toBeUndefined();
  for (const name of ["B-26a", "SRV-01", "S"])
    expect(about(["sid", "virtio"], "SVV-01", name)).toBe(`virtio runs cases of SVV only, not ${name}`);
});

const verdictOf = (id: string, outcome: "passed" | "failed" | "not-run", got = "") =>
  ({ id, outcome, got, tag: "S", requirement: "", expected: "", ms: 0 }) as const;

it("takes a failure back only when the case passes alone", () => {
  const first = [verdictOf("B-1", "failed", "first"), verdictOf("B-2", "passed")];
  const after = (...second: Parameters<typeof settle>[1]) => settle(first, second)[0];
  expect(after(verdictOf("B-1", "passed"))).toMatchObject({ outcome: "passed" });
  expect(after(verdictOf("B-1", "failed", "again"))).toMatchObject({ outcome: "failed", got: "again" });
  expect(after(verdictOf("B-1", "not-run"))).toMatchObject({ outcome: "failed", got: "first" });
  expect(after()).toMatchObject({ outcome: "failed", got: "first" });
  expect(settle(first, [verdictOf("B-2", "failed")])[1]).toMatchObject({ outcome: "passed" });
});

it("does not pass when nothing ran", () => {
  const [passed, failed, left] = [
    verdictOf("B-26a", "passed"),
    verdictOf("B-85a", "failed"),
    verdictOf("SRV-01", "not-run"),
  ];
  const exit = (cases: Parameters<typeof summary>[0], kills?: { points: number; notClean: string[] }) =>
    exitOf({ ...summary(cases), ...(kills === undefined ? {} : { kills }) });
  expect([exit([passed, left]), exit([passed, failed]), exit([]), exit([left])]).toEqual([0, 1, 3, 3]);
  expect(exit([passed], { points: 5, notClean: [] })).toBe(0);
  expect(exit([passed], { points: 0, notClean: [] })).toBe(3);
  expect(exit([], { points: 5, notClean: [] })).toBe(3);
  expect(exit([passed], { points: 5, notClean: ["DEL close 3: eth0"] })).toBe(1);
});

it("does not believe reports of a guest that ended otherwise", () => {
  const good = [verdictOf("B-26a", "passed"), verdictOf("SRV-01", "not-run")];
  const bad = [verdictOf("B-85a", "failed")];
  const believed = (cases: typeof good | typeof bad, kills?: Parameters<typeof agrees>[2]) =>
    [0, 1, 2, 3, 124, 125, null].filter((status) => agrees(status, cases, kills));
  expect([believed(good), believed(bad)]).toEqual([[0], [1]]);
  expect(believed(bad, { points: 5, notClean: [] })).toEqual([0]);
  expect(believed(good, { points: 5, notClean: ["DEL close 3: eth0"] })).toEqual([1]);
  expect(believed(good, { points: 0, notClean: [] })).toEqual([3]);
  expect(believed([verdictOf("SRV-01", "not-run")])).toEqual([3]);
});

it("counts by plugin, and names what did not pass or run", () => {
  const result = summary([
    verdictOf("SRV-01", "passed"),
    verdictOf("B-85a", "failed", "code 1\nmore"),
    verdictOf("B-85b", "passed"),
    verdictOf("IV-1-host", "not-run", "no ipvlan"),
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
    "- newer: IV-1-host was not run, because no ipvlan",
    "- newer: SRV-01 failed beside other cases, but passed alone",
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
    "- virtio: DEL did not restore the card after this kill: DEL close 3: eth0",
  ]);
  const sampled = table({ virtio: { ...kernel, kills: { points: 5, notClean: [], every: 1000 } } });
  expect(sampled).toContain("- virtio: this run killed sriov at one in every 1000 system calls");
});
