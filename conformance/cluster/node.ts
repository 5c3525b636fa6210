// The node of the cluster: its devices as the guides prepare them, a LAN at the other end of them, and directories that outlive a start.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache } from "../../scripts/build/paths.ts";
import { BIN, CGROUP } from "../cri/node.ts";
import {
  EMPTY_TABLE,
  FORWARDING,
  hasTables,
  linesIn,
  RULES,
  rulesIn,
  stateOf,
  withoutForwarding,
} from "../interleave/picture.ts";

/** A name, and its address on the uplink. */
export interface NodeName {
  name: string;
  address: string;
}

export const NODE = "node1";
export const FIRST: NodeName = { name: NODE, address: "192.0.2.10" };
export const SECOND: NodeName = { name: "node2", address: "192.0.2.11" };
export const NET_D = "/etc/cni/net.d";
const LAN = "lan";

export function sh(script: string): string {
  return execFileSync("sh", ["-ec", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Cards that pods may have. The other end of each is a port of the LAN's bridge. */
const CARDS = ["ens3", "ens5", "ens6", "dev1", "dev2"];

/** What a start of the machine does not take away, each at its place. */
const KEPT = ["/opt", "/var/lib/cni", "/etc/cni"];

export interface Boot {
  /** A directory of the machine for what outlives a start. */
  kept: string;
  /** The kernel's; undefined leaves that of the machine, as a node has it that is itself a container. */
  bootId?: string | undefined;
  /** In the MAC addresses of the cards: those of a node that is a container are new ones after each start. */
  cards?: number | undefined;
  /** A real kubelet has directories of its own. */
  real?: boolean;
}

export function makeNode({ kept, bootId, cards = 1, real = false }: Boot): void {
  sh(`if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    mount --make-rshared /
    hostname ${NODE}`);
  // What it makes below /var/lib stays out of the machine's own.
  const layers = `lowerdir=/var/lib,upperdir=${kept}/lib,workdir=${kept}/lib.work`;
  if (real)
    sh(`mkdir -p ${kept}/lib ${kept}/lib.work
      mount -t overlay -o ${layers} overlay /var/lib; mount -t tmpfs tmpfs /var/log; mkdir -p /var/lib/kubelet`);
  makeDirectories(kept);
  if (bootId !== undefined) {
    writeFileSync("/run/boot_id", `${bootId}\n`);
    sh("mount --bind /run/boot_id /proc/sys/kernel/random/boot_id");
  }
  makeLan(cards);
  makePlugins("10.244.0.0/24");
}

function makeDirectories(kept: string): void {
  for (const place of KEPT) {
    const from = `${kept}${place}`;
    mkdirSync(from, { recursive: true });
    mkdirSync(place, { recursive: true });
    sh(`mount --bind ${from} ${place}; mount --make-shared ${place}`);
  }
  for (const place of ["/run", "/tmp"])
    if (!`${process.cwd()}/`.startsWith(`${place}/`)) sh(`mount -t tmpfs -o mode=755 tmpfs ${place}`);
  sh("mkdir -p /run/netns /run/pods /run/cluster; mount --bind /run/netns /run/netns; mount --make-shared /run/netns");
}

/** Beside the first one, in namespaces that were copied from it: nothing of its file systems stays. Its cards are on the first one's LAN. */
export function makeSecondNode(kept: string): void {
  const { name, address } = SECOND;
  const cards = CARDS.map(
    (card, i) => `ip link add ${card} address 02:00:00:00:0a:0${i} up type veth peer name q-${card} netns ${LAN}
      ip -n ${LAN} link set q-${card} up master lan0`,
  );
  sh(`mount --make-rshared /
    hostname ${name}
    ip link set lo up
    ${cards.join("\n")}
    ip address add ${address}/24 dev ens3; ip route add default via ${FIRST.address} dev ens3
    umount -R -l /run
    for place in /var/lib/kubelet /var/log; do mkdir -p $place; mount -t tmpfs tmpfs $place; done`);
  makeDirectories(kept);
  makePlugins("10.244.1.0/24");
}

function makeLan(generation: number): void {
  const ports = CARDS.map(
    (
      name,
      i,
    ) => `ip link add ${name} address 02:00:00:00:0${generation}:0${i} up type veth peer name p-${name} netns ${LAN}
      ip -n ${LAN} link set p-${name} up master lan0`,
  );
  sh(`ip link set lo up
    ip netns add ${LAN}; ip -n ${LAN} link set lo up; ip -n ${LAN} link add lan0 up type bridge
    for address in 198.51.100.1/24 203.0.113.1/24 192.168.1.1/24 10.0.10.1/24 192.0.2.1/24 10.20.30.126/25; do
      ip -n ${LAN} address add $address dev lan0
    done
    ${ports.join("\n")}
    # The node's uplink; and the card of the guide for OKE, with an address, a table and a rule.
    ip address add 192.0.2.10/24 dev ens3; ip route add default via 192.0.2.1 dev ens3
    ip address add 10.0.10.93/24 dev ens5
    ip route add default via 10.0.10.1 dev ens5 table 200; ip rule add from 10.0.10.93 lookup 200`);
  if (inGuest()) sh(`ip link set eth1 netns ${LAN}; ip -n ${LAN} link set eth1 up master lan0; ip link set eth0 up`);
}

/** The guest's two cards have a wire between them: the first one is the node's, with virtual functions, the second one a port of the LAN. */
export const inGuest = () => process.env.PODNIC_VM !== undefined;

/** As a distribution has them, the first time; and the cluster's own network. */
function makePlugins(pods: string): void {
  mkdirSync(BIN, { recursive: true });
  mkdirSync(NET_D, { recursive: true });
  // What stands for cards are veths, which podnic lends, or connects pods to, only when the node's policy says so.
  writeFileSync("/etc/cni/podnic.json", JSON.stringify({ devices: { allow: ["ens5", "ens6", "dev1", "dev2"] } }));
  if (existsSync(`${BIN}/bridge`)) return;
  sh(`cp /usr/lib/cni/* ${BIN}/`);
  const ipam = { type: "host-local", ranges: [[{ subnet: pods }]], routes: [{ dst: "0.0.0.0/0" }] };
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: false, ipam };
  writeFileSync(
    `${NET_D}/10-bridge.conflist`,
    JSON.stringify({ cniVersion: "1.0.0", name: "cbr0", plugins: [bridge] }),
  );
}

export interface Link {
  ifname: string;
  address: string;
  mtu: number;
  link_type: string;
  addr_info: { family: string; local: string; prefixlen: number }[];
}

export const links = (): Link[] => JSON.parse(sh("ip -j address show"));
export const link = (name: string) => links().find(({ ifname }) => ifname === name);

/** True when a host of the LAN gets an answer from the address. */
export function ping(address: string): boolean {
  const command = `ip netns exec ${LAN} ping -n -c 3 -i 0.3 -W 2 ${address} 2>&1 || true`;
  return sh(command).includes("bytes from");
}

/** Addresses that are given in a network: those of its lease files. */
export function leases(network: string): string[] {
  const directory = `/var/lib/cni/networks/${network}`;
  return existsSync(directory) ? readdirSync(directory).filter((name) => /^[\da-f]+[.:]/.test(name)) : [];
}

/** Its bridge and ports: what each pod has on the node, and what is there once for all of them. */
const DEFAULT_NETWORK = /\b(cni0|veth)\b|^dir \/var\/lib\/cni\/(results|cache)$/;

/** Names, and aliases, of devices that are there before any pod: not of the bridges of networks and their ports. */
export const LENT = /^(?!$|cni0$|veth|br\d|podnic:)/;

/**
 * All that pods leave on a node while they run: what interleave's picture has of it, but for the default network, and what they leave on the
 * disk. The picture's program is compiled before the node's namespaces are made.
 */
export function remains(): string[] {
  const lines = linesIn(sh(`${join(cache, "interleave/picture")} host`), LENT);
  const rules = hasTables(lines) ? rulesIn(sh(RULES)) : [];
  return [...lines, ...rules, ...stateOf("/", ["/var/lib/cni", "/run/podnic", "/run/cni"])]
    .map(withoutForwarding)
    .filter((line) => !DEFAULT_NETWORK.test(line) && !FORWARDING.test(line) && !EMPTY_TABLE.includes(line))
    .sort();
}

/** By container of this node: seconds for which its CPU limit made it wait (cgroups of the first version). */
function throttled(): Map<string, number> {
  const top = `/sys/fs/cgroup/cpu/${CGROUP}`;
  const directories = existsSync(top) ? readdirSync(top, { recursive: true, withFileTypes: true }) : [];
  const times = new Map<string, number>();
  for (const { name, parentPath } of directories.filter(({ name }) => name === "cpu.stat")) {
    try {
      const text = readFileSync(`${parentPath}/${name}`, "utf8");
      times.set(parentPath, Number(/throttled_time (\d+)/.exec(text)?.[1] ?? "0") / 1e9);
    } catch {
      // It ended meanwhile.
    }
  }
  return times;
}

/** Until it is asked: how long containers had to wait, those too that end before it is asked. */
export function watchThrottling(): () => number {
  const before = throttled();
  const last = new Map<string, number>();
  const look = () => throttled().forEach((seconds, container) => void last.set(container, seconds));
  const timer = setInterval(look, 200);
  return () => {
    clearInterval(timer);
    look();
    return [...last].reduce((sum, [container, seconds]) => sum + seconds - (before.get(container) ?? 0), 0);
  };
}
