// Which devices go to pods and which stay with the node: the table of docs/configuration.md, and the cases of node-devices.ts.
// The node has its way out over up0; the device asked for is dev0, a network card on a cable to dev0p, unless the situation makes another one.
import { BPF_DROP, XDP_DROP } from "../harness/xdp.ts";

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
  /** macvlan's mode, when it is a master for macvlan; "ipvlan", when it is one for that. */
  readonly mode?: string;
  readonly policy?: { allow?: string[]; deny?: string[]; source?: string[] };
  readonly needs?: readonly string[];
  /** The device is the physical function of a card with the virtual functions vf0 and vf1. */
  readonly card?: boolean;
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
/** ta0, which a process has open: TUNSETIFF of IFF_TAP | IFF_NO_PI. */
const holdTap = (then: string): string =>
  `perl -e 'open(T, "+<", "/dev/net/tun") or die; ioctl(T, 0x400454ca, pack("a16s@40", "ta0", 0x1002)) or die; sleep 20' >/dev/null 2>&1 & for i in $(seq 100); do [ -e /sys/class/net/ta0 ] && break; sleep 0.02; done; ${then}`;
const VLAN = "ip link set dev0 up; ip link add link dev0 name dev0.5 type vlan id 5";
const ON_VLAN =
  "ip netns add c9; ip link add mv9 link dev0.5 netns c9 type macvlan mode bridge; ip -n c9 link set mv9 up";
