// What a case of the cluster is, and what several of them use.
import { existsSync } from "node:fs";
import { unlike } from "../interleave/picture.ts";
import { type Cluster, equal, expect, type Flavour, type NetworkStatus, until } from "./cluster.ts";
import { inGuest, ping } from "./node.ts";

export interface Case {
  id: string;
  expected: string;
  /** "kernel:KIND", "program:NAME", "file:PATH", or "guest": cards with virtual functions. */
  needs?: string[];
  /** With which Multus; both unless it says so. */
  flavours?: Flavour[];
  /** For stand-ins only, or for a real API server and kubelet only; both unless it says so. */
  only?: "stand-in" | "real";
  /** About podnic's own commands, or it installs podnic: nothing to compare other plugins by. */
  own?: true;
  /** It cannot do without podnic's image, which the run makes when there is none. */
  image?: true;
  /** Each push runs it, with Multus thin. */
  push?: boolean;
  /** A case of two starts of the node: the kernel's boot ID is another one after a reboot, the same one when a container was started again. */
  restart?: { kind: "reboot" | "container"; before(cluster: Cluster): Promise<void> };
  run(cluster: Cluster): Promise<void>;
}

export interface Verdict {
  id: string;
  expected: string;
  outcome: "passed" | "failed" | "not-run";
  got: string;
  seconds: number;
}

const POOL = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.100" }]] };

/** The network of the quick start. */
export const lan = (more: object = {}) => ({
  cniVersion: "1.0.0",
  type: "macvlan",
  master: "ens6",
  ipam: POOL,
  ...more,
});

/** Its attachments other than the default network, in the order of their interfaces. */
export function attachments(cluster: Cluster, pod: string): NetworkStatus[] {
  return cluster.networkStatus(pod).filter(({ interface: name }) => name !== "eth0");
}

/** The annotation says what the interface in the pod shows, and a host of the LAN gets an answer from it. */
export async function attached(cluster: Cluster, pod: string, name: string, network: string): Promise<NetworkStatus> {
  const all = attachments(cluster, pod);
  const status = all.find((one) => one.interface === name);
  if (status === undefined) throw new Error(`no ${name} in the network-status of ${pod}: ${JSON.stringify(all)}`);
  equal(status.name, network, `network of ${name}`);
  const shown = await cluster.exec(pod, `ip addr show ${name}`);
  for (const address of status.ips ?? []) {
    expect(shown.includes(`${address}/`), `${pod} has ${address}`, shown);
    if (!address.includes(":")) expect(ping(address), `a host of the LAN reaches ${address}`, shown);
  }
  expect(status.mac === undefined || shown.includes(status.mac), `${pod} has the MAC address ${status.mac}`, shown);
  return status;
}

/** Runs the body; afterwards the node is as before. */
export async function leavesNothing(cluster: Cluster, body: () => Promise<void>): Promise<void> {
  const before = cluster.remains();
  await body();
  // What a namespace had goes when the kernel has time.
  const same = await until(10, () => (unlike(before, cluster.remains()).length === 0 ? true : undefined));
  if (!same) equal(unlike(before, cluster.remains()), [], "what is on the node afterwards");
}

/** Why it cannot run here; undefined when it can. */
export function unmet(
  test: Case,
  offer: { kinds: string[]; programs: string[] },
  { plugins }: { plugins?: string },
): string | undefined {
  if (test.own && plugins !== undefined) return "it tests podnic's own commands, and --plugins replaces podnic";
  for (const need of test.needs ?? []) {
    const [, kind, what] = /^(kernel|program|file):(.*)$/.exec(need) ?? [];
    if (need === "guest" && !inGuest())
      return "needs a card with virtual functions: npm run cluster -- --guest has one";
    if (kind === "kernel" && !offer.kinds.includes(what!)) return `the kernel has no ${what}`;
    if (kind === "program" && !offer.programs.includes(what!)) return `there is no ${what}`;
    if (kind === "file" && !existsSync(what!)) return `there is no ${what}`;
  }
  return undefined;
}
