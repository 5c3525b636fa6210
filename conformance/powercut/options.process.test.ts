// A mistyped option is refused before a guest starts, which takes minutes.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

test.each([
  [["--fs", "ex4"], "There are: ext4, xfs, btrfs"],
  [["--without", "fsync-fil"], "There are: none, fsync-file, fsync-directory"],
  [["--looks", "0"], "at least 1"],
  [["--looks", "abc"], "not negative"],
  [["--json", "/nonexistent/x.json"], "cannot be written"],
])("%j", (args, line) => {
  const run = spawnSync("node", ["scripts/ts.mjs", "conformance/powercut/main.ts", ...args], { encoding: "utf8" });
  expect(run.stderr).toContain(line);
  expect(run.status).toBe(2);
});
