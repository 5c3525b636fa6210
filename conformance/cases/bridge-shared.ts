// What the cases about bridge share: configurations, the ports of a bridge as the kernel tells of them, pods.
import { Mismatch } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Link } from "../harness/kernel.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import { type CallOptions, type Env, quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { CAPTURE } from "./virtual-seen.ts";

export const BRIDGE_MAC = "02:00:00:00:00:b0";
export const POD_MAC = "02:00:00:00:00:51";

/** A configuration of bridge on br0. */
export const conf = (keys: Config = {}, cniVersion = "1.1.0"): Config => ({
  cniVersion,
  name: "net1",
  type: "bridge",
  bridge: "br0",
  ...keys,
});

export const GATEWAY: Config = { isGateway: true, ipMasq: true, ipMasqBackend: "nftables" };

/** A bridge that somebody else made. */
export function makeBridge(t: Trial, options = "", name = "br0"): void {
  t.sh(`ip link add ${name} address ${BRIDGE_MAC} up type bridge ${options}`);
}

export const hostLocal = (subnet = "10.61.0.0/24", more: Config = {}): Config => ({
  ipam: { type: "host-local", ranges: [[{ subnet }]], ...more },
});

export const fixed = (...addresses: string[]): Config => ({
  ipam: { type: "static", addresses: addresses.map((address) => ({ address })) },
});

/** Another pod than that of the baseline environment: its container's ID and its namespace are called alike. */
export function pod(t: Trial, name: string): { set: Env; ns: string } {
  t.netns(name);
  return { set: { CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}` }, ns: name };
}

/** ADD that may leave the interface down. */
export function addDown(t: Trial, config: Config, options: CallOptions = {}): Result {
  const run = t.call("ADD", config, options);
  if (run.status !== 0) throw new Mismatch("OK", describeRun(run));
  return JSON.parse(run.stdout);
}

export const ports = (t: Trial, bridge = "br0"): Link[] => t.links("").filter(({ master }) => master === bridge);

export interface Port {
  readonly name: string;
  readonly state: string;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  readonly learning: boolean;
  readonly locked: boolean | undefined;
}

/** Options of a call whose stdout takes nothing. */
export const FULL: CallOptions = { wrap: '"$@" >/dev/full' };

/** The other end of a pod's interface. */
export function portOf(t: Trial, ns = "c1", ifName = "eth0"): Port {
  const [near] = JSON.parse(t.sh(`ip -n ${ns} -j link show ${ifName}`));
  const links = JSON.parse(t.sh("ip -j -d link show type veth")) as { [key: string]: unknown }[];
  const far = links.find(({ ifindex, link_index }) => ifindex === near.link_index && link_index === near.ifindex);
  if (far === undefined) throw new Mismatch(`the other end of ${ifName} on the host`, "there is none");
  const { info_slave_data: data = {} } = (far.linkinfo ?? {}) as { info_slave_data?: { [key: string]: never } };
  const { state = "", hairpin = false, isolated = false, learning = false, locked } = data;
  return { name: String(far.ifname), state, hairpin, isolated, learning, locked };
}

interface Vlan {
  vlan: number;
  vlanEnd?: number;
  flags?: string[];
}

/** "1 pvid untagged, 20-22": VLANs of a port, as the kernel has them; neighbours without flags as one range. */
export function vlansOf(t: Trial, port: string): string {
  const [found] = JSON.parse(t.sh(`bridge -j vlan show dev ${port}`) || "[]");
  const ranges: { first: number; last: number; flags: string }[] = [];
  for (const { vlan, vlanEnd = vlan, flags = [] } of (found?.vlans ?? []) as Vlan[]) {
    const words = `${flags.includes("PVID") ? " pvid" : ""}${flags.includes("Egress Untagged") ? " untagged" : ""}`;
    const before = ranges.at(-1);
    if (words === "" && before?.flags === "" && before.last === vlan - 1) before.last = vlanEnd;
    else ranges.push({ first: vlan, last: vlanEnd, flags: words });
  }
  return ranges.map(({ first, last, flags }) => `${first === last ? first : `${first}-${last}`}${flags}`).join(", ");
}

export function demandPing(t: Trial, from: string, to: string, wrong = false): void {
  const enter = from === "" ? "" : `ip netns exec ${from} `;
  const said = t.sh(`${enter}ping -n -c ${wrong ? 2 : 3} -i 0.3 -W 1 ${to} 2>&1 || true`);
  const answers = said.includes("bytes from");
  t.expect(answers !== wrong, `${to} ${wrong ? "does not answer" : "answers"} ${from || "the host"}`, said);
}

/** The result describes each interface of the host as it is now. */
export function demandAsTold(t: Trial, { interfaces = [] }: Result): void {
  const links = t.links("");
  for (const { name, mac, mtu } of interfaces.filter(({ sandbox }) => !sandbox)) {
    const link = links.find((each) => each.name === name);
    // The Go plugin tells no MTU.
    t.equal({ mac, mtu }, { mac: link?.mac, mtu: mtu && link?.mtu }, `what the result says of ${name}:`);
  }
}

/** Frames that leave br0 by the uplink up0, seen on up1 during a call and `seconds` after it: a line of hex each. */
export function framesDuring(t: Trial, seconds: number, call: (wrap: string) => void): string[] {
  const listen = `perl -e ${quote(CAPTURE)} ${t.link("up1", "")!.index} >/run/case/seen 2>&1 </dev/null & pid=$!`;
  t.sh("mkdir -p /run/case");
  call(`${listen}; sleep 0.5; "$@"; s=$?; sleep ${seconds}; kill $pid; exit $s`);
  return t.read("/run/case/seen").split("\n").filter(Boolean);
}

/** ADD, CHECK and DEL hold, and nothing of the pod is left. */
export function cycle(t: Trial, config: Config, set: Env = {}): Result {
  const prevResult = t.add(config, { set });
  t.silent("CHECK", { ...config, prevResult }, { set });
  t.silent("DEL", { ...config, prevResult }, { set });
  t.gone("eth0");
  t.equal(ports(t).length, 0, "ports of br0");
  return prevResult;
}

/** Namespaces p0, p1 and so on, each with its call's variables. */
export const pods = (t: Trial, count: number) => {
  t.sh(`for n in $(seq 0 ${count - 1}); do ip netns add p$n; done`);
  return Array.from({ length: count }, (_, n) => ({ CNI_CONTAINERID: `p${n}`, CNI_NETNS: `/run/netns/p${n}` }));
};

export const gc = (config: Config, valid: Config[] = []): [Config, { set: Env }] => [
  { ...config, "cni.dev/valid-attachments": valid },
  { set: { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined } },
];
