// bridge: which bridges a network may use, and which addresses it may make the node's. What is never right is refused without a policy; the
// policy's bridges.names and bridges.gateways narrow the rest. What the guides do goes on working.
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, fixed, hostLocal, makeBridge, pod, ports } from "./bridge-shared.ts";
import { UPLINK } from "./node-situations.ts";
import { say } from "./stubs.ts";

const one = rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "plugin:static"]);

const gateway = (address: string, gw: string, keys: Config = {}): Config =>
  conf({ isGateway: true, ipam: { type: "static", addresses: [{ address, gateway: gw }] }, ...keys });

const allow = (t: Trial, bridges: Config | undefined, devices?: Config): void =>
  t.write("/etc/cni/podnic.json", JSON.stringify({ bridges, devices }));

const held = (t: Trial, name: string): string[] =>
  (t.link(name, "")?.addresses ?? []).filter(({ scope }) => scope !== "link").map(({ cidr }) => cidr);

interface Situation {
  id: string;
  what: string;
  /** Shell. */
  setup?: string;
  /** Of bridges. */
  policy?: Config;
  /** Of devices. */
  devices?: Config;
  config: Config;
  needs?: string[];
  /** Shell: what is done to ens5 before a pod gets it by host-device. */
  lent?: string;
}

/** Refused with code 7, and links, addresses and state are as they were. */
const refused = ({ id, what, setup = "true", policy, devices, config, needs = [], lent }: Situation): Case =>
  one(
    id,
    "H",
    "a network makes nothing of others' the node's, and keeps to the node's policy",
    `${what}: E(7), nothing changed`,
    (t) => {
      t.sh(`${UPLINK}; ${setup}`);
      if (policy !== undefined || devices !== undefined) allow(t, policy, devices);
      if (lent !== undefined) {
        t.sh(`ip link add ens5 type veth peer name far5; ${lent}`);
        const { set } = pod(t, "c2");
        t.silentRun(t.call("ADD", LENT, { set, plugin: "host-device", wrap: '"$@" >/dev/null' }));
      }
      t.refused("ADD", config, [7]);
    },
    lent === undefined ? needs : [...needs, "plugin:host-device"],
  );

/** What people have, or what the administrator allows: ADD, CHECK and DEL succeed. */
const usual = ({ id, what, setup = "true", policy, devices, config, needs = [] }: Situation): Case =>
  one(
    id,
    "G",
    "what the guides do goes on working",
    `${what}: OK`,
    (t) => {
      t.sh(`${UPLINK}; ${setup}`);
      if (policy !== undefined || devices !== undefined) allow(t, policy, devices);
      const before = ports(t, String(config.bridge)).length;
      const prevResult = t.add(config);
      t.silent("CHECK", { ...config, prevResult });
      t.silent("DEL", { ...config, prevResult });
      t.equal(ports(t, String(config.bridge)).length, before, "ports");
    },
    needs,
  );

const BRIDGE = "ip link add br0 up type bridge";
/** ens5 is a veth whose other end is a port of br0. */
const FAR = `${BRIDGE}; ip link add ens5 up type veth peer name far5; ip link set far5 up`;
const WIRED = `${BRIDGE}; ip link add ens5 up type veth peer name wire0; ip link set wire0 up master br0`;
/** A bridge whose address nobody set takes that of its ports, and zeros when the last is gone: ADD makes a port before it looks at the VLAN. */
const VLAN_BRIDGE = "ip link add br0 address 02:00:00:00:00:b0 up type bridge vlan_filtering 1";
/** Of another network, with its gateway. */
const OTHER_BRIDGE = "ip link add br9 up type bridge; ip address add 10.61.0.1/16 dev br9";
/** The node's way out by a bridge, as KubeVirt's and Harvester's guides have it. */
const UPLINK_BRIDGE = `ip address flush dev up0; ${BRIDGE}; ip link set up0 master br0; ip address add 192.0.2.9/24 dev br0; ip route add default via 192.0.2.1`;
const SIX = "ip address add 2001:db8:5::9/64 dev up0 nodad";
const IPVS = "ip link add ipvs0 type veth peer ipvs1; ip address add 10.96.0.10/32 dev ipvs0";

