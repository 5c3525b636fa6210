// What runs at the same time: the node before, the calls side by side, and the DELs after them.

export interface Call {
  readonly command: "ADD" | "DEL" | "CHECK" | "GC";
  readonly config: Readonly<Record<string, unknown>>;
  readonly container?: string;
  /** Name below /run/netns. */
  readonly pod?: string;
  /** Of the Go plugins. */
  readonly peer?: true;
}
/** An operator's command, such as `gc --all`. */
export interface Operation {
  readonly podnic: readonly string[];
}

export interface Pair {
  readonly name: string;
  /** Shell code that makes the devices, once for each world. */
  readonly inside: string;
  /** Before every schedule. */
  readonly given: readonly Call[];
  readonly actors: readonly (Call | Operation)[];
  /** A network card, whose virtual function VF stands for in configurations. */
  readonly card?: true;
  /** Shell code, in a network namespace of its own, that fails where the kernel lacks something. */
  readonly needs?: string;
}

const range = (end: string) => ({
  type: "host-local",
  ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.10", rangeEnd: end }]],
});
const common = { cniVersion: "1.1.0", name: "net1" };
const wide = range("198.51.100.20");
const hostLocal = (ipam = wide) => ({ ...common, type: "host-local", ipam });
const macvlan = (ipam?: object) => ({ ...common, type: "macvlan", master: "up0", ...(ipam && { ipam }) });
const device = { ...common, type: "host-device", device: "nic0" };
const bridge = (more: object = {}) => ({ ...common, type: "bridge", bridge: "br0", ...more });
const gateway = { isGateway: true, ipMasq: true, ipam: wide };
const NIC =
  "ip link add nic0 type veth peer name nic0p; ip link set nic0p up; ip link set nic0 up alias 'rack 7' mtu 1400";

const call = (command: Call["command"], config: object, n = 1): Call => ({
  command,
  config: config as Call["config"],
  container: `ctr-${n}`,
  pod: `c${n}`,
});
const collect = (config: object, valid: number[] = []): Call => ({
  command: "GC",
  config: {
    ...config,
    "cni.dev/valid-attachments": valid.map((n) => ({ containerID: `ctr-${n}`, ifname: "eth0" })),
  },
});

function pair(name: string, inside: string, given: Call[], actors: Pair["actors"]): Pair {
  return { name, inside, given, actors };
}

const ofOne: readonly Pair[] = [
  pair("host-local ADD, ADD", "", [], [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)]),
  pair("host-local ADD, ADD of one container", "", [], [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 1)]),
  pair(
    "host-local ADD, ADD, one address left",
    "",
    [],
    [call("ADD", hostLocal(range("198.51.100.10")), 1), call("ADD", hostLocal(range("198.51.100.10")), 2)],
  ),
  pair(
    "host-local ADD, DEL of another",
    "",
    [call("ADD", hostLocal(), 2)],
    [call("ADD", hostLocal(), 1), call("DEL", hostLocal(), 2)],
  ),
  pair("host-local ADD, DEL of one container", "", [], [call("ADD", hostLocal(), 1), call("DEL", hostLocal(), 1)]),
  pair(
    "host-local DEL, DEL",
    "",
    [call("ADD", hostLocal(), 1)],
    [call("DEL", hostLocal(), 1), call("DEL", hostLocal(), 1)],
  ),
  pair(
    "host-local ADD, GC",
    "",
    [call("ADD", hostLocal(), 2)],
    [call("ADD", hostLocal(), 1), collect(hostLocal(), [1])],
  ),
  pair(
    "host-local DEL, GC",
    "",
    [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)],
    [call("DEL", hostLocal(), 1), collect(hostLocal(), [])],
  ),
  pair(
    "host-local CHECK, DEL of another",
    "",
    [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)],
    [call("CHECK", hostLocal(), 1), call("DEL", hostLocal(), 2)],
  ),
  pair("host-device ADD, ADD of one device", NIC, [], [call("ADD", device, 1), call("ADD", device, 2)]),
  pair("host-device DEL, ADD", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), call("ADD", device, 2)]),
  pair("host-device DEL, DEL", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), call("DEL", device, 1)]),
  pair("host-device ADD, DEL of one container", NIC, [], [call("ADD", device, 1), call("DEL", device, 1)]),
  pair("host-device ADD, GC", NIC, [], [call("ADD", device, 1), collect(device, [1])]),
  pair("host-device DEL, GC", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), collect(device, [])]),
  pair("host-device ADD, gc --all", NIC, [], [call("ADD", device, 1), { podnic: ["gc", "--all"] }]),
  pair("host-device ADD, doctor --fix", NIC, [], [call("ADD", device, 1), { podnic: ["doctor", "--fix", "--yes"] }]),
  pair("macvlan ADD, ADD", "", [], [call("ADD", macvlan(wide), 1), call("ADD", macvlan(wide), 2)]),
  pair("macvlan ADD, DEL of one container", "", [], [call("ADD", macvlan(wide), 1), call("DEL", macvlan(wide), 1)]),
  pair("macvlan DEL, DEL", "", [call("ADD", macvlan(), 1)], [call("DEL", macvlan(), 1), call("DEL", macvlan(), 1)]),
  pair("bridge ADD, ADD, first ports", "", [], [call("ADD", bridge(), 1), call("ADD", bridge(), 2)]),
  pair(
    "bridge ADD, ADD, gateway and masquerade",
    "",
    [],
    [call("ADD", bridge(gateway), 1), call("ADD", bridge(gateway), 2)],
  ),
  pair(
    "bridge DEL, ADD, last port",
    "",
    [call("ADD", bridge(gateway), 1)],
    [call("DEL", bridge(gateway), 1), call("ADD", bridge(gateway), 2)],
  ),
  pair(
    "bridge DEL, DEL",
    "",
    [call("ADD", bridge(gateway), 1)],
    [call("DEL", bridge(gateway), 1), call("DEL", bridge(gateway), 1)],
  ),
];

