// A node with pods, deleted namespaces and leases, for tests of the commands that examine the node.
import { readdirSync } from "node:fs";
import { call, sh } from "./node.ts";
import { run } from "./run.ts";

export const NETWORKS = "/var/lib/cni/networks";
export const RECORDS = "/var/lib/cni/podnic/host-device";
export const go = { bin: "/usr/lib/cni" };

export const pool = { type: "host-local", ranges: [[{ subnet: "198.18.77.0/28" }]] };
export const device = (name: string, more = {}) => ({ type: "host-device", name: "net", device: name, ...more });

/** Creates a veth, a pod that has it, and the pod's lease. */
export function pod(name: string): void {
  sh(`ip link add ${name} type veth peer name ${name}p; ip netns add ${name}`);
  call("ADD", device(name, { ipam: pool }), { container: `c-${name}`, netns: `/run/netns/${name}` });
}

// biome-ignore lint/suspicious/noExplicitAny: answers for programs, whatever is in them
export function json(...args: string[]): any {
  const { stdout, stderr } = run([...args, "--json"]);
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
  }
}

export const leasesOf = (network: string): string[] =>
  readdirSync(`${NETWORKS}/${network}`).filter((name) => /^[\d.:a-f]+$/.test(name) && name !== "lock");

/** Removes everything that the previous test left on the node. */
export function emptyNode(): void {
  sh(`for ns in $(ip netns list | cut -d' ' -f1); do [ $ns = pod ] || ip netns del $ns; done
      rm -rf /var/lib/cni/* /etc/cni/*
      for link in $(ls /sys/class/net); do ip link del $link 2>/dev/null || true; done
      nft flush ruleset`);
}