const takenAddresses: Situation[] = [
  { id: "ATK-B1a", what: "the node's own address as the gateway", config: gateway("192.0.2.77/24", "192.0.2.9") },
  { id: "ATK-B1b", what: "the address of the node's router", config: gateway("192.0.2.77/24", "192.0.2.1") },
  {
    id: "ATK-B1c",
    what: "the address of the node's router, in a smaller subnet",
    config: gateway("192.0.2.2/30", "192.0.2.1"),
  },
  {
    id: "ATK-B1d",
    what: "the address of the node's router, in IPv6",
    setup: SIX,
    config: gateway("2001:db8:5::77/64", "2001:db8:5::1"),
  },
  {
    id: "ATK-B1e",
    what: "a service address that kube-proxy keeps on a dummy (IPVS)",
    setup: IPVS,
    config: gateway("10.96.0.77/16", "10.96.0.10"),
  },
  {
    id: "ATK-B1f",
    what: "the gateway of another network, on another bridge",
    setup: "ip link add br1 up type bridge; ip address add 10.88.0.1/16 dev br1",
    config: gateway("10.88.0.77/24", "10.88.0.1"),
  },
  {
    id: "ATK-B1g",
    what: "the other end of a tunnel of the node",
    setup: "ip address add 10.9.9.1 peer 10.9.9.2/32 dev up0",
    config: gateway("10.9.9.77/24", "10.9.9.2"),
  },
  { id: "ATK-B1h", what: "a loopback address", config: gateway("127.9.0.77/24", "127.9.0.1") },
  { id: "ATK-B1i", what: "half of all there is as the subnet", config: gateway("11.0.0.77/1", "11.0.0.1") },
  {
    id: "ATK-B1j",
    what: "half of all there is as the subnet, in IPv6",
    config: gateway("2001:db8:9::77/1", "2001:db8:9::1"),
  },
  { id: "ATK-B6a", what: "a thirty-second of IPv4 as the subnet", config: gateway("11.0.0.77/5", "11.0.0.1") },
  { id: "ATK-B6b", what: "most of the IPv6 internet as the subnet", config: gateway("2000::77/5", "2000::2") },
  {
    id: "ATK-B6c",
    what: "the address of a pod that the node has a route to (Calico, Cilium, Amazon)",
    setup: "ip link add cali1 up type veth peer name far1; ip route add 10.61.0.7/32 dev cali1",
    config: gateway("10.61.0.6/30", "10.61.0.7"),
  },
  {
    id: "ATK-B6d",
    what: "the metadata service, behind a route without a gateway",
    setup: "ip route add 169.254.0.0/16 dev up0",
    config: gateway("169.254.169.253/30", "169.254.169.254"),
  },
  {
    id: "ATK-B6e",
    what: "an address in a local route on lo",
    setup: "ip route add local 10.61.0.0/24 dev lo",
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B6f",
    what: "a host that the node has a route of its own to",
    setup: "ip route add 203.0.113.5/32 via 192.0.2.1",
    config: gateway("203.0.113.6/30", "203.0.113.5"),
  },
  ...[
    ["ATK-B6i", "the IPv4 internet behind NAT64", "64:ff9b::5/96", "64:ff9b::1"],
    ["ATK-B6j", "a subnet around NAT64's", "64:ff9b::5/64", "64:ff9b::1"],
    ["ATK-B6k", "the node's multicast groups", "224.0.0.5/24", "224.0.0.1"],
    ["ATK-B6l", "reserved addresses", "240.0.0.5/16", "240.0.0.1"],
    ["ATK-B6m", "the addresses of this network", "0.0.0.5/16", "0.0.0.1"],
  ].map(([id = "", what, address = "", gw = ""]) => ({
    id,
    what: `${what} as the subnet`,
    config: gateway(address, gw),
  })),
  {
    id: "ATK-B1k",
    what: "the node's own address, on a bridge that exists",
    setup: BRIDGE,
    config: gateway("192.0.2.77/24", "192.0.2.9"),
  },
  {
    id: "ATK-B1l",
    what: "the node's own address, in a VLAN",
    setup: VLAN_BRIDGE,
    config: gateway("192.0.2.77/24", "192.0.2.9", { vlan: 7 }),
    needs: ["kernel:vlan_filtering"],
  },
  {
    id: "ATK-B1m",
    what: "a device of the node's that is only called like the gateway's interface in a VLAN",
    setup: `${VLAN_BRIDGE}; ip link add br0.7 up type veth peer other`,
    config: gateway("10.61.0.77/24", "10.61.0.1", { vlan: 7 }),
    needs: ["kernel:vlan_filtering"],
  },
];

