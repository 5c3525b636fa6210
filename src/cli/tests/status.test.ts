import { expect, test } from "vitest";
import { unseen } from "../doctor/examine.ts";
import { finding } from "../doctor/finding.ts";
import { overview } from "../status.ts";
import { run } from "./run.ts";

test("errors come before warnings, counts after them", () => {
  const findings = [
    finding("plugins", "ok", "a"),
    finding("plugins", "warning", "b", "do b"),
    finding("configurations", "error", "c", "do c"),
    finding("kernel", "note", "d"),
  ];
  const seen = overview({ findings, seen: undefined });
  expect(seen).toMatchObject({ errors: 1, warnings: 1 });
  expect(seen.findings.map(({ found }) => found)).toEqual(["c", "b"]);
  expect(seen.parts).toEqual([
    { about: "plugins", errors: 0, warnings: 1, examined: true, summary: "1 plugin in place" },
    { about: "configurations", errors: 1, warnings: 0, examined: true, summary: "0 valid networks" },
    { about: "kernel", errors: 0, warnings: 0, examined: true, summary: "" },
  ]);
});

test("what cannot be seen without root is neither good nor bad", () => {
  const seen = overview({ findings: [unseen], seen: undefined });
  expect(seen).toMatchObject({ errors: 0, warnings: 0, findings: [] });
  expect(seen.parts[0]).toMatchObject({ examined: false, summary: "not examined: run podnic as root" });
});

test("a status is no status when the command line is wrong", () => {
  expect(run(["status", "--no-such"]).status).toBe(2);
});
