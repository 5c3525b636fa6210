// What runs at the same time: the node before, the calls side by side, and the DELs after them.

export interface Call {
  readonly command: "ADD" | "DEL" | "CHECK" | "GC";
  readonly config: Readonly<Record<string, unknown>>;
  readonly container?: string;
  /** Name below /run/netns. */
  readonly pod?: string;
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

export const pairs: readonly Pair[] = [
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