const VXLAN_AT = "ip link add vx9 up type vxlan id 7 dstport 8472 local 10.0.10.93";
const DEFAULT = "one of this node's default routes";
const ALLOWED: Situation[] = [
  { id: "ND-01", what: "network card or virtual function", why: "the node does not use it" },
  {
    id: "ND-02",
    what: "network card with addresses and their connected routes",
    why: "podnic restores the addresses and routes at DEL",
    setup: `${ON}; ${SIX}`,
  },
  {
    id: "ND-03",
    what: "network card with a static route without a gateway",
    why: "the route covers only the device's own link",
    setup: `${ON}; ip route add 10.7.0.0/16 dev dev0`,
  },
  {
    id: "ND-04",
    what: "network card with a default route in a table that no rule refers to",
    why: "no traffic uses the table",
    setup: OWN,
  },
  {
    id: "ND-05",
    what: "network card with a default route in a table that is used only by a rule for the device's own address (OKE)",
    why: "only the device's own traffic uses the table",
    setup: `${OWN}; ip rule add from 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-06",
    what: "as ND-05, with a second rule for traffic to that address",
    why: "only the device's own traffic uses the table",
    setup: `${OWN}; ip rule add from 10.0.10.93 lookup 101; ip rule add to 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-07",
    what: "as ND-05, with a rule for the device's subnet, in which the node has no other address",
    why: "only the device's own traffic uses the table",
    setup: `${OWN}; ip rule add from 10.0.10.0/24 lookup 101`,
  },
  {
    id: "ND-77",
    what: "as ND-05, with another rule for part of the device's subnet (a prefix that Amazon delegates to the interface)",
    why: "only the device's own traffic uses the table",
    setup: `${OWN}; ip rule add from 10.0.10.93 lookup 101; ip rule add from 10.0.10.128/28 lookup 101`,
  },
  {
    id: "ND-08",
    what: "as ND-05, with rules that have the device as iif or oif",
    why: "only the device's own traffic uses the table",
    setup: `${OWN}; ip rule add iif dev0 lookup 101; ip rule add oif dev0 lookup 101`,
  },
  {
    id: "ND-09",
    what: "as ND-05, in IPv6 (Amazon, table 10000 + index)",
    why: "only the device's own traffic uses the table",
    setup: `${SIX}; ip -6 route add default via 2001:db8:5::1 dev dev0 table 10001; ip -6 rule add from 2001:db8:5::93 lookup 10001`,
  },
  {
    id: "ND-10",
    what: "network card with a default route from a router advertisement, on a node with a configured default route",
    why: "the node does not need the advertised route",
    setup: RA,
  },
  {
    id: "ND-11",
    what: "macvlan interface on the host",
    why: "the node does not use it",
    setup: "ip link add mv0 link dev0 type macvlan mode bridge",
    device: "mv0",
  },
  {
    id: "ND-12",
    what: "dummy interface",
    why: "the node does not use it",
    setup: "ip link add du0 type dummy",
    device: "du0",
    needs: ["kernel:dummy"],
  },
  {
    id: "ND-13",
    what: "VLAN interface, even on the node's uplink",
    why: "the node does not use it",
    setup: "ip link add link up0 name up0.5 type vlan id 5",
    device: "up0.5",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-14",
    what: "bond",
    why: "the kernel cannot move a bond to another namespace; it can be used as a `master`",
    immovable: true,
    setup: "ip link add bo0 type bond",
    device: "bo0",
    needs: ["kernel:bond"],
  },
  {
    id: "ND-15",
    what: "tap or tun interface that no process has open",
    why: "the node does not use it",
    setup: "ip tuntap add ta0 mode tap; ip link set ta0 up",
    device: "ta0",
    needs: ["kernel:tun"],
  },
  {
    id: "ND-16",
    what: "member of a VRF, without routes",
    why: "podnic adds it to the VRF again at DEL",
    setup: "ip link add vr0 type vrf table 9; ip link set dev0 master vr0",
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-17",
    what: "master of another pod's macvlan interface that is down",
    why: "the other pod does not use it",
    setup: "ip link add mv0 link dev0 netns c1 type macvlan mode bridge",
  },
  {
    id: "ND-18",
    what: "uplink as the master of a macvlan in bridge mode",
    why: "the node keeps the uplink",
    device: "up0",
    mode: "bridge",
  },
  {
    id: "ND-19",
    what: "unused device as the master of a macvlan in passthru mode",
    why: "the node does not use it",
    mode: "passthru",
  },
  {
    id: "ND-20",
    what: "unused device as the master of a macvlan in source mode",
    refused: "carries frames for other pods, which a pod in source mode could read",
    why: "the pod could read what is sent to other pods that share the device",
    mode: "source",
  },
  {
    id: "ND-80",
    what: "veth with an address in a subnet as the master of a macvlan in bridge mode (a node that is a container: kind, k3d)",
    why: "the interface is the node's own, and the node keeps it",
    setup:
      "ip link add eth7 type veth peer name x netns c1; ip link set eth7 up; ip address add 172.18.0.2/16 dev eth7",
    device: "eth7",
    mode: "bridge",
  },
  {
    id: "ND-81",
    what: "network card with on-link routes to the private subnets (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16)",
    why: "the routes cover only the device's own link",
    setup: "for to in 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16; do ip route add $to dev dev0; done",
  },
  {
    id: "ND-73",
    what: "device that is listed in devices.source as the master of a macvlan in source mode",
    why: "the administrator has allowed it",
    policy: { source: ["dev*"] },
    mode: "source",
  },
  {
    id: "ND-21",
    what: "uplink that is listed in devices.allow",
    why: "the administrator has allowed it",
    device: "up0",
    policy: { allow: ["up0"] },
  },
  {
    id: "ND-22",
    what: "uplink that matches a pattern in devices.allow",
    why: "the administrator has allowed it",
    device: "up0",
    policy: { allow: ["x", "u?*"] },
  },
  {
    id: "ND-23",
    what: "a pod's veth whose MAC is listed in devices.allow",
    why: "the administrator has allowed it",
    setup: "ip link add li0 address 02:00:00:00:0a:0b type veth peer name x netns c1",
    device: "li0",
    policy: { allow: ["02:00:00:00:0A:0B"] },
  },
  {
    id: "ND-110",
    what: "network card beside the one that has the local address of a VXLAN",
    why: "the tunnel uses the other card",
    setup: `ip link add w9 up type veth peer name w9p; ip link set w9p up; ip address add 10.0.10.93/24 dev w9; ip address add 10.0.11.93/24 dev dev0; ${VXLAN_AT} remote 10.0.10.94`,
    needs: ["kernel:vxlan"],
  },
];