const takenBridges: Situation[] = [
  {
    id: "ATK-B2a",
    what: "forceAddress on the bridge that carries the node's default route",
    setup: UPLINK_BRIDGE,
    config: gateway("10.61.0.77/24", "10.61.0.1", { forceAddress: true }),
  },
  {
    id: "ATK-B2b",
    what: "forceAddress on a bridge with a card of the node and an address, without a default route",
    setup: `${BRIDGE}; ip link add nic0 type veth peer far0; ip link add mv9 link nic0 type macvlan; ip link set mv9 master br0; ip address add 10.5.0.9/24 dev br0`,
    config: gateway("10.61.0.77/24", "10.61.0.1", { forceAddress: true }),
  },
  {
    id: "ATK-B2c",
    what: "forceAddress for a larger subnet around the node's own, in IPv6",
    setup: `${BRIDGE}; ip link set up0 master br0; ip address add 2001:db8:7::9/64 dev br0 nodad; ip -6 route add default via 2001:db8:7::1`,
    config: gateway("2001:db8:7:1::77/48", "2001:db8:7:1::1", { forceAddress: true }),
  },
];

const LENT: Config = { cniVersion: "1.1.0", name: "hd", type: "host-device", device: "ens5" };

/** Names that something else has when it is there. */
const takenNames: Situation[] = [
  {
    id: "ATK-B7a",
    what: "a bridge with the name of a device that a pod has",
    lent: "true",
    config: conf({ bridge: "ens5" }),
  },
  {
    id: "ATK-B7b",
    what: "a bridge with an alternative name of a device that a pod has",
    lent: "ip link property add dev ens5 altname enp0s5",
    config: conf({ bridge: "enp0s5" }),
    needs: ["kernel:altname"],
  },
  {
    id: "ATK-B7c",
    what: "a bridge with the name of a tunnel that flannel makes",
    config: conf({ bridge: "flannel.1" }),
  },
  { id: "ATK-B7d", what: "a bridge with the name of kube-proxy's dummy", config: conf({ bridge: "kube-ipvs0" }) },
];

/** The pod has macvlan shim0 on the node's device. */
const podsMacvlan = (device: string): string =>
  `ip link set ${device} up; ip link add shim0 link ${device} netns c1 type macvlan mode bridge; ip -n c1 link set shim0 up`;
const inPod = (keys: Config = {}): Config => ({
  ...{ cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "shim0", linkInContainer: true },
  ...keys,
});
const SOURCE = { mode: "source", macaddr: ["02:00:00:00:00:01"] };

