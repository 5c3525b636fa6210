// A mistyped number is refused: a matrix without calls would read as one without faults.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test.each([
  [["--jobs", "0"], "at least 1"],
  [["--every", "0"], "at least 1"],
  [["--from", "0.5"], "whole number"],
  [["--json", "/nonexistent/x.json"], "cannot be written"],
  [["--plugin", "bride"], "bride is none of"],
  [["--ever", "2"], "unknown option"],
])("%j", (args, line) => {
  const run = spawnSync("node", ["scripts/ts.mjs", "conformance/faults/main.ts", "--bin", "/nonexistent", ...args], {
    encoding: "utf8",
  });
  expect(run.stderr).toContain(line);
  expect(run.status).toBe(2);
});