const OTHERS: Situation[] = [
  {
    id: "ND-30",
    what: "loopback interface",
    refused: "is the loopback interface",
    why: "every program on the node uses it",
    device: "lo",
    never: true,
  },
  {
    id: "ND-31",
    what: "device that is listed in devices.deny",
    refused: "denied by the node's policy",
    why: "the administrator has denied it",
    policy: { deny: ["dev0"] },
    never: true,
  },
  {
    id: "ND-32",
    what: "device that matches a pattern in devices.deny, even if it is also listed in devices.allow",
    refused: "denied by the node's policy",
    why: "the administrator has denied it",
    policy: { deny: ["dev*"], allow: ["dev0"] },
    never: true,
  },
  {
    id: "ND-91",
    what: "macvlan on a device that is listed in devices.deny",
    refused: "denied by the node's policy",
    why: "it carries the frames of the denied device",
    policy: { deny: ["dev0"] },
    setup: "ip link add sh0 link dev0 type macvlan mode bridge",
    device: "sh0",
    never: true,
  },
  {
    id: "ND-33",
    what: "port of a bridge",
    refused: "is a port of the bridge br0",
    why: "the bridge needs it",
    setup: "ip link add br0 type bridge; ip link set dev0 master br0",
  },
  {
    id: "ND-34",
    what: "port of a bond",
    refused: "is a port of the bond bo0",
    why: "the bond needs it",
    setup: "ip link add bo0 type bond; ip link set dev0 down; ip link set dev0 master bo0",
    needs: ["kernel:bond"],
  },
  {
    id: "ND-35",
    what: "bridge",
    refused: "(kind bridge)",
    why: "it carries the traffic of other devices",
    setup: "ip link add br0 type bridge",
    device: "br0",
  },
  {
    id: "ND-36",
    what: "VRF",
    refused: "(kind vrf)",
    why: "it carries the traffic of other devices",
    setup: "ip link add vr0 type vrf table 9",
    device: "vr0",
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-37",
    what: "VXLAN (flannel.1)",
    refused: "(kind vxlan)",
    why: "it can be part of the pod network",
    setup: "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.0.2.9 dev up0",
    device: "flannel.1",
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-38",
    what: "GENEVE",
    refused: "(kind geneve)",
    why: "it can be part of the pod network",
    setup: "ip link add ge0 type geneve id 1 remote 192.0.2.1",
    device: "ge0",
    needs: ["kernel:geneve"],
  },
  {
    id: "ND-39",
    what: "IPIP tunnel",
    refused: "(kind ipip)",
    why: "it can be part of the pod network",
    setup: "ip link add tu0 type ipip local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:ipip"],
  },
  {
    id: "ND-40",
    what: "GRE tunnel",
    refused: "(kind gre)",
    why: "it can be part of the pod network",
    setup: "ip link add tu0 type gre local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:gre"],
  },
  {
    id: "ND-41",
    what: "SIT tunnel",
    refused: "(kind sit)",
    why: "it can be part of the pod network",
    setup: "ip link add tu0 type sit local 192.0.2.9 remote 192.0.2.1",
    device: "tu0",
    needs: ["kernel:sit"],
  },
  {
    id: "ND-42",
    what: "WireGuard",
    refused: "(kind wireguard)",
    why: "it can be part of the pod network",
    setup: "ip link add wg0 type wireguard",
    device: "wg0",
    needs: ["kernel:wireguard"],
  },
  {
    id: "ND-43",
    what: "IFB",
    refused: "(kind ifb)",
    why: "it shapes the traffic of other devices",
    setup: "ip link add if0 type ifb",
    device: "if0",
    needs: ["kernel:ifb"],
  },
  {
    id: "ND-44",
    what: "veth whose other end is in a pod (cali…, lxc…, eni…)",
    refused: "other end is in another namespace",
    why: "it connects the pod",
    setup: "ip link add cali1 type veth peer name x netns c1",
    device: "cali1",
  },
  {
    id: "ND-45",
    what: "macvlan whose master is in another namespace",
    refused: "lower device is in another namespace",
    why: "it carries the traffic of that namespace",
    setup:
      "ip -n c1 link add x type veth peer name y; touch /run/netns/me; mount --bind /proc/self/ns/net /run/netns/me; ip -n c1 link add mv0 link x netns me type macvlan mode bridge",
    device: "mv0",
  },
  {
    id: "ND-46",
    what: "master of a running pod's macvlan",
    refused: "which would lose its connection",
    why: "the pod would lose its connection",
    setup: "ip link add mv0 link dev0 netns c1 type macvlan mode bridge; ip -n c1 link set mv0 up",
  },
  {
    id: "ND-74",
    what: "master of a running pod's macvlan in passthru mode",
    refused: "which would lose its connection",
    why: "the pod would lose its connection",
    setup: "ip link add mv0 link dev0 netns c1 type macvlan mode passthru; ip -n c1 link set mv0 up",
  },
  {
    id: "ND-96",
    what: "parent of a VLAN interface that is a port of a bridge (KubeVirt, OpenStack)",
    refused: "is the lower device of dev0.7, a port of br0",
    why: "the pod would read the frames of the bridge's other ports, and could cut them off",
    setup:
      "ip link set dev0 up; ip link add link dev0 name dev0.7 type vlan id 7; ip link add br0 up type bridge; ip link set dev0.7 up master br0",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-97",
    what: "as ND-96, as the master of a macvlan in passthru mode",
    refused: "is the lower device of dev0.7, a port of br0",
    why: "the pod would read the frames of the bridge's other ports",
    setup:
      "ip link set dev0 up; ip link add link dev0 name dev0.7 type vlan id 7; ip link add br0 up type bridge; ip link set dev0.7 up master br0",
    mode: "passthru",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-98",
    what: "master of a macvlan that is a port of a bridge",
    refused: "is the lower device of mv0, a port of br0",
    why: "the pod would read the frames of the bridge's other ports, and could cut them off",
    setup:
      "ip link set dev0 up; ip link add mv0 link dev0 type macvlan mode passthru; ip link add br0 up type bridge; ip link set mv0 up master br0",
  },
  {
    id: "ND-99",
    what: "master of a macvlan on the host that has an address",
    refused: "is the lower device of mv0, which has an address of this node",
    why: "the pod would read the node's traffic, and could cut it off",
    setup:
      "ip link set dev0 up; ip link add mv0 link dev0 type macvlan mode bridge; ip link set mv0 up; ip address add 10.0.10.94/24 dev mv0",
  },
  {
    id: "ND-121",
    what: "parent of a macvtap interface that is up (a virtual machine with a direct connection)",
    refused: "is the lower device of mt0, a macvtap interface that is up",
    why: "the virtual machine would lose its connection",
    setup: "ip link set dev0 up; ip link add mt0 link dev0 type macvtap mode bridge; ip link set mt0 up",
    needs: ["kernel:macvtap"],
  },
  {
    id: "ND-122",
    what: "master of a macvlan on the host that is up and has no address (a VRRP router in the backup state)",
    refused: "is the lower device of mv0, a macvlan interface that is up",
    why: "a program on the node uses the macvlan, or is about to give it an address",
    setup: "ip link set dev0 up; ip link add mv0 link dev0 type macvlan mode bridge; ip link set mv0 up",
  },
  {
    id: "ND-123",
    what: "as ND-122, but the macvlan is down",
    why: "nobody uses the macvlan",
    setup: "ip link set dev0 up; ip link add mv0 link dev0 type macvlan mode bridge",
  },
  {
    id: "ND-124",
    what: "parent of a VLAN interface that is up, has no address, and has nothing on top of it",
    why: "nobody uses the VLAN interface",
    setup: `${VLAN}; ip link set dev0.5 up`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-125",
    what: "parent of a VLAN interface that is the master of a running pod's macvlan",
    refused: "is the lower device of an interface in another namespace, which would lose its connection",
    why: "the pod would lose its connection",
    setup: `${VLAN}; ip link set dev0.5 up; ${ON_VLAN}`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-126",
    what: "as ND-125, as the master of a macvlan in passthru mode",
    refused: "is the lower device of an interface in another namespace",
    why: "the new pod would get the frames of the other pod's VLAN",
    setup: `${VLAN}; ip link set dev0.5 up; ${ON_VLAN}`,
    mode: "passthru",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-127",
    what: "as ND-125, with a macvtap interface on the VLAN interface",
    refused: "is the lower device of mt0, a macvtap interface that is up",
    why: "the virtual machine would lose its connection",
    setup: `${VLAN}; ip link set dev0.5 up; ip link add mt0 link dev0.5 type macvtap mode bridge; ip link set mt0 up`,
    needs: ["kernel:vlan", "kernel:macvtap"],
  },
  {
    id: "ND-128",
    what: "parent of a running pod's VLAN interface",
    refused: "is the lower device of vlan dev0.5 in /run/netns/c9, which would lose its connection",
    why: "the new pod would read the other pod's traffic, and could cut it off",
    setup: `${VLAN}; ip netns add c9; ip link set dev0.5 netns c9; ip -n c9 link set dev0.5 up`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-129",
    what: "as ND-128, as the master of a macvlan in passthru mode",
    refused: "is the lower device of vlan dev0.5 in /run/netns/c9",
    why: "the new pod would get the frames of the other pod's VLAN",
    setup: `${VLAN}; ip netns add c9; ip link set dev0.5 netns c9; ip -n c9 link set dev0.5 up`,
    mode: "passthru",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-119",
    what: "as ND-128, and the pod's namespace has no name",
    refused: "is the lower device of vlan dev0.5 in a namespace",
    why: "the new pod would read the other pod's traffic, and could cut it off",
    setup: `${VLAN}; unshare -n sleep 20 >/dev/null 2>&1 & while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done; ip link set dev0.5 netns $!; nsenter -n -t $! ip link set dev0.5 up`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-120",
    what: "as ND-128, but the VLAN interface is down",
    why: "the other pod does not use it",
    setup: `${VLAN}; ip netns add c9; ip link set dev0.5 netns c9`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-131",
    what: "VLAN interface on a card that has another VLAN interface in a running pod",
    why: "the other pod does not use this one",
    setup: `${VLAN}; ip link set dev0.5 up; ip netns add c9; ip link add dev0.6 link dev0 netns c9 type vlan id 6; ip -n c9 link set dev0.6 up`,
    device: "dev0.5",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-132",
    what: "VLAN interface with a running pod's VLAN interface on it (QinQ)",
    refused: "is the lower device of vlan q7 in /run/netns/c9, which would lose its connection",
    why: "the pod would lose its connection",
    setup: `${VLAN}; ip link set dev0.5 up; ip netns add c9; ip link add q7 link dev0.5 netns c9 type vlan id 7; ip -n c9 link set q7 up`,
    device: "dev0.5",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-100",
    what: "VLAN interface on a bridge (another network's gateway in a VLAN)",
    refused: "is on top of br0, which carries other programs' packets (kind bridge)",
    why: "it carries the traffic of the bridge's ports",
    setup: "ip link add br0 up type bridge; ip link add link br0 name br0.7 type vlan id 7; ip link set br0.7 up",
    device: "br0.7",
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-101",
    what: "macvlan on a bridge",
    refused: "is on top of br0, which carries other programs' packets (kind bridge)",
    why: "it carries the traffic of the bridge's ports",
    setup: "ip link add br0 up type bridge; ip link add mv0 link br0 type macvlan mode bridge",
    device: "mv0",
  },
  {
    id: "ND-102",
    what: "macvlan on a VXLAN, as the master of a macvlan in passthru mode",
    refused: "is on top of vx0, which carries other programs' packets (kind vxlan)",
    why: "it carries the traffic of the overlay",
    setup:
      "ip link add vx0 type vxlan id 7 local 192.0.2.9 remote 192.0.2.8 dstport 4789; ip link set vx0 up; ip link add mv0 link vx0 type macvlan mode bridge; ip link set mv0 up",
    device: "mv0",
    mode: "passthru",
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-75",
    what: "device of the node's VXLAN (flannel, Calico)",
    refused: "carries this node's tunnel flannel.1 (kind vxlan)",
    why: "the kernel would delete the tunnel and its routes",
    setup:
      "ip addr add 10.0.10.93/24 dev dev0; ip link add flannel.1 type vxlan id 1 dev dev0 local 10.0.10.93 dstport 8472; ip link set flannel.1 up",
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-76",
    what: "device of the node's GRE tunnel",
    refused: "carries this node's tunnel gre9 (kind gre)",
    why: "the tunnel would lose its connection",
    setup: "ip addr add 10.0.10.93/24 dev dev0; ip link add gre9 type gre remote 10.0.10.94 local 10.0.10.93 dev dev0",
    needs: ["kernel:gre"],
  },
  {
    id: "ND-103",
    what: "as ND-76, with the tunnel's local address on another device",
    refused: "carries this node's tunnel",
    why: "the tunnel would lose its connection",
    setup:
      "ip link set dev0 up; ip address add 10.0.10.93/32 dev lo; ip link add gre9 type gre local 10.0.10.93 remote 10.0.10.94 dev dev0",
    needs: ["kernel:gre"],
  },
  {
    id: "ND-106",
    what: "device with the local address of a VXLAN that is bound to no device",
    refused: "carries this node's tunnel vx9 (kind vxlan)",
    why: "the tunnel would lose its connection",
    setup: `${ON}; ${VXLAN_AT}`,
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-107",
    what: "as ND-106, with a VXLAN that has only a remote address, in the device's subnet",
    refused: "carries this node's tunnel vx9 (kind vxlan)",
    why: "the tunnel would lose its connection",
    setup:
      "ip link set dev0 up; ip addr add 2001:db8:9::1/64 nodad dev dev0; ip link add vx9 type vxlan id 7 remote 2001:db8:9::2 dstport 8472",
    needs: ["kernel:vxlan"],
  },
  {
    id: "ND-108",
    what: "as ND-106, with a GRE tunnel",
    refused: "carries this node's tunnel gre9 (kind gre)",
    why: "the tunnel would lose its connection",
    setup: "ip addr add 10.0.10.93/24 dev dev0; ip link add gre9 type gre local 10.0.10.93 remote 192.0.2.9",
    needs: ["kernel:gre"],
  },
  {
    id: "ND-109",
    what: "as ND-107, with a Geneve tunnel",
    refused: "carries this node's tunnel gnv9 (kind geneve)",
    why: "the tunnel would lose its connection",
    setup:
      "ip link set dev0 up; ip addr add 10.0.10.93/24 dev dev0; ip link add gnv9 type geneve id 7 remote 10.0.10.94",
    needs: ["kernel:geneve"],
  },
  {
    id: "ND-47",
    what: "master of a running pod's ipvlan",
    refused: "which would lose its connection",
    why: "the pod would lose its connection",
    setup: "ip link add iv0 link dev0 netns c1 type ipvlan mode l2; ip -n c1 link set iv0 up",
    needs: ["kernel:ipvlan"],
  },
];

