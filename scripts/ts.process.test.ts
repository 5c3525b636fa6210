import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cache } from "./build/paths.ts";

test("a run takes away what killed ones left behind, and nothing of those that run", () => {
  const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))![0];
  const of = (where: string, pid: number) => join(cache, "ts", `_podnic_test.${where}-${pid}.mjs`);
  const { pid: dead } = spawnSync("true");
  const files = [of(namespace, dead), of(namespace, process.pid), of("1", dead)];
  mkdirSync(join(cache, "ts"), { recursive: true });
  for (const file of files) writeFileSync(file, "");
  try {
    expect(spawnSync("node", ["scripts/ts.mjs", "scripts/build/paths.ts"]).status).toBe(0);
    expect(files.map((file) => existsSync(file))).toEqual([false, true, true]);
  } finally {
    for (const file of files) rmSync(file, { force: true });
  }
});