/** The kernel makes these on the node's device. */
const belowPods: Situation[] = [
  {
    id: "ATK-B8a",
    what: "linkInContainer: macvlan on the pod's macvlan on a bridge that bridges.names does not list",
    setup: `${BRIDGE}; ${podsMacvlan("br0")}`,
    policy: { names: ["br-pods", "vm*"] },
    config: inPod(),
  },
  {
    id: "ATK-B8b",
    what: "linkInContainer: macvlan on the pod's macvlan on a device that devices.deny lists",
    setup: podsMacvlan("up0"),
    devices: { deny: ["up0"] },
    config: inPod(),
  },
  {
    id: "ATK-B8c",
    what: "linkInContainer: macvlan in source mode on the pod's macvlan on the uplink",
    setup: podsMacvlan("up0"),
    devices: { source: ["shim0"] },
    config: inPod(SOURCE),
  },
].map((situation) => ({ ...situation, needs: ["plugin:macvlan"] }));

/** What the pod has for itself, or what the node allows. */
const inPods: Situation[] = [
  {
    id: "ATK-B8d",
    what: "linkInContainer: macvlan in source mode on the pod's own veth, named as a device that devices.deny lists",
    setup: "ip -n c1 link add shim0 up type veth peer name shim1; ip -n c1 link set shim1 up",
    policy: { names: [] },
    devices: { deny: ["shim0"] },
    config: inPod(SOURCE),
  },
  {
    id: "ATK-B8e",
    what: "linkInContainer: macvlan in source mode on the pod's macvlan on a device that devices.source lists",
    setup: podsMacvlan("up0"),
    devices: { source: ["up0"] },
    config: inPod(SOURCE),
  },
].map((situation) => ({ ...situation, needs: ["plugin:macvlan"] }));

const masquerading = (address: string, keys: Config = {}): Config =>
  conf({ ipMasq: true, ipam: { type: "static", addresses: [{ address }] }, ...keys });

/** The rules of ipMasq are about whatever comes from the pod's address. */
const nodesAddresses: Situation[] = [
  {
    id: "ATK-B9a",
    what: "ipMasq and an address that the node has on the loopback interface",
    setup: `${BRIDGE}; ip link set lo up; ip address add 172.20.0.1/32 dev lo`,
    config: masquerading("172.20.0.1/32"),
  },
  {
    id: "ATK-B9b",
    what: "ipMasq and the address that the node has on its uplink",
    setup: BRIDGE,
    config: masquerading("192.0.2.9/24"),
  },
  {
    id: "ATK-B9c",
    what: "ipMasq and an IPv6 address of the node",
    setup: `${BRIDGE}; ip -6 address add 2001:db8:9::9/64 dev up0 nodad`,
    config: masquerading("2001:db8:9::9/64"),
  },
].map((situation) => ({ ...situation, needs: ["kernel:inet_nat"] }));

/** A veth in place of a VLAN device, which not every kernel has. */
const GATEWAY_OF_7 =
  "ip link add br0.7 up type veth peer gw7; ip link set gw7 up master br0; bridge vlan add dev gw7 vid 7 pvid untagged; ip address add 10.61.0.1/24 dev br0.7";
const OF_BR0 = `${BRIDGE}; ip address add 10.61.0.1/24 dev br0`;

/** Other pods send to it. */
const hostsAddresses: Situation[] = [
  {
    id: "ATK-B12a",
    what: "the bridge's own address, which is other pods' gateway, by static",
    setup: OF_BR0,
    policy: { gateways: ["10.61.0.0/24"] },
    config: conf(fixed("10.61.0.1/24")),
  },
  {
    id: "ATK-B12b",
    what: "the bridge's own address with another prefix length and another gateway",
    setup: OF_BR0,
    config: gateway("10.61.0.1/16", "10.61.7.1"),
  },
  {
    id: "ATK-B12c",
    what: "the bridge's own address, by host-local",
    setup: OF_BR0,
    config: conf(hostLocal("10.61.0.0/24", { ranges: [[{ subnet: "10.61.0.0/24", gateway: "10.61.0.9" }]] })),
  },
  {
    id: "ATK-B12d",
    what: "an IPv6 address of the bridge",
    setup: `${BRIDGE}; ip address add fd00:61::1/64 dev br0 nodad`,
    config: conf(fixed("10.61.0.5/24", "fd00:61::1/64")),
  },
  {
    id: "ATK-B12e",
    what: "the address of the gateway's interface in the pod's VLAN",
    setup: `${VLAN_BRIDGE}; ${GATEWAY_OF_7}`,
    config: conf({ vlan: 7, ...fixed("10.61.0.1/24") }),
    needs: ["kernel:vlan_filtering"],
  },
  {
    id: "ATK-B12f",
    what: "isGateway with the pod's address as the gateway",
    setup: BRIDGE,
    config: gateway("10.61.0.1/24", "10.61.0.1"),
  },
];