const elsewhere = { type: "host-local", ranges: [[{ subnet: "198.51.101.0/24" }]] };
const gateways: readonly Pair[] = [
  pair(
    "bridge ADD, ADD, two gateways at once",
    "",
    [],
    [call("ADD", bridge(gateway), 1), call("ADD", bridge({ isGateway: true, ipam: elsewhere }), 2)],
  ),
];

const one = range("198.51.100.10");
const two = range("198.51.100.11");
const THIRD = "ip netns add c3; ip -n c3 link set lo up";
/** Version 1.1.1 knows nothing later than 1.0.0. */
const byGo = (made: Call): Call => ({ ...made, config: { ...made.config, cniVersion: "1.0.0" }, peer: true });

/** Both keep their leases in one directory. */
const withGo: readonly Pair[] = [
  pair("host-local ADD, Go ADD", "", [], [call("ADD", hostLocal(), 1), byGo(call("ADD", hostLocal(), 2))]),
  pair(
    "host-local ADD, Go ADD, one address left",
    "",
    [],
    [call("ADD", hostLocal(one), 1), byGo(call("ADD", hostLocal(one), 2))],
  ),
  pair(
    "host-local ADD, Go DEL of another",
    "",
    [call("ADD", hostLocal(), 2)],
    [call("ADD", hostLocal(), 1), byGo(call("DEL", hostLocal(), 2))],
  ),
  pair(
    "host-local DEL, Go ADD",
    "",
    [call("ADD", hostLocal(one), 1)],
    [call("DEL", hostLocal(one), 1), byGo(call("ADD", hostLocal(one), 2))],
  ),
  pair(
    "host-local DEL, Go DEL of one container",
    "",
    [call("ADD", hostLocal(), 1)],
    [call("DEL", hostLocal(), 1), byGo(call("DEL", hostLocal(), 1))],
  ),
  pair(
    "host-local GC, Go ADD",
    "",
    [call("ADD", hostLocal(), 1)],
    [collect(hostLocal(), [2]), byGo(call("ADD", hostLocal(), 2))],
  ),
];

