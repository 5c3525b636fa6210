// The driver has to find what is wrong, or its silence says nothing.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { seeded } from "./pairs.ts";

const args = [
  "scripts/ts.mjs",
  "conformance/interleave/main.ts",
  "--pair",
  "host-local ADD, ADD, one address left",
  "--one",
  "40",
  "--two",
  "0",
];

function interleave(...more: string[]): { status: number | null; said: string } {
  const run = spawnSync("node", [...args, "--kill", "0", ...more], { encoding: "utf8" });
  return { status: run.status, said: run.stdout + run.stderr };
}

test("without locks, two host-local ADDs conflict", { timeout: 300_000 }, () => {
  const { status, said } = interleave("--fault", "flock");
  expect(said).toMatch(/one address left: 40 schedules of \d+, [1-9]\d* wrong/);
  expect(status).toBe(1);
});

test("every injected fault is detected by its pair", { timeout: 300_000 }, () => {
  const run = spawnSync("node", [...args.slice(0, 2), "--seeded", "--one", "120", "--two", "0", "--kill", "0"], {
    encoding: "utf8",
  });
  expect(run.stdout + run.stderr).not.toContain("NOT FOUND");
  expect(run.stdout.match(/found at /g)).toHaveLength(seeded.length);
  expect(run.status).toBe(0);
});

test("with locks they do not", { timeout: 300_000 }, () => {
  const { status, said } = interleave();
  expect(said).toContain("40 schedules, 0 wrong");
  expect(status).toBe(0);
});
