// What runs at the same time: the node before, the calls side by side, and the DELs after them.
import {
  bridge,
  byGo,
  call,
  collect,
  device,
  functionOf,
  gateway,
  HAS_IPVLAN,
  hostLocal,
  ipvlan,
  macvlan,
  NIC,
  type Pair,
  pair,
  range,
  sriov,
  THIRD,
  wholeCard,
  wide,
} from "./calls.ts";
import { ofOperators } from "./operators.ts";

/** The calls leave the lock of host-device to remove it. */
const STACKED = "ip -n c1 link add link eth0 name upper type macvlan mode bridge";
/** And to look for the device. */
const ASTRAY = `${STACKED}; ip -n c1 link set eth0 netns c2 name away`;

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
  ...[
    pair(
      "host-device DEL, ADD, stacked",
      NIC,
      [call("ADD", device, 1)],
      [call("DEL", device, 1), call("ADD", device, 2)],
    ),
    pair(
      "host-device DEL, DEL, stacked",
      NIC,
      [call("ADD", device, 1)],
      [call("DEL", device, 1), call("DEL", device, 1)],
    ),
  ].map((one) => ({ ...one, pods: STACKED })),
  ...[
    pair(
      "host-device DEL, ADD, astray",
      NIC,
      [call("ADD", device, 1)],
      [call("DEL", device, 1), call("ADD", device, 2)],
    ),
    pair("host-device DEL, GC, astray", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), collect(device, [])]),
  ].map((one) => ({ ...one, pods: ASTRAY })),
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
  pair(
    "ipvlan DEL, DEL",
    "",
    [call("ADD", ipvlan("l2"), 1)],
    [call("DEL", ipvlan("l2"), 1), call("DEL", ipvlan("l2"), 1)],
  ),
  pair("ipvlan ADD, GC", "", [], [call("ADD", ipvlan("l2"), 1), collect(ipvlan("l2"), [1])]),
].map((made) => ({ ...made, needs: HAS_IPVLAN }));

/** Two plugins, and one card's function. */
const onCard: readonly Pair[] = [
  ...(["sriov", "host-device"] as const).flatMap((name) => {
    const config = name === "sriov" ? sriov : functionOf;
    return [
      pair(`${name} ADD, ADD of one function`, "", [], [call("ADD", config, 1), call("ADD", config, 2)]),
      pair(
        `${name} DEL, ADD of a function`,
        "",
        [call("ADD", config, 1)],
        [call("DEL", config, 1), call("ADD", config, 2)],
      ),
      pair(
        `${name} DEL, DEL of a function`,
        "",
        [call("ADD", config, 1)],
        [call("DEL", config, 1), call("DEL", config, 1)],
      ),
      pair(`${name} ADD, DEL of one container, a function`, "", [], [call("ADD", config, 1), call("DEL", config, 1)]),
      pair(`${name} ADD, GC, a function`, "", [], [call("ADD", config, 1), collect(config, [1])]),
      pair(`${name} ADD, gc --all, a function`, "", [], [call("ADD", config, 1), { podnic: ["gc", "--all"] }]),
      pair(
        `${name} ADD, doctor --fix, a function`,
        "",
        [],
        [call("ADD", config, 1), { podnic: ["doctor", "--fix", "--yes"] }],
      ),
    ];
  }),
  pair("sriov ADD, host-device ADD of one function", "", [], [call("ADD", sriov, 1), call("ADD", functionOf, 2)]),
  pair(
    "sriov ADD of a function, host-device ADD of its card",
    "",
    [],
    [call("ADD", sriov, 1), call("ADD", wholeCard, 2)],
  ),
  pair(
    "sriov DEL of a function, host-device ADD of its card",
    "",
    [call("ADD", sriov, 1)],
    [call("DEL", sriov, 1), call("ADD", wholeCard, 2)],
  ),
  pair(
    "host-device DEL of a card, sriov ADD of its function",
    "",
    [call("ADD", wholeCard, 1)],
    [call("DEL", wholeCard, 1), call("ADD", sriov, 2)],
  ),
].map((made) => ({ ...made, card: true }));

export const pairs: readonly Pair[] = [
  ...ofOne,
  ...gateways,
  ...withGo,
  ...triples,
  ...ofOperators,
  ...onIpvlan,
  ...onCard,
];

/** Faults of step.c, and the pair that has to find each: locks that do not lock, that others may have besides, and a record that never comes to be. */
export const seeded: readonly { readonly fault: string; readonly pair: string }[] = [
  { fault: "flock:networks", pair: "host-local ADD, ADD, one address left" },
  { fault: "shared:networks", pair: "host-local ADD, DEL of one container" },
  { fault: "flock:podnic/host-device", pair: "host-device ADD, ADD of one device" },
  { fault: "flock:netns", pair: "host-device ADD, DEL of one container" },
  { fault: "rename:podnic/host-device", pair: "host-device ADD, ADD of one device" },
  { fault: "flock:networks", pair: "macvlan ADD, gc --all, one pod dead" },
];
