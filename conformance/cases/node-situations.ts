// Which devices go to pods and which stay with the node: the table of docs/configuration.md, and the cases of node-devices.ts.
// The node has its way out over up0; the device asked for is dev0, a network card on a cable to dev0p, unless the situation makes another one.

export interface Situation {
  readonly id: string;
  readonly what: string;
  /** Part of the refusal; absent: the device is handed over. */
  readonly refused?: string;
  /** Why, for the table. */
  readonly why: string;
  /** Shell lines that make the situation. */
  readonly setup?: string;
  readonly device?: string;
  /** macvlan's mode, when it is a master for macvlan. */
  readonly mode?: string;
  readonly policy?: { allow?: string[]; deny?: string[] };
  readonly needs?: readonly string[];
  /** Nothing allows it. */
  readonly never?: boolean;
  /** We would hand it over, and the kernel refuses to move it. */
  readonly immovable?: boolean;
}

/** The node's own way out; situations that lack it begin with NO_UPLINK. */
export const UPLINK = "ip address add 192.0.2.9/24 dev up0; ip route add default via 192.0.2.1";
const NO_UPLINK = "ip route del default";
const OWN = "ip address add 10.0.10.93/24 dev dev0; ip route add default via 10.0.10.1 dev dev0 table 101";
const SIX = "ip -6 address add 2001:db8:5::93/64 dev dev0 nodad";
const RA = "ip -6 route add default via fe80::1 dev dev0 proto ra";
const ON = "ip address add 10.0.10.93/24 dev dev0";
const DEFAULT = "a default route of this node";
const ALLOWED: Situation[] = [
  { id: "ND-01", what: "network card, virtual function", why: "nobody uses it" },
  {
    id: "ND-02",
    what: "with addresses and their connected routes",
    why: "they come back after DEL",
    setup: `${ON}; ${SIX}`,
  },
  {
    id: "ND-03",
    what: "with a static route without gateway",
    why: "it leads to the device's own link",
    setup: `${ON}; ip route add 10.7.0.0/16 dev dev0`,
  },
  {
    id: "ND-04",
    what: "default route in a table that no rule leads to",
    why: "no packet is looked up in it",
    setup: OWN,
  },
  {
    id: "ND-05",
    what: "… that a rule for the device's own address leads to (OKE)",
    why: "only its own traffic",
    setup: `${OWN}; ip rule add from 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-06",
    what: "… and a rule to that address",
    why: "only its own traffic",
    setup: `${OWN}; ip rule add from 10.0.10.93 lookup 101; ip rule add to 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-07",
    what: "… a rule for its subnet, in which the node has no other address",
    why: "only its own traffic",
    setup: `${OWN}; ip rule add from 10.0.10.0/24 lookup 101`,
  },
  {
    id: "ND-08",
    what: "… rules with iif or oif of the device",
    why: "only its own traffic",
    setup: `${OWN}; ip rule add iif dev0 lookup 101; ip rule add oif dev0 lookup 101`,
  },
  {
    id: "ND-09",
    what: "… in IPv6 (Amazon, table 10000 + index)",
    why: "only its own traffic",
    setup: `${SIX}; ip -6 route add default via 2001:db8:5::1 dev dev0 table 10001; ip -6 rule add from 2001:db8:5::93 lookup 10001`,
  },
  {
    id: "ND-10",
    what: "default route that a router advertised, on a node with a configured one",
    why: "nobody asked for it",
    setup: RA,
  },
  {
    id: "ND-11",
    what: "macvlan interface of the host",
    why: "made to be used",
    setup: "ip link add mv0 link dev0 type macvlan mode bridge",
    device: "mv0",
  },
  {
    id: "ND-12",
    what: "dummy",
    why: "made to be used",
    setup: "ip link add du0 type dummy",
    device: "du0",
    needs: ["kernel:dummy"],
  },
  {
    id: "ND-13",
    what: "VLAN interface, also on the node's uplink",
    why: "made to be used",
    setup: "ip link add link up0 name up0.5 type vlan id 5",
    device: "up0.5",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-14",
    what: "bond",
    why: "the kernel moves none; as `master` it is welcome",
    immovable: true,
    setup: "ip link add bo0 type bond",
    device: "bo0",
    needs: ["kernel:bond"],
  },
  {
    id: "ND-15",
    what: "tap or tun",
    why: "made to be used",
    setup: "ip tuntap add ta0 mode tap",
    device: "ta0",
    needs: ["kernel:tun"],
  },
  {
    id: "ND-16",
    what: "member of a VRF, without routes",
    why: "comes back to it",
    setup: "ip link add vr0 type vrf table 9; ip link set dev0 master vr0",
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-17",
    what: "with a macvlan of another pod on it that is down",
    why: "nothing runs over it",
    setup: "ip link add mv0 link dev0 netns c1 type macvlan mode bridge",
  },
  {
    id: "ND-18",
    what: "uplink as master of macvlan, mode bridge",
    why: "the node keeps it",
    device: "up0",
    mode: "bridge",
  },
  { id: "ND-19", what: "free device as master, mode passthru", why: "nobody uses it", mode: "passthru" },
  { id: "ND-20", what: "free device as master, mode source", why: "nobody uses it", mode: "source" },
  {
    id: "ND-21",
    what: "uplink that devices.allow names",
    why: "the administrator says so",
    device: "up0",
    policy: { allow: ["up0"] },
  },
  {
    id: "ND-22",
    what: "uplink that a pattern of devices.allow fits",
    why: "the administrator says so",
    device: "up0",
    policy: { allow: ["x", "u?*"] },
  },
  {
    id: "ND-23",
    what: "pod's veth that devices.allow names by its MAC",
    why: "the administrator says so",
    setup: "ip link add li0 address 02:00:00:00:0a:0b type veth peer name x netns c1",
    device: "li0",
    policy: { allow: ["02:00:00:00:0A:0B"] },
  },
];

