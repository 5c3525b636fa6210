// A network and mount namespace for a script that creates devices and state. The kernel removes both namespaces when the script ends, even if it is
// killed.
import { spawnSync } from "node:child_process";
import { mkdirSync, readlinkSync } from "node:fs";
import { root } from "./build/paths.ts";

/** Runs a program and returns its stdout. Throws with its stderr if it fails. */
export function sh(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined || status !== 0)
    throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** Returns true in the sandbox. Outside, runs this script again in a sandbox, waits for its end and returns false. */
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

/** Mounts fresh /run, /var/lib and /sys, which only this sandbox sees. */
export function hideState(): void {
  for (const dir of ["/run", "/var/lib"]) sh("mount", "-t", "tmpfs", "-o", "mode=755", "podnic", dir);
  // As on a node, /sys shows the devices of the current network namespace.
  sh("mount", "-t", "sysfs", "podnic", "/sys");
  mkdirSync("/run/netns");
  mkdirSync("/var/lib/cni");
  sh("ip", "link", "set", "lo", "up");
}
