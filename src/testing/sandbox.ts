// Private namespaces for tests that need a kernel. This process (vitest runs each file in its own) leaves the machine's namespaces for good. What it
// creates disappears with it, even if it is killed.
import { execFileSync } from "node:child_process";
import { CLONE_NEWNET } from "../host/constants.ts";
import { host } from "../host/host.ts";
import { type NetNs, openNamespace, ownNamespace } from "../link/namespace.ts";

const CLONE_NEWNS = 0x20000;

/** Runs a shell line in the namespaces of this process and returns its stdout. */
export function sh(line: string): string {
  return execFileSync("sh", ["-ec", line], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/**
 * Moves this process into new mount and network namespaces with empty /run and /var/lib, and creates a "pod" namespace. Call this once, before all
 * else.
 */
export function enterSandbox(): { own: NetNs; pod: NetNs } {
  host.unshare(CLONE_NEWNS | CLONE_NEWNET);
  sh(`mount --make-rprivate /; for dir in /run /var/lib; do mount -t tmpfs tmpfs $dir; done; mount -t sysfs sysfs /sys
    ip link set lo up; ip netns add pod`);
  return { own: ownNamespace(), pod: openNamespace("/run/netns/pod")! };
}

/** True if this kernel's bridges can filter VLANs. Those of the guest can. */
export function filtersVlans(): boolean {
  try {
    sh("unshare -n ip link add br9 type bridge vlan_filtering 1");
    return true;
  } catch {
    return false;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: whatever ip prints
export function ipJson(args: string): any[] {
  return JSON.parse(sh(`ip -d -j ${args}`) || "[]");
}