const ROUTES: Situation[] = [
  {
    id: "ND-50",
    what: "device with a default route in the main table",
    refused: `carries ${DEFAULT}`,
    why: "it is the node's uplink",
    device: "up0",
  },
  {
    id: "ND-51",
    what: "device with an IPv6 default route in the main table",
    refused: `carries ${DEFAULT}`,
    why: "it is the node's uplink",
    setup: `${SIX}; ip -6 route add default via 2001:db8:5::1`,
  },
  {
    id: "ND-52",
    what: "device with a default route without a gateway",
    refused: `carries ${DEFAULT}`,
    why: "it is the node's uplink",
    setup: `${NO_UPLINK}; ip route add default dev dev0`,
  },
  {
    id: "ND-53",
    what: "device with a default route that has a higher metric than another device's default route",
    refused: `carries ${DEFAULT}`,
    why: "it becomes the uplink if the other device fails; if DHCP added the route by mistake, delete it",
    setup: `${ON}; ip route add default via 10.0.10.1 metric 200`,
  },
  {
    id: "ND-54",
    what: "device with one of several next hops of the default route",
    refused: `carries ${DEFAULT}`,
    why: "it is one of the node's uplinks",
    setup: `${ON}; ip route replace default nexthop via 192.0.2.1 nexthop via 10.0.10.1`,
  },
  {
    id: "ND-55",
    what: "device with a default route that uses a nexthop object",
    refused: `carries ${DEFAULT}`,
    why: "it is the node's uplink",
    setup: `${ON}; ip nexthop add id 5 via 10.0.10.1 dev dev0; ip route add default nhid 5 metric 9`,
  },
  {
    id: "ND-56",
    what: "device with a route to the cluster's services through a gateway",
    refused: "carries this node's route to 10.96.0.0/12",
    why: "the node's traffic uses the route",
    setup: `${ON}; ip route add 10.96.0.0/12 via 10.0.10.1`,
  },
  {
    id: "ND-57",
    what: "device with routes to 0.0.0.0/1 and 128.0.0.0/1 through a gateway",
    refused: "carries this node's route to",
    why: "together, these amount to a default route",
    setup: `${ON}; ip route add 0.0.0.0/1 via 10.0.10.1; ip route add 128.0.0.0/1 via 10.0.10.1`,
  },
  {
    id: "ND-58",
    what: "device with routes to 0.0.0.0/1 and 128.0.0.0/1 without a gateway",
    refused: "carries this node's route to",
    why: "together, these amount to a default route",
    setup: "ip route add 0.0.0.0/1 dev dev0; ip route add 128.0.0.0/1 dev dev0",
  },
  {
    id: "ND-59",
    what: "device with a default route in a table that a rule for all traffic refers to",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "the node's traffic uses the table",
    setup: `${OWN}; ip rule add lookup 101`,
  },
  {
    id: "ND-60",
    what: "as ND-59, but the rule is for a firewall mark",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "traffic with this mark uses the table",
    setup: `${OWN}; ip rule add fwmark 0x80/0x80 lookup 101`,
  },
  {
    id: "ND-61",
    what: "as ND-59, but the rule is for the address of another device or of a pod",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "that device or pod uses the table",
    setup: `${OWN}; ip rule add from 10.244.0.7 lookup 101`,
  },
  {
    id: "ND-62",
    what: "as ND-59, but the rule is for a subnet in which the uplink also has an address",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "the uplink's traffic uses the table",
    setup: `ip address add 10.0.10.5/24 dev up0; ${OWN}; ip rule add from 10.0.10.0/24 lookup 101`,
  },
  {
    id: "ND-78",
    what: "as ND-59, but the rule is for a prefix that covers more than the device's subnet",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "traffic from other addresses also uses the table",
    setup: `${OWN}; ip rule add from 10.0.0.0/8 lookup 101`,
  },
  {
    id: "ND-79",
    what: "as ND-77, but with a pod's address in that part of the subnet",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "the pod's traffic uses the table",
    setup: `${OWN}; ip rule add from 10.0.10.128/28 lookup 101; ip link add cali1 type veth peer name x netns c1; ip link set cali1 up; ip route add 10.0.10.130/32 dev cali1`,
  },
  {
    id: "ND-63",
    what: "as ND-59, but the rule is for all traffic except the device's own",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "all other traffic uses the table",
    setup: `${OWN}; ip rule add not from 10.0.10.93 lookup 101`,
  },
  {
    id: "ND-64",
    what: "as ND-59, but the rule has another device as iif",
    refused: `carries ${DEFAULT} (table 101)`,
    why: "traffic that arrives on that device uses the table",
    setup: `${OWN}; ip rule add iif up0 lookup 101`,
  },
  {
    id: "ND-65",
    what: "device with a default route from a router advertisement, on a node with no other default route",
    refused: `carries ${DEFAULT}`,
    why: "the node has no other route to the internet",
    setup: `${NO_UPLINK}; ${RA}`,
  },
  {
    id: "ND-66",
    what: "master of a macvlan with a default route",
    refused: "is below mv0, which carries",
    why: "the uplink is on top of it",
    setup: `${NO_UPLINK}; ip link add mv0 link dev0 type macvlan mode bridge; ip link set mv0 up; ip route add default dev mv0`,
  },
  {
    id: "ND-67",
    what: "parent of a VLAN interface with a default route",
    refused: "is below dev0.7, which carries",
    why: "the uplink is on top of it",
    setup: `${NO_UPLINK}; ip link add link dev0 name dev0.7 type vlan id 7; ip link set dev0.7 up; ip address add 10.0.7.9/24 dev dev0.7; ip route add default via 10.0.7.1`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-68",
    what: "member of a VRF, with a default route in the VRF's table",
    refused: `carries ${DEFAULT} (table 9)`,
    why: "the traffic of the VRF uses the route",
    setup: `ip link add vr0 type vrf table 9; ip link set vr0 up; ip link set dev0 master vr0; ${ON}; ip route add default via 10.0.10.1 table 9`,
    needs: ["kernel:vrf"],
  },
  {
    id: "ND-70",
    what: "uplink as the master of a macvlan in passthru mode",
    refused: `carries ${DEFAULT}`,
    why: "the node would no longer receive any frames",
    device: "up0",
    mode: "passthru",
  },
  {
    id: "ND-71",
    what: "uplink as the master of a macvlan in source mode",
    refused: "carries frames for other pods, which a pod in source mode could read",
    why: "the pod could receive frames that are meant for the node",
    device: "up0",
    mode: "source",
  },
  {
    id: "ND-72",
    what: "a pod's veth as the master of a macvlan in passthru mode",
    refused: "other end is in another namespace",
    why: "the veth connects the pod",
    setup: "ip link add lxc9 type veth peer name x netns c1; ip link set lxc9 up",
    device: "lxc9",
    mode: "passthru",
  },
];

