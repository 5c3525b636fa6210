// A node for tests: private namespaces with their own state, and calls of the built plugins as a runtime makes them.
import { spawnSync } from "node:child_process";
import { openSync } from "node:fs";
import { resolve } from "node:path";
import { registerPlugins } from "../../cni/registry.ts";
import { plugins } from "../../plugins.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";

export { sh };

/** Call this once, before anything else: the process permanently leaves the machine's namespaces. Creates /run/netns/pod. */
export function enterNode(): void {
  registerPlugins(plugins);
  enterSandbox();
  sh(
    "mkdir -p /var/lib/cni /etc/cni; for dir in /var/lib/cni /etc/cni; do mount -t tmpfs -o mode=755 tmpfs $dir; done",
  );
}

export interface CallOptions {
  container?: string;
  netns?: string;
  /** The directory of the plugin; if absent, that of the built plugins. */
  bin?: string;
}

/** Runs a plugin, and returns its stdout. Throws Error if the plugin fails. */
export function call(
  command: string,
  config: { type: string; [key: string]: unknown },
  options: CallOptions = {},
): string {
  const bin = options.bin ?? resolve("dist/cni");
  const run = spawnSync(`${bin}/${config.type}`, {
    env: {
      PATH: process.env.PATH,
      CNI_COMMAND: command,
      CNI_CONTAINERID: options.container ?? "c1",
      CNI_NETNS: options.netns ?? "/run/netns/pod",
      CNI_IFNAME: "net1",
      CNI_PATH: bin,
    },
    input: JSON.stringify({ cniVersion: "1.0.0", name: "net", ...config }),
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`${command}: ${run.error ?? ""}${run.stdout}${run.stderr}`);
  return run.stdout;
}

/** Descriptors of the namespaces whose names endPods has removed. */
const nameless: number[] = [];

/**
 * Removes pods and their interfaces. Keeps their namespaces without a name, because the kernel reuses the inodes of deleted namespaces: a
 * parallel test's namespace could get such an inode, and podnic would then treat the pod as alive.
 */
export function endPods(...names: string[]): void {
  for (const name of names) {
    nameless.push(openSync(`/run/netns/${name}`, "r"));
    sh(
      `ip -n ${name} link del net1 2>/dev/null || ip -n ${name} link del eth0 2>/dev/null || true; ip netns del ${name}`,
    );
  }
}
