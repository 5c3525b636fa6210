// The executable itself, for tests that need what only it has: its engine and its own process. Built once a test file.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Ran } from "./run.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-cli-"));
export const podnic = join(dir, "podnic");

/** Call it in beforeAll. */
export function build(): void {
  const { status, stderr } = spawnSync("node", ["scripts/ts.mjs", "scripts/build.ts", "--output", podnic], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs it to its end, in the namespaces this process is in. */
export function execute(args: string[], env: Record<string, string> = {}, program = podnic): Ran {
  const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: { PATH: path, ...env } });
  return { status: status ?? -1, stdout, stderr };
}
