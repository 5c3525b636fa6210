// What is attached in a run of the matrix: the device as the host has it, and the configuration. The devices carry every
// property that a plugin could lose: altname, alias, MAC, MTU, queue length, promiscuous mode.
import { existsSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isNetdevsim, netdevsimCard } from "../harness/netdevsim-card.ts";

export const PLUGINS = ["host-device", "macvlan", "ipvlan", "sriov", "bridge"] as const;
export const IPAMS = ["none", "static", "host-local"] as const;
export type PluginName = (typeof PLUGINS)[number];
export type IpamName = (typeof IPAMS)[number];

export interface Scenario {
  readonly config: Readonly<Record<string, unknown>>;
  /** Shell code that makes the device in a fresh sandbox. `$HOLDER` is the PID of the sandbox seen from outside. */
  readonly inside: string;
  /** Shell code for outside of it, run first: moves hardware in. */
  readonly outside: string;
  /** The inverse, after the sandbox is gone. */
  readonly after: string;
  /** Properties the device's driver changes by itself, named as `ip -j` does. */
  readonly driven?: readonly string[];
  /** Names that host and pod may show at any moment, also while a call runs; when absent nobody watches. */
  readonly names?: readonly string[];
  /** How many sandboxes can exist at a time. */
  readonly copies: number;
}

const IPAM: Readonly<Record<IpamName, Record<string, unknown>>> = {
  none: {},
  static: {
    ipam: {
      type: "static",
      // No IPv6 gateway: with one, plugins wait for duplicate address detection, 1.5 s a point.
      addresses: [{ address: "198.51.100.5/24", gateway: "198.51.100.1" }, { address: "2001:db8::5/64" }],
      routes: [{ dst: "203.0.113.0/24" }, { dst: "2001:db8:1::/48", gw: "2001:db8::1" }],
    },
  },
  "host-local": {
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.10" }]],
      routes: [{ dst: "203.0.113.0/24" }],
    },
  },
};

const DRESS = `
ip link property add dev nic0 altname uplink-of-rack-7
ip link set nic0 alias "to switch 7" mtu 1400 txqueuelen 500 address 02:00:00:00:07:01 promisc on
ip link set nic0 up`;

/** @throws when this machine cannot do it (no SR-IOV card, ipvlan missing: the set-up script then fails with ip's words). */
export function scenario(plugin: PluginName, ipam: IpamName, cniVersion: string): Scenario {
  const common = { cniVersion, name: "net1", type: plugin, ...IPAM[ipam] };
  const alone = { outside: "", after: "", copies: Number.POSITIVE_INFINITY };
  switch (plugin) {
    case "host-device":
      return {
        ...alone,
        config: { ...common, device: "nic0" },
        inside: `ip link add nic0 type veth peer name nic0p; ip link set nic0p up; ${DRESS}`,
      };
    case "macvlan":
    case "ipvlan": {
      const mode = plugin === "macvlan" ? "bridge" : "l2";
      const names = ["lo", "up0", "up1", "eth0"];
      return { ...alone, config: { ...common, master: "up0", mode, mtu: 1400 }, inside: PROBE(plugin), names };
    }
    case "bridge": {
      // Both kinds of rules, and the bridge as gateway where there are addresses; the lock of the port where there are none.
      const keys = {
        macspoofchk: true,
        ...(ipam === "none" ? {} : { macspoofchkBackend: "nftables" }),
        ipMasq: true,
        isGateway: true,
        hairpinMode: true,
      };
      const inside = `ip link add br0 address 02:00:00:00:00:b0 up type bridge; ip address add 198.51.100.1/24 dev br0
        ip address add 2001:db8::1/64 dev br0 nodad; echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding`;
      // Timers, and the limits of the ports it has.
      const driven = ["linkinfo", "tso_max_size", "tso_max_segs", "gso_max_size", "gso_max_segs", "gro_max_size"];
      return { ...alone, config: { ...common, bridge: "br0", ...keys }, inside, driven };
    }
    case "sriov":
      return sriov(common);
  }
}

const PROBE = (kind: string): string => `ip link add probe0 link up0 type ${kind} && ip link del probe0`;

/** Interfaces of cards whose PCI device has that file: directly, or, of virtio, one level higher. */
function cardWith(path: string): { name: string; pci: string } | undefined {
  for (const name of readdirSync("/sys/class/net")) {
    const device = `/sys/class/net/${name}/device`;
    if (existsSync(`${device}/${path}`)) return { name, pci: join(realpathSync(device), dirname(path)) };
  }
  return undefined;
}