const SHARED: Situation[] = [
  {
    id: "ND-82",
    what: "a pod's veth as the master of a macvlan in bridge mode",
    refused: "other end is in another namespace",
    why: "the new pod could impersonate the node on the other pod's link",
    setup: "ip link add cali1 type veth peer name x netns c1; ip link set cali1 up",
    device: "cali1",
    mode: "bridge",
  },
  {
    id: "ND-83",
    what: "as ND-82, and the veth has the pod's gateway as its address (ptp)",
    refused: "other end is in another namespace",
    why: "the new pod could impersonate the node on the other pod's link",
    setup:
      "ip link add veth7 type veth peer name x netns c1; ip link set veth7 up; ip address add 10.1.0.1/32 dev veth7; ip route add 10.1.0.5/32 dev veth7",
    device: "veth7",
    mode: "bridge",
  },
  {
    id: "ND-84",
    what: "as ND-82, as the master of an ipvlan",
    refused: "other end is in another namespace",
    why: "the new pod could impersonate the node on the other pod's link",
    setup: "ip link add cali1 type veth peer name x netns c1; ip link set cali1 up",
    device: "cali1",
    mode: "ipvlan",
    needs: ["kernel:ipvlan"],
  },
  {
    id: "ND-130",
    what: "macvlan of the node on a pod's veth as the master of a macvlan in bridge mode",
    refused: "other end is in another namespace",
    why: "the kernel puts the interface on the other pod's link, where the new pod could impersonate the node",
    setup:
      "ip link add cali1 type veth peer name x netns c1; ip link set cali1 up; ip link add sh0 link cali1 up type macvlan mode bridge",
    device: "sh0",
    mode: "bridge",
  },
  {
    id: "ND-85",
    what: "tap interface that a virtual machine has open",
    refused: "is open in a process on this node (kind tun)",
    why: "the virtual machine would lose its connection",
    setup: holdTap("ip link set ta0 up"),
    device: "ta0",
    needs: ["kernel:tun", "program:perl"],
  },
  {
    id: "ND-86",
    what: "as ND-85, and the interface is down",
    refused: "is open in a process on this node (kind tun)",
    why: "the virtual machine would lose its connection",
    setup: holdTap("true"),
    device: "ta0",
    needs: ["kernel:tun", "program:perl"],
  },
  {
    id: "ND-87",
    what: "macvtap interface",
    refused: "(kind macvtap)",
    why: "a virtual machine is connected to it",
    setup: "ip link add mt0 link dev0 type macvtap mode bridge",
    device: "mt0",
    needs: ["kernel:macvtap"],
  },
  {
    id: "ND-88",
    what: "device with 223 routes without a gateway that together amount to a default route",
    refused: "carries this node's route to",
    why: "the node's traffic uses the routes",
    setup: `${NO_UPLINK}; for net in $(seq 1 223); do echo "route add $net.0.0.0/8 dev dev0"; done | ip -batch -`,
  },
  {
    id: "ND-89",
    what: "as ND-88, in IPv6 (32 routes with a prefix length of 8)",
    refused: "carries this node's route to",
    why: "the node's traffic uses the routes",
    setup: 'for net in $(seq 32 63); do printf "route add %x00::/8 dev dev0\\n" $net; done | ip -6 -batch -',
  },
  {
    id: "ND-90",
    what: "parent of a VLAN interface with 128 routes without a gateway that together cover half of the internet",
    refused: "is below dev0.7, which carries",
    why: "the node's traffic uses the routes",
    setup: `ip link add link dev0 name dev0.7 type vlan id 7; ip link set dev0.7 up; for net in $(seq 1 126); do echo "route add $net.0.0.0/8 dev dev0.7"; done | ip -batch -`,
    needs: ["kernel:vlan"],
  },
  {
    id: "ND-92",
    what: "network card with an XDP program",
    refused: "has a BPF program (XDP)",
    why: "the program would process the pod's packets",
    setup: `perl -e '${XDP_DROP}' $(cat /sys/class/net/dev0/ifindex)`,
    needs: ["program:perl"],
  },
  {
    id: "ND-93",
    what: "network card with a tcx program",
    refused: "has a BPF program (tcx)",
    why: "the program would process the pod's packets",
    setup: `perl -e '${BPF_DROP}' $(cat /sys/class/net/dev0/ifindex) 47`,
    needs: ["kernel:tcx", "program:perl"],
  },
  {
    id: "ND-94",
    what: "physical function of a card that has a virtual function in a pod",
    refused: "has the virtual function",
    why: "with the physical function, a pod could change the MAC address, VLAN and trust of the other pod's virtual function",
    setup: "ip netns add c9; ip link set vf0 netns c9",
    card: true,
    needs: ["card:igb"],
  },
  {
    id: "ND-95",
    what: "physical function of a card whose virtual functions are all on the host",
    why: "the node does not use it",
    card: true,
    needs: ["card:igb"],
  },
  {
    id: "ND-104",
    what: "physical function of a card with a virtual function that carries the node's default route",
    refused: "has the virtual function",
    why: "with the physical function, a pod could cut the node off",
    setup:
      "ip link set vf0 up; ip address add 203.0.113.2/24 dev vf0; ip route replace default via 203.0.113.1 dev vf0",
    card: true,
    needs: ["card:igb"],
  },
  {
    id: "ND-105",
    what: "physical function of a card with a virtual function that is the master of a running pod's macvlan",
    refused: "has the virtual function",
    why: "with the physical function, a pod could change the VLAN of the other pod's macvlan",
    setup:
      "ip netns add c9; ip link set vf0 up; ip link add mv9 link vf0 netns c9 type macvlan mode bridge; ip -n c9 link set mv9 up",
    card: true,
    needs: ["card:igb"],
  },
];

export const situations: readonly Situation[] = [...ALLOWED, ...OTHERS, ...SHARED, ...ROUTES];

/** The table of docs/configuration.md. */
export function situationTable(): string {
  const answer = ({ refused, never, immovable }: Situation): string => {
    if (never === true || immovable === true) return "never";
    return refused === undefined ? "yes" : "no";
  };
  const rows = situations.map((each) => `| ${each.id} | ${each.what} | ${answer(each)} | ${each.why} |`);
  return ["| case | device | to a pod? | why |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