const againstPolicy: Situation[] = [
  {
    id: "ATK-B3a",
    what: "a bridge that bridges.names does not list",
    setup: BRIDGE,
    policy: { names: ["br-pods", "vm*"] },
    config: conf(),
  },
  {
    id: "ATK-B6g",
    what: "macvlan on a bridge that bridges.names does not list",
    setup: BRIDGE,
    policy: { names: ["br-pods", "vm*"] },
    config: { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "br0" },
    needs: ["plugin:macvlan"],
  },
  {
    id: "ATK-B6h",
    what: "macvlan on the node's macvlan on a bridge that bridges.names does not list",
    setup: `${BRIDGE}; ip link add shim0 link br0 up type macvlan mode bridge`,
    policy: { names: ["br-pods", "vm*"] },
    config: { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "shim0" },
    needs: ["plugin:macvlan"],
  },
  {
    id: "ATK-B6q",
    what: "macvlan on a VLAN interface of a bridge that bridges.names does not list",
    setup: `${BRIDGE}; ip link add link br0 name br0.7 up type vlan id 7`,
    policy: { names: [] },
    config: { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "br0.7" },
    needs: ["plugin:macvlan", "kernel:vlan"],
  },
  ...(["macvlan", "host-device"] as const).map((type, n) => ({
    id: `ATK-B6${"op"[n]}`,
    what: `${type} with a veth whose other end is a port of a bridge that bridges.names does not list`,
    setup: WIRED,
    policy: { names: [] },
    config: { cniVersion: "1.0.0", name: "net1", type, ...(n === 0 ? { master: "ens5" } : { device: "ens5" }) },
    needs: [`plugin:${type}`],
  })),
  ...(["private", "vepa", "passthru", "source"] as const).map((mode, n) => ({
    id: `ATK-B6${"rstu"[n]}`,
    what: `macvlan in ${mode} mode with a veth whose other end is a port of a bridge that bridges.names does not list`,
    setup: WIRED,
    policy: { names: ["br-pods"] },
    config: {
      ...{ cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "ens5", mode },
      ...(mode === "source" ? { macaddr: ["02:00:00:00:00:01"] } : {}),
    },
    needs: ["plugin:macvlan"],
  })),
  {
    id: "ATK-B6v",
    what: "ipvlan with a veth whose other end is a port of a bridge that bridges.names does not list",
    setup: WIRED,
    policy: { names: ["br-pods"] },
    config: { cniVersion: "1.0.0", name: "net1", type: "ipvlan", master: "ens5" },
    needs: ["plugin:ipvlan"],
  },
  ...[
    { type: "host-device", device: "ens5" },
    { type: "macvlan", master: "ens5", mode: "passthru" },
  ].map((config, n) => ({
    id: `ATK-B6${"wx"[n]}`,
    what: `${config.type} with a veth whose other end is a port of a bridge that bridges.names does not list, and which devices.allow lists`,
    setup: WIRED,
    policy: { names: ["br-pods"] },
    devices: { allow: ["ens5"] },
    config: { cniVersion: "1.0.0", name: "net1", ...config },
    needs: [`plugin:${config.type}`],
  })),
  ...[
    { what: "macvlan", upper: "up1v link far5 type macvlan mode passthru" },
    { what: "VLAN", upper: "up1v link far5 type vlan id 7", needs: ["kernel:vlan"] },
    {
      what: "macvlan",
      upper: "up1v link far5 type macvlan mode passthru",
      type: "host-device",
      key: "device",
      needs: ["kernel:macvlan"],
    },
    {
      what: "VLAN on a macvlan",
      upper: "link far5 name mid0 up type macvlan; ip link add up1v link mid0 type vlan id 7",
      needs: ["kernel:vlan"],
    },
  ].map(({ what, upper, type = "macvlan", key = "master", needs = [] }, n) => ({
    id: `ATK-B10${"abcd"[n]}`,
    what: `${type} with a veth on whose other end there is a ${what} that is a port of a bridge that bridges.names does not list`,
    setup: `${FAR}; ip link add ${upper}; ip link set up1v up master br0`,
    policy: { names: ["br-pods"] },
    config: { cniVersion: "1.0.0", name: "net1", type, [key]: "ens5" },
    needs: [`plugin:${type}`, ...needs],
  })),
  ...[
    [
      "the other end of the veth below its port",
      "ip link add up1v link far5 up type macvlan mode passthru; ip link set up1v master br0",
      "far5",
    ],
    ["its port", "ip link set far5 master br0", "far5"],
    ["the other end of its port", "ip link set far5 master br0", "ens5"],
  ].flatMap(([what, setup, denied], n) =>
    (["bridge", "macvlan"] as const).map((type) => ({
      id: `ATK-B10${"efghij"[2 * n + (type === "bridge" ? 0 : 1)]}`,
      what: `${type} on a bridge, and ${what} is listed in devices.deny`,
      setup: `${FAR}; ${setup}`,
      devices: { deny: [denied] },
      config: type === "bridge" ? conf() : { cniVersion: "1.0.0", name: "net1", type, master: "br0" },
      needs: [`plugin:${type}`, ...(n === 0 ? ["kernel:macvlan"] : [])],
    })),
  ),
  {
    id: "ATK-B10k",
    what: "macvlan on a veth, and a VLAN on its other end is listed in devices.deny",
    setup: `${FAR}; ip link add up1v link far5 type vlan id 7`,
    devices: { deny: ["up1v"] },
    config: { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "ens5" },
    needs: ["plugin:macvlan", "kernel:vlan"],
  },
  {
    id: "ATK-B10l",
    what: "macvlan on a bond, and its port is listed in devices.deny",
    setup: `${FAR}; ip link add bond9 type bond; ip link set far5 down; ip link set far5 master bond9; ip link set bond9 up`,
    devices: { deny: ["far5"] },
    config: { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "bond9" },
    needs: ["plugin:macvlan", "kernel:bond"],
  },
  {
    id: "ATK-B3b",
    what: "a bridge to be made that bridges.names does not list",
    policy: { names: [] },
    config: conf(),
  },
  {
    id: "ATK-B3c",
    what: "an unlisted bridge, by an alternative name of its own",
    setup: `${BRIDGE}; ip link property add dev br0 altname mine`,
    policy: { names: ["br-pods"] },
    config: conf({ bridge: "mine" }),
    needs: ["kernel:altname"],
  },
  {
    id: "ATK-B3d",
    what: "a gateway outside bridges.gateways",
    policy: { gateways: ["10.62.0.0/16", "fd00::/8"] },
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B3e",
    what: "a subnet larger than the entry of bridges.gateways that its gateway lies in",
    policy: { gateways: ["10.61.0.0/24"] },
    config: gateway("10.61.0.77/16", "10.61.0.1"),
  },
  {
    id: "ATK-B3f",
    what: "an entry of bridges.gateways around the node's subnet, and the address of the node's router",
    policy: { gateways: ["192.0.0.0/16"] },
    config: gateway("192.0.2.77/24", "192.0.2.1"),
  },
  {
    id: "ATK-B3g",
    what: "an entry of bridges.gateways for the node's own address",
    policy: { gateways: ["192.0.2.8/29"] },
    config: gateway("192.0.2.10/29", "192.0.2.9"),
  },
  {
    id: "ATK-B3h",
    what: "a gateway outside bridges.gateways that the bridge has already",
    setup: `${BRIDGE}; ip address add 10.61.0.1/24 dev br0`,
    policy: { gateways: ["10.62.0.0/16"] },
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B3i",
    what: "part of the subnet of another bridge, which is an entry of bridges.gateways",
    setup: OTHER_BRIDGE,
    policy: { gateways: ["10.61.0.0/16"] },
    config: gateway("10.61.0.77/24", "10.61.0.3"),
  },
  {
    id: "ATK-B3j",
    what: "the address of a pod on another bridge, whose subnet is an entry of bridges.gateways",
    setup: OTHER_BRIDGE,
    policy: { gateways: ["10.61.0.0/16"] },
    config: gateway("10.61.0.3/31", "10.61.0.2"),
  },
];

