// A network and mount namespace for a script that makes devices and state: the kernel takes all of it away with the script, however that ends.
import { spawnSync } from "node:child_process";
import { mkdirSync, readlinkSync } from "node:fs";
import { root } from "./build/paths.ts";

/** Runs a program; throws what it said on stderr when it fails. Returns its stdout. */
export function sh(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined || status !== 0)
    throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** True in the sandbox. Outside it runs this script again inside, to its end, and returns false. */
export function enterSandbox(script: string): boolean {
  const here = readlinkSync("/proc/self/ns/net");
  const outside = process.env.PODNIC_OUTSIDE;
  if (outside !== undefined && outside !== here) return true;
  const flags = ["--mount", "--net", "--propagation", "private"];
  const command = [process.execPath, "scripts/ts.mjs", script, ...process.argv.slice(2)];
  const { status, signal } = spawnSync("unshare", [...flags, ...command], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PODNIC_OUTSIDE: here },
  });
  process.exitCode = status ?? (signal === "SIGINT" ? 130 : 143);
  return false;
}

/** Fresh /run, /var/lib and /sys, seen by this sandbox only. */
export function hideState(): void {
  for (const dir of ["/run", "/var/lib"]) sh("mount", "-t", "tmpfs", "-o", "mode=755", "podnic", dir);
  // As on a node: that of this network namespace.
  sh("mount", "-t", "sysfs", "podnic", "/sys");
  mkdirSync("/run/netns");
  mkdirSync("/var/lib/cni");
  sh("ip", "link", "set", "lo", "up");
}
