// A mistyped option is wrong usage, and no verdict about the plugins.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test.each([
  ["main", "--jbos 2", "unknown option"],
  ["main", "--jobs abc", "not negative"],
  ["main", "--jobs 0", "at least 1"],
  ["main", "--limit abc", "not negative"],
  ["main", "--sample 0.5", "whole number"],
  ["main", "--keys {", "JSON"],
  ["main", "--known /nonexistent/x.json", "no such file"],
  ["main", "--report /nonexistent/x.json", "cannot be written"],
  ["main", "--learn /nonexistent/x.json", "cannot be written"],
  ["main", "--case DEL-07,TYPO", "no case begins with TYPO"],
  ["main", "", "required option"],
  ["differential", "--jobs abc", "not negative"],
  ["differential", "--count 0", "at least 1"],
  ["differential", "--peer /nonexistent --count 5 --only 5", "--only 5 of --count 5"],
  ["honesty", "--jobs abc", "not negative"],
  ["honesty", "--case DEL-70", "no fault is caught by DEL-70"],
  // A matrix without calls would read as one without faults.
  ["faults/main", "--jobs 0", "at least 1"],
  ["faults/main", "--every 0", "at least 1"],
  ["faults/main", "--from 0.5", "whole number"],
  ["faults/main", "--json /nonexistent/x.json", "cannot be written"],
  ["faults/main", "--plugin bride", "bride is none of"],
  ["faults/main", "--ever 2", "unknown option"],
  // Before a guest starts, which takes minutes.
  ["powercut/main", "--fs ex4", "There are: ext4, xfs, btrfs"],
  ["powercut/main", "--without fsync-fil", "There are: none, fsync-file, fsync-directory"],
  ["powercut/main", "--looks 0", "at least 1"],
  ["powercut/main", "--looks abc", "not negative"],
  ["powercut/main", "--json /nonexistent/x.json", "cannot be written"],
])("%s %s", (program, options, line) => {
  const given = options === "" ? [] : ["--bin", "/nonexistent", ...options.split(" ")];
  const run = spawnSync("node", ["scripts/ts.mjs", `conformance/${program}.ts`, ...given], { encoding: "utf8" });
  expect(run.stderr).toContain(line);
  expect(run.status).toBe(2);
});
