// A node for tests: private namespaces with state of their own, and calls of the shipped plugins as a runtime makes them.
import { spawnSync } from "node:child_process";
import { openSync } from "node:fs";
import { resolve } from "node:path";
import { registerPlugins } from "../../cni/registry.ts";
import { plugins } from "../../plugins.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";

export { sh };

/** Call it once, first: this process leaves the machine's namespaces for good. /run/netns/pod is there. */
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
  /** Directory of the plugin: the shipped ones when absent. */
  bin?: string;
}

/** Throws when it fails. Returns its stdout. */
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

/** Descriptors of what endPods has taken the names of. */
const nameless: number[] = [];

/**
 * The pods are gone, and their interfaces. Their namespaces live on where nobody sees them: the kernel gives the inode of a namespace that is gone to
 * the next one, which may be that of a test beside this one, and podnic then takes the pod for alive.
 */
export function endPods(...names: string[]): void {
  for (const name of names) {
    nameless.push(openSync(`/run/netns/${name}`, "r"));
    sh(
      `ip -n ${name} link del net1 2>/dev/null || ip -n ${name} link del eth0 2>/dev/null || true; ip netns del ${name}`,
    );
  }
}
