// The executable, for tests that need its engine or a separate process. Each test file builds it once.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { Ran } from "./run.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-cli-"));
export const podnic = join(dir, "podnic");

/** Builds the executable. Call this in beforeAll. */
export function build(): void {
  const { status, stderr } = spawnSync("node", ["scripts/ts.mjs", "scripts/build.ts", "--output", podnic], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
}

afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs the executable in this process's namespaces, and waits until it exits. */
export function execute(args: string[], env: Record<string, string> = {}, program = podnic): Ran {
  const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: { PATH: path, ...env } });
  return { status: status ?? -1, stdout, stderr };
}