const OTHERS: Situation[] = [
  {
    id: "ND-30",
    what: "loopback",
    refused: "is the loopback interface",
    why: "everybody's",
    device: "lo",
    never: true,
  },
  {
    id: "ND-31",
    what: "device that devices.deny names",
    refused: "denied by the node's policy",
    why: "the administrator says so",
    policy: { deny: ["dev0"] },
    never: true,
  },
  {
    id: "ND-32",
    what: "device that a pattern of devices.deny fits, also when it is allowed",
    refused: "denied by the node's policy",
    why: "the administrator says so",
    policy: { deny: ["dev*"], allow: ["dev0"] },
    never: true,
  },
  {
    id: "ND-33",
    what: "port of a bridge",
    refused: "belongs to the bridge br0",
    why: "the bridge lives on it",
    setup: "ip link add br0 type bridge; ip link set dev0 master br0",
  },
  {
    id: "ND-34",
    what: "port of a bond",
    refused: "belongs to the bond bo0",
    why: "the bond lives on it",
    setup: "ip link add bo0 type bond; ip link set dev0 down; ip link set dev0 master bo0",
    needs: ["kernel:bond"],
  },
  {
    id: "ND-35",
    what: "bridge",
    refused: "is of kind bridge",
    why: "others' packets go through it",
    setup: "ip link add br0 type bridge",
    device: "br0",
  },
  {
    id: "ND-36",
    what: "VRF",
    refused: "is of kind vrf",
    why: "others' packets go through it",
    setup: "ip link add vr0 type vrf table 9",
    device: "vr0",
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-37",
    what: "VXLAN (flannel.1)",
    refused: "is of kind vxlan",
    why: "the pods' network",
    setup: "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.0.2.9 dev up0",
    device: "flannel.1",
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-38",
    what: "GENEVE",
    refused: "is of kind geneve",
    why: "the pods' network",
    setup: "ip link add ge0 type geneve id 1 remote 192.0.2.1",
    device: "ge0",
    needs: ["kernel:geneve"],
  },
  {
    id: "ND-39",
    what: "IPIP tunnel",
    refused: "is of kind ipip",
    why: "the pods' network",
    setup: "ip link add tu0 type ipip local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:ipip"],
  },
  {
    id: "ND-40",
    what: "GRE tunnel",
    refused: "is of kind gre",
    why: "the pods' network",
    setup: "ip link add tu0 type gre local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:gre"],
  },
  {
    id: "ND-41",
    what: "SIT tunnel",
    refused: "is of kind sit",
    why: "the pods' network",
    setup: "ip link add tu0 type sit local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:sit"],
  },
  {
    id: "ND-42",
    what: "WireGuard",
    refused: "is of kind wireguard",
    why: "the pods' network",
    setup: "ip link add wg0 type wireguard",
    device: "wg0",
    needs: ["kernel:wireguard"],
  },
  {
    id: "ND-43",
    what: "IFB",
    refused: "is of kind ifb",
    why: "shapes others' traffic",
    setup: "ip link add if0 type ifb",
    device: "if0",
    needs: ["kernel:ifb"],
  },
  {
    id: "ND-44",
    what: "veth whose other end is in a pod (cali…, lxc…, eni…)",
    refused: "its other end is in another namespace",
    why: "it is the pod's cable",
    setup: "ip link add cali1 type veth peer name x netns c1",
    device: "cali1",
  },
  {
    id: "ND-45",
    what: "macvlan whose master is in another namespace",
    refused: "the device below it is in another namespace",
    why: "it is somebody's",
    setup:
      "ip -n c1 link add x type veth peer name y; touch /run/netns/me; mount --bind /proc/self/ns/net /run/netns/me; ip -n c1 link add mv0 link x netns me type macvlan mode bridge",
    device: "mv0",
  },
  {
    id: "ND-46",
    what: "master of a running pod's macvlan",
    refused: "on top, which would lose its connection",
    why: "the pod lives on it",
    setup: "ip link add mv0 link dev0 netns c1 type macvlan mode bridge; ip -n c1 link set mv0 up",
  },
  {
    id: "ND-47",
    what: "master of a running pod's ipvlan",
    refused: "on top, which would lose its connection",
    why: "the pod lives on it",
    setup: "ip link add iv0 link dev0 netns c1 type ipvlan mode l2; ip -n c1 link set iv0 up",
    needs: ["kernel:ipvlan"],
  },
];

