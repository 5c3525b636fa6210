// A node for tests on a real kernel: private namespaces, `nft` and the Go plugin.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sh } from "../../testing/sandbox.ts";
import type { Owner } from "../names.ts";

export const owner: Owner = { network: "net-a", containerId: "cid-1", ifName: "eth0" };

/** All rules as `nft` prints them, without handles. */
export function ruleset(): string {
  return sh("nft list ruleset");
}

export function flush(): void {
  sh("nft flush ruleset");
}

const GO = join(process.cwd(), ".cache/go-plugins/1.9.1");
export const hasGo = existsSync(join(GO, "bridge"));

/** An IPAM configuration with one address of each family. */
export const ipam = { type: "host-local", ranges: [[{ subnet: "10.61.0.0/24" }], [{ subnet: "fd61::/64" }]] };

/** Runs the Go plugin for an attachment in the namespace "pod". */
export function goBridge(command: "ADD" | "DEL", { network, containerId, ifName }: Owner, more: object): string {
  const config = { cniVersion: "1.0.0", name: network, type: "bridge", bridge: "br0", ...more };
  return execFileSync(join(GO, "bridge"), {
    input: JSON.stringify(config),
    encoding: "utf8",
    stdio: "pipe",
    env: {
      ...process.env,
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_IFNAME: ifName,
      CNI_NETNS: "/run/netns/pod",
      CNI_PATH: GO,
    },
  });
}