const DRESS_FUNCTION = `
ip link property add dev nic0 altname uplink-of-rack-7
ip link set nic0 alias "to switch 7" mtu 1400 txqueuelen 500 promisc on up`;

/** The card and its functions move into the sandbox, whose sysfs then shows them: the test has the machine's view of a node. */
function sriov(common: Record<string, unknown>): Scenario {
  const keys = { ...common, vlan: 100, vlanQoS: 3, mac: "02:00:00:00:01:aa", spoofchk: "off", trust: "on" };
  if (isNetdevsim()) return netdevsim(keys);
  const igb = cardWith("sriov_numvfs");
  if (igb !== undefined) return ofIgb(keys, igb.name, igb.pci);
  const virtio = cardWith("../sriov_numvfs");
  if (virtio !== undefined) return ofVirtio(common, virtio.name, virtio.pci);
  throw new Error("no network card with virtual functions here; run it in conformance/vm");
}

const functionOf = (pci: string, n: number): string => basename(readlinkSync(`${pci}/virtfn${n}`));

const waitFor = (card: string): string =>
  `for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/class/net/${card} ] && break; sleep 0.2; done`;

function ofIgb(keys: Record<string, unknown>, card: string, pci: string): Scenario {
  return {
    copies: 1,
    // igbvf takes its permanent address from the MAC that the host has set, at its next reset; nobody can set it back.
    driven: ["permaddr"],
    get config() {
      return { ...keys, deviceID: functionOf(pci, 1) };
    },
    outside: `
ip link set ${card} up
echo 0 >${pci}/sriov_numvfs; echo 3 >${pci}/sriov_numvfs
ip link set ${card} vf 1 mac 02:00:00:00:07:01 vlan 7 qos 2
for vf in ${pci}/virtfn*/net/*; do ip link set "\${vf##*/}" netns $HOLDER; done
ip link set ${card} netns $HOLDER`,
    inside: `
ip link set ${card} up
vf=$(ls ${pci}/virtfn1/net); ip link set $vf down; ip link set $vf name nic0
# igbvf takes the address that its PF has for it when it goes down.
for i in $(seq 20); do ip link show nic0 | grep -q 02:00:00:00:07:01 && break; ip link set nic0 up; ip link set nic0 down; sleep 0.2; done
ip link show nic0 | grep -q 02:00:00:00:07:01
${DRESS_FUNCTION}`,
    after: `${waitFor(card)}
echo 0 >${pci}/sriov_numvfs`,
  };
}

/** Its PF knows no attributes of functions: what is left is the interface. */
function ofVirtio(common: Record<string, unknown>, card: string, pci: string): Scenario {
  return {
    copies: 1,
    get config() {
      return { ...common, deviceID: functionOf(pci, 1) };
    },
    outside: `
ip link set ${card} up
echo 0 >${pci}/sriov_numvfs; echo 3 >${pci}/sriov_numvfs
for vf in ${pci}/virtfn*/virtio*/net/*; do ip link set "\${vf##*/}" netns $HOLDER; done
ip link set ${card} netns $HOLDER`,
    inside: `
ip link set ${card} up
vf=$(ls ${pci}/virtfn1/virtio*/net); ip link set $vf down; ip link set $vf name nic0
${DRESS_FUNCTION}`,
    after: `${waitFor(card)}
echo 0 >${pci}/sriov_numvfs`,
  };
}

/** All attributes, with 802.1ad, both rates and the link's state. */
function netdevsim(keys: Record<string, unknown>): Scenario {
  const first = 9990;
  return {
    copies: 1,
    config: {
      ...keys,
      deviceID: "0000:af:01.1",
      vlanProto: "802.1ad",
      min_tx_rate: 100,
      max_tx_rate: 400,
      link_state: "enable",
    },
    outside: "",
    inside: `${netdevsimCard(first, 2)}
ip link set pf0 vf 1 mac 02:00:00:00:07:01 vlan 7 qos 2
ip link set vf1 down; ip link set vf1 name nic0 address 02:00:00:00:07:01
${DRESS_FUNCTION}`,
    after: `for n in 0 1 2; do echo ${first / 10}$n >/sys/bus/netdevsim/del_device; done`,
  };
}