const ROUTES: Situation[] = [
  {
    id: "ND-50",
    what: "default route in the main table",
    refused: `carries ${DEFAULT}`,
    why: "the node's uplink",
    device: "up0",
  },
  {
    id: "ND-51",
    what: "… of IPv6",
    refused: `carries ${DEFAULT}`,
    why: "the node's uplink",
    setup: `${SIX}; ip -6 route add default via 2001:db8:5::1`,
  },
  {
    id: "ND-52",
    what: "… without gateway",
    refused: `carries ${DEFAULT}`,
    why: "the node's uplink",
    setup: `${NO_UPLINK}; ip route add default dev dev0`,
  },
  {
    id: "ND-53",
    what: "… of a worse metric than another device's",
    refused: `carries ${DEFAULT}`,
    why: "the uplink when the other one fails; take the route away where it is an accident of DHCP",
    setup: `${ON}; ip route add default via 10.0.10.1 metric 200`,
  },
  {
    id: "ND-54",
    what: "… with several next hops, one of them over the device",
    refused: `carries ${DEFAULT}`,
    why: "the node's uplink",
    setup: `${ON}; ip route replace default nexthop via 192.0.2.1 nexthop via 10.0.10.1`,
  },
  {
    id: "ND-55",
    what: "… over a nexthop object",
    refused: `carries ${DEFAULT}`,
    why: "the node's uplink",
    setup: `${ON}; ip nexthop add id 5 via 10.0.10.1 dev dev0; ip route add default nhid 5 metric 9`,
  },
  {
    id: "ND-56",
    what: "route to the cluster's services over a gateway",
    refused: "carries the route of this node to 10.96.0.0/12",
    why: "the node's traffic uses it",
    setup: `${ON}; ip route add 10.96.0.0/12 via 10.0.10.1`,
  },
  {
    id: "ND-57",
    what: "0.0.0.0/1 and 128.0.0.0/1 over a gateway",
    refused: "carries the route of this node to",
    why: "a default route in two halves",
    setup: `${ON}; ip route add 0.0.0.0/1 via 10.0.10.1; ip route add 128.0.0.0/1 via 10.0.10.1`,
  },
  {
    id: "ND-58",
    what: "0.0.0.0/1 and 128.0.0.0/1 without gateway",
    refused: "carries the route of this node to",
    why: "a default route in two halves",
    setup: "ip route add 0.0.0.0/1 dev dev0; ip route add 128.0.0.0/1 dev dev0",
  },
  {
    id: "ND-59",
    what: "default route in a table that a rule for all leads to",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "the node's traffic uses it",
    setup: `${OWN}; ip rule add lookup 101`,
  },
  {
    id: "ND-60",
    what: "… a rule for a mark",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "somebody's marked traffic uses it",
    setup: `${OWN}; ip rule add fwmark 0x80/0x80 lookup 101`,
  },
  {
    id: "ND-61",
    what: "… a rule for another device's address, or a pod's",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "others' traffic uses it",
    setup: `${OWN}; ip rule add from 10.244.0.7 lookup 101`,
  },
  {
    id: "ND-62",
    what: "… a rule for a subnet in which the uplink has an address as well",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "the uplink's traffic uses it",
    setup: `ip address add 10.0.10.5/24 dev up0; ${OWN}; ip rule add from 10.0.10.0/24 lookup 101`,
  },
  {
    id: "ND-63",
    what: "… a rule for all but the device's address",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "others' traffic uses it",
    setup: `${OWN}; ip rule add not from 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-64",
    what: "… a rule with iif of another device",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "what comes in there uses it",
    setup: `${OWN}; ip rule add iif up0 lookup 101`,
  },
  {
    id: "ND-65",
    what: "default route that a router advertised, the only one of the node",
    refused: `carries ${DEFAULT}`,
    why: "the kernel has no other answer",
    setup: `${NO_UPLINK}; ${RA}`,
  },
  {
    id: "ND-66",
    what: "parent of a macvlan with a default route",
    refused: "is below mv0, which carries",
    why: "the uplink stands on it",
    setup: `${NO_UPLINK}; ip link add mv0 link dev0 type macvlan mode bridge; ip link set mv0 up; ip route add default dev mv0`,
  },
  {
    id: "ND-67",
    what: "parent of a VLAN with a default route",
    refused: "is below dev0.7, which carries",
    why: "the uplink stands on it",
    setup: `${NO_UPLINK}; ip link add link dev0 name dev0.7 type vlan id 7; ip link set dev0.7 up; ip address add 10.0.7.9/24 dev dev0.7; ip route add default via 10.0.7.1`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-68",
    what: "member of a VRF with a default route in its table",
    refused: `carries ${DEFAULT} (table 9)`,
    why: "what runs in the VRF uses it",
    setup: `ip link add vr0 type vrf table 9; ip link set vr0 up; ip link set dev0 master vr0; ${ON}; ip route add default via 10.0.10.1 table 9`,
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-70",
    what: "uplink as master of macvlan, mode passthru",
    refused: `carries ${DEFAULT}`,
    why: "the node would lose every frame",
    device: "up0",
    mode: "passthru",
  },
  {
    id: "ND-71",
    what: "uplink as master of macvlan, mode source",
    refused: `carries ${DEFAULT}`,
    why: "it reads what is sent to others",
    device: "up0",
    mode: "source",
  },
  {
    id: "ND-72",
    what: "pod's veth as master of macvlan, mode passthru",
    refused: "its other end is in another namespace",
    why: "it is the pod's cable",
    setup: "ip link add lxc9 type veth peer name x netns c1; ip link set lxc9 up",
    device: "lxc9",
    mode: "passthru",
  },
];

export const situations: readonly Situation[] = [...ALLOWED, ...OTHERS, ...ROUTES];

/** The table of docs/configuration.md. */
export function situationTable(): string {
  const answer = ({ refused, never, immovable }: Situation): string => {
    if (never === true || immovable === true) return "never";
    return refused === undefined ? "yes" : "no";
  };
  const rows = situations.map((each) => `| ${each.id} | ${each.what} | ${answer(each)} | ${each.why} |`);
  return ["| case | device | to a pod? | why |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