const allowed: Situation[] = [
  {
    id: "ATK-B10m",
    what: "a bridge with a pod's port, which an entry of devices.deny matches",
    setup: `${BRIDGE}; ip link add veth77 type veth peer name x netns c1; ip link set veth77 up master br0`,
    devices: { deny: ["veth*"] },
    config: conf({ bridge: "br0" }),
  },
  {
    id: "ATK-B10n",
    what: "a bridge with a VLAN of a device that devices.deny lists",
    setup: `${FAR}; ip link add far5.7 link far5 type vlan id 7; ip link set far5.7 up master br0`,
    devices: { deny: ["far5"] },
    config: conf({ bridge: "br0" }),
    needs: ["kernel:vlan"],
  },
  {
    id: "ATK-B4o",
    what: "an address that the host has on another bridge",
    setup: `${OTHER_BRIDGE}; ${BRIDGE}`,
    config: conf(fixed("10.61.0.1/24")),
  },
  {
    id: "ATK-B4p",
    what: "an address that the host has in another VLAN of the bridge",
    setup: `${VLAN_BRIDGE}; ${GATEWAY_OF_7}; ip address add 10.61.0.2/24 dev br0`,
    config: conf({ vlan: 8, ...fixed("10.61.0.1/24", "10.61.0.2/24") }),
    needs: ["kernel:vlan_filtering"],
  },
  {
    id: "ATK-B4a",
    what: "flannel's node: cni0 is the gateway of the subnet whose first address flannel.1 has",
    setup:
      "ip link add flannel.1 up type veth peer far1; ip address add 10.244.1.0/32 dev flannel.1; ip route add 10.244.2.0/24 via 192.0.2.44",
    config: gateway("10.244.1.77/24", "10.244.1.1", { bridge: "cni0" }),
  },
  {
    id: "ATK-B4b",
    what: "KubeVirt's and Harvester's node: a port of the bridge that carries the node's default route",
    setup: UPLINK_BRIDGE,
    config: conf({ promiscMode: true }),
  },
  {
    id: "ATK-B4c",
    what: "the node's own address, which that bridge has already, as the gateway",
    setup: UPLINK_BRIDGE,
    config: gateway("192.0.2.77/24", "192.0.2.9"),
  },
  {
    id: "ATK-B4d",
    what: "a subnet that the node's router has a larger route to",
    setup: "ip route add 10.0.0.0/8 via 192.0.2.1",
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B4i",
    what: "the largest private subnet",
    config: gateway("10.61.0.77/8", "10.61.0.1"),
  },
  {
    id: "ATK-B4j",
    what: "a large subnet of public addresses inside bridges.gateways",
    policy: { gateways: ["11.0.0.0/8"] },
    config: gateway("11.61.0.77/8", "11.61.0.1"),
  },
  {
    id: "ATK-B4e",
    what: "the same gateway as a bridge in a VRF of its own",
    setup:
      "ip link add red up type vrf table 77; ip link add br1 up type bridge; ip link set br1 master red; ip address add 10.61.0.1/24 dev br1",
    config: gateway("10.61.0.77/24", "10.61.0.1"),
    needs: ["kernel:vrf"],
  },
  {
    id: "ATK-B4f",
    what: "a bridge that a pattern of bridges.names lists, and a gateway inside bridges.gateways",
    policy: { names: ["vm*", "br?"], gateways: ["10.61.0.0/16"] },
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B4g",
    what: "an entry of bridges.gateways inside the node's own large subnet",
    setup: "ip address add 10.0.0.9/8 dev up0",
    policy: { gateways: ["10.61.0.0/16"] },
    config: gateway("10.61.0.77/24", "10.61.0.1"),
  },
  {
    id: "ATK-B4n",
    what: "NAT64's subnet inside bridges.gateways",
    policy: { gateways: ["64:ff9b::/96"] },
    config: gateway("64:ff9b::5/96", "64:ff9b::1"),
  },
  {
    id: "ATK-B4h",
    what: "forceAddress on a bridge that others made, with pods alone",
    setup: `${BRIDGE}; ip address add 10.62.0.1/24 dev br0; ip link add veth9 master br0 type veth peer far0`,
    config: gateway("10.61.0.77/24", "10.61.0.1", { forceAddress: true }),
  },
];