const triples: readonly Pair[] = [
  pair(
    "host-local ADD, ADD, ADD, two addresses left",
    THIRD,
    [],
    [call("ADD", hostLocal(two), 1), call("ADD", hostLocal(two), 2), call("ADD", hostLocal(two), 3)],
  ),
  pair(
    "host-local ADD, DEL, GC",
    THIRD,
    [call("ADD", hostLocal(), 2), call("ADD", hostLocal(), 3)],
    [call("ADD", hostLocal(), 1), call("DEL", hostLocal(), 2), collect(hostLocal(), [1, 2])],
  ),
  pair(
    "host-local ADD, DEL, Go ADD",
    THIRD,
    [call("ADD", hostLocal(two), 2)],
    [call("ADD", hostLocal(two), 1), call("DEL", hostLocal(two), 2), byGo(call("ADD", hostLocal(two), 3))],
  ),
  pair(
    "host-device DEL, ADD, GC",
    NIC,
    [call("ADD", device, 1)],
    [call("DEL", device, 1), call("ADD", device, 2), collect(device, [2])],
  ),
  pair(
    "macvlan ADD, ADD, DEL of the first",
    "",
    [],
    [call("ADD", macvlan(wide), 1), call("ADD", macvlan(wide), 2), call("DEL", macvlan(wide), 1)],
  ),
  pair(
    "bridge ADD, ADD, DEL, gateway and masquerade",
    THIRD,
    [call("ADD", bridge(gateway), 3)],
    [call("ADD", bridge(gateway), 1), call("ADD", bridge(gateway), 2), call("DEL", bridge(gateway), 3)],
  ),
];

const ipvlan = (mode: string) => ({ ...common, type: "ipvlan", master: "up0", mode });
const HAS_IPVLAN = "ip link add up0 type veth peer name up1; ip link add link up0 name upper type ipvlan";

/** The mode is one for all interfaces of a master: the second of two modes has to fail, whoever comes second. */
const onIpvlan: readonly Pair[] = [
  pair("ipvlan ADD, ADD, first of a master", "", [], [call("ADD", ipvlan("l2"), 1), call("ADD", ipvlan("l2"), 2)]),
  pair("ipvlan ADD, ADD, two modes at once", "", [], [call("ADD", ipvlan("l2"), 1), call("ADD", ipvlan("l3"), 2)]),
  pair(
    "ipvlan DEL, ADD of another mode, last of a master",
    "",
    [call("ADD", ipvlan("l2"), 1)],
    [call("DEL", ipvlan("l2"), 1), call("ADD", ipvlan("l3"), 2)],
  ),
  pair("ipvlan ADD, DEL of one container", "", [], [call("ADD", ipvlan("l2"), 1), call("DEL", ipvlan("l2"), 1)]),
].map((made) => ({ ...made, needs: HAS_IPVLAN }));

export const VF = "the card's function";
const sriov = { ...common, type: "sriov", deviceID: VF, vlan: 7, mac: "02:00:00:00:00:07" };

const onSriov: readonly Pair[] = [
  pair("sriov ADD, ADD of one function", "", [], [call("ADD", sriov, 1), call("ADD", sriov, 2)]),
  pair("sriov DEL, ADD", "", [call("ADD", sriov, 1)], [call("DEL", sriov, 1), call("ADD", sriov, 2)]),
  pair("sriov DEL, DEL", "", [call("ADD", sriov, 1)], [call("DEL", sriov, 1), call("DEL", sriov, 1)]),
  pair("sriov ADD, DEL of one container", "", [], [call("ADD", sriov, 1), call("DEL", sriov, 1)]),
  pair("sriov ADD, GC", "", [], [call("ADD", sriov, 1), collect(sriov, [1])]),
].map((made) => ({ ...made, card: true }));

export const pairs: readonly Pair[] = [...ofOne, ...gateways, ...withGo, ...triples, ...onIpvlan, ...onSriov];

/** Faults of step.c, and the pair that has to find each: locks that do not lock, that others may have besides, and a record that never comes to be. */
export const seeded: readonly { readonly fault: string; readonly pair: string }[] = [
  { fault: "flock:networks", pair: "host-local ADD, ADD, one address left" },
  { fault: "shared:networks", pair: "host-local ADD, DEL of one container" },
  { fault: "flock:podnic/host-device", pair: "host-device ADD, ADD of one device" },
  { fault: "flock:netns", pair: "host-device ADD, DEL of one container" },
  { fault: "rename:podnic/host-device", pair: "host-device ADD, ADD of one device" },
];
