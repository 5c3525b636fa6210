// bridge: a pod that can send what it likes (CAP_NET_RAW, which Kubernetes gives by default) does not become the node's router (CVE-2020-10749).
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, hostLocal, makeBridge } from "./bridge-shared.ts";
import { advertise } from "./guides.ts";

const one = rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "program:perl"]);

interface Situation {
  id: string;
  what: string;
  /** Shell. */
  setup?: string;
  config: Config;
  /** Between the ADD and the advertisement. */
  before?: (t: Trial) => void;
  needs?: string[];
}

/** The pod's first advertisement may come before its port forwards: five are sent. */
const unheard = ({ id, what, setup = "true", config, before, needs = [] }: Situation): Case =>
  one(
    id,
    "H",
    "the node takes no router advertisement from a pod",
    `${what}: no IPv6 default route on the node after five advertisements`,
    (t) => {
      t.sh(setup);
      t.add(config);
      before?.(t);
      t.sh("ip -n c1 address add fe80::66/64 dev eth0 nodad");
      advertise(t, "c1", "eth0");
      const learnt = t.routes("").filter(({ dst }) => dst === "::/0");
      t.equal(learnt, [], "IPv6 default routes of the node");
    },
    needs,
  );

/** The node's router, on uplink; uplink2 is a cable to nobody. */
function makeRouter(t: Trial): void {
  t.sh("ip netns add router; ip link add uplink up type veth peer name lan netns router; ip -n router link set lan up");
  t.sh("ip -n router address add fe80::1/64 dev lan nodad; ip link add uplink2 up type veth peer name far2");
}

/** Default routes of the node by what it has heard. */
function advertised(t: Trial): number {
  return t.routes("").filter(({ dst, dev }) => dst === "::/0" && dev === "uplink").length;
}

export const attacksRouter: CaseTable = {
  perMain: [],
  fixed: [
    ...[
      { id: "ATK-RA1a", what: "a bridge that ADD makes", config: conf() },
      {
        id: "ATK-RA1b",
        what: "a bridge that ADD makes, with an IPv4 gateway",
        config: conf({ isGateway: true, ...hostLocal() }),
      },
      {
        id: "ATK-RA1c",
        what: "a bridge that ADD makes, where new interfaces take advertisements even if they forward",
        setup: "sysctl -qw net.ipv6.conf.default.accept_ra=2",
        config: conf({ isGateway: true, ...hostLocal("fd00:61::/64") }),
      },
      {
        id: "ATK-RA1d",
        what: "the gateway's interface in a VLAN",
        setup: "ip link add br0 up type bridge vlan_filtering 1; sysctl -qw net.ipv6.conf.br0.accept_ra=0",
        config: conf({ isGateway: true, vlan: 7, ...hostLocal() }),
        needs: ["kernel:vlan_filtering"],
      },
      {
        id: "ATK-RA1e",
        what: "the host's end of the pod's veth, after somebody has removed the bridge",
        config: conf(),
        before: (t: Trial) => t.sh("ip link del br0"),
      },
    ].map(unheard),
    one(
      "ATK-RA3a",
      "H",
      "isGateway with IPv6 on a node with an advertised default route",
      "the node keeps the route, and hears its router",
      (t) => {
        makeRouter(t);
        const learnt = () => advertised(t);
        advertise(t, "router", "lan");
        t.equal(learnt(), 1, "default routes before ADD");
        t.add(conf({ isGateway: true, ...hostLocal("fd00:61::/64") }));
        t.equal(learnt(), 1, "default routes after ADD");
        t.sh("ip -6 route flush proto ra");
        advertise(t, "router", "lan");
        t.equal(learnt(), 1, "default routes when the router advertises again");
      },
    ),
    one(
      "ATK-RA3b",
      "H",
      "isGateway with IPv6 on a node whose router is silent at the moment",
      "the node hears its router later; interfaces that take no advertisements, and a pod's veth, take none",
      (t) => {
        makeRouter(t);
        t.sh("for name in quiet forwards; do ip link add $name type veth peer name $name-far; done");
        t.sh("ip link add lxc9 up type veth peer name x netns c1; ip route add 10.62.0.7/32 dev lxc9");
        t.sh("sysctl -qw net.ipv6.conf.quiet.accept_ra=0 net.ipv6.conf.forwards.forwarding=1");
        t.equal(advertised(t), 0, "default routes before ADD");
        t.add(conf({ isGateway: true, ...hostLocal("fd00:61::/64") }));
        const modes = ["uplink", "uplink2", "quiet", "forwards", "lxc9"].map((name) =>
          t.sh(`cat /proc/sys/net/ipv6/conf/${name}/accept_ra`).trim(),
        );
        t.equal(modes, ["2", "2", "0", "1", "1"], "accept_ra");
        advertise(t, "router", "lan");
        t.equal(advertised(t), 1, "default routes when the router advertises");
      },
    ),
    one("ATK-RA2a", "G", "a bridge that others made", "its accept_ra stays as it was", (t) => {
      makeBridge(t);
      t.sh("sysctl -qw net.ipv6.conf.br0.accept_ra=2");
      t.add(conf());
      t.equal(t.sh("cat /proc/sys/net/ipv6/conf/br0/accept_ra"), "2\n", "accept_ra of br0");
    }),
  ],
};