export const attacksBridge: CaseTable = {
  perMain: [],
  fixed: [
    ...[takenAddresses, takenBridges, takenNames, nodesAddresses, hostsAddresses, againstPolicy, belowPods]
      .flat()
      .map(refused),
    ...[...allowed, ...inPods].map(usual),
    one(
      "ATK-B5a",
      "H",
      "a gateway whose address an IPAM plugin that is run gave",
      "the node's own: E(7), DEL of the plugin, nothing left",
      (t) => {
        t.sh(UPLINK);
        makeBridge(t);
        const ips = [{ address: "192.0.2.77/24", gateway: "192.0.2.9" }];
        const stub = t.stub({ ADD: say({ cniVersion: "1.1.0", ips }) });
        const set = { CNI_PATH: `${stub.bin}:${t.settings.bin}` };
        t.error(t.call("ADD", conf({ isGateway: true, ipam: { type: "stub" } }), { set }), [7]);
        t.equal([held(t, "br0"), ports(t).length, stub.commands()], [[], 0, "ADD DEL"], "addresses, ports, calls");
      },
    ),
    one(
      "ATK-B12g",
      "H",
      "the bridge's own address, which an IPAM plugin that is run gave",
      "E(7), DEL of the plugin, nothing left",
      (t) => {
        t.sh(OF_BR0);
        const stub = t.stub({ ADD: say({ cniVersion: "1.1.0", ips: [{ address: "10.61.0.1/24" }] }) });
        const set = { CNI_PATH: `${stub.bin}:${t.settings.bin}` };
        t.error(t.call("ADD", conf({ ipam: { type: "stub" } }), { set }), [7]);
        t.equal([held(t, "br0"), ports(t).length, stub.commands()], [["10.61.0.1/24"], 0, "ADD DEL"], "what is left");
      },
    ),
    one("ATK-B5b", "H", "STATUS says that ADD would be refused", "bridges.names does not list it: E(50)", (t) => {
      makeBridge(t);
      const status = conf();
      t.silent("STATUS", status);
      allow(t, { names: ["vm*"] });
      t.error(t.call("STATUS", status), [50]);
    }),
    one(
      "ATK-B5c",
      "H",
      "DEL undoes what an older policy allowed",
      "bridges.names and bridges.gateways list nothing now: OK",
      (t) => {
        const config = gateway("10.61.0.77/24", "10.61.0.1");
        const prevResult = t.add(config);
        allow(t, { names: [], gateways: [] });
        t.silent("DEL", { ...config, prevResult });
        t.equal(ports(t).length, 0, "ports");
      },
    ),
  ],
};
