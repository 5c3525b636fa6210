// bridge: CHECK holds after each good ADD, and fails for whatever is changed behind its back (B-77 to B-84).
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { addDown, BRIDGE_MAC, conf, fixed, hostLocal, makeBridge, pod, portOf, ports } from "./bridge-shared.ts";

const needs = ["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"];
const one = rowsThatNeed(needs);
const masq = rowsThatNeed([...needs, "kernel:inet_nat"]);

const FULL = conf({
  isGateway: true,
  ipam: {
    type: "static",
    addresses: [{ address: "10.61.0.2/24" }, { address: "fd00:61::2/64" }],
    routes: [{ dst: "203.0.113.0/24", gw: "10.61.0.1" }],
  },
});

/** With a gateway for both families. */
const GATEWAYS: Config = {
  ipam: { type: "host-local", ranges: [[{ subnet: "10.61.0.0/24" }], [{ subnet: "fd00:61::/64" }]] },
};

/** Of a new port, and what they are changed to. */
const SWITCHES = [
  ...["flood", "mcast_flood", "bcast_flood", "learning"].map((name) => [name, "on", "off"] as const),
  ...["guard", "root_block", "neigh_suppress", "fastleave", "proxy_arp", "proxy_arp_wifi", "mcast_to_unicast"].map(
    (name) => [name, "off", "on"] as const,
  ),
];

/** CHECK, which held, fails and names it. */
const sees = (id: string, what: string, change: (port: string) => string, named = /./, keys: Config = {}): Case =>
  one(id, "H", "C-093: CHECK honesty", `${what}: E`, (t) => {
    const config = { ...FULL, ...keys };
    const prevResult = t.add(config);
    t.silent("CHECK", { ...config, prevResult });
    t.sh(change(portOf(t).name));
    const { msg, details = "" } = t.error(t.call("CHECK", { ...config, prevResult }));
    t.expect(named.test(`${msg} ${details}`), `a message like ${named}`, `${msg}: ${details}`);
  });

/** Each subset of these five. */
const configurations: Config[] = Array.from({ length: 32 }, (_, n) => ({
  ...(n & 1 ? { hairpinMode: true, mtu: 1400 } : {}),
  ...(n & 2 ? { portIsolation: true } : {}),
  ...(n & 4 ? { macspoofchk: true } : {}),
  ...(n & 8 ? { isGateway: true, ipMasq: true } : {}),
  ...(n & 16 ? hostLocal() : {}),
}));

/** What KubeVirt makes of an interface for a virtual machine. */
const takeOver = (t: Trial): void => {
  t.sh(`mac=$(ip -n c1 -j link show eth0 | sed 's/.*"address":"\\([^"]*\\)".*/\\1/')
    addresses=$(ip -n c1 -j -4 address show dev eth0 | grep -o '"local":"[^"]*","prefixlen":[0-9]*' | sed 's/"local":"\\(.*\\)","prefixlen":/\\1\\//')
    ip -n c1 link set eth0 down
    ip -n c1 link set eth0 name eth0-nic address ${BRIDGE_MAC}
    ip -n c1 address flush dev eth0-nic
    ip -n c1 link add k6t-eth0 address ${BRIDGE_MAC} type bridge
    ip -n c1 link set eth0-nic master k6t-eth0 up
    ip -n c1 link set k6t-eth0 up
    ip -n c1 link add eth0 address $mac type dummy
    for a in $addresses; do ip -n c1 address add $a dev eth0; done`);
};

export const bridgeCheck: CaseTable = {
  perMain: [],
  fixed: [
    masq("B-77", "S", "C-090: CHECK holds after ADD", "32 configurations", (t) => {
      for (const keys of configurations) {
        const prevResult = t.add(conf(keys));
        const run = t.call("CHECK", { ...conf(keys), prevResult });
        t.expect(run.status === 0, `CHECK of ${JSON.stringify(keys)}: OK`, run.stdout);
        t.silent("DEL", { ...conf(keys), prevResult });
      }
    }),
    one(
      "B-78",
      "H",
      "the bridge's MAC may drift",
      "50 further pods: CHECK OK, on a bridge of others without a MAC of its own too",
      (t) => {
        t.sh("ip link add br0 up type bridge");
        const prevResult = t.add(conf({}, "1.0.0"));
        const pods = Array.from({ length: 50 }, (_, n) => pod(t, `p${n}`));
        for (const run of t.parallel(pods.map(({ set }) => ({ command: "ADD", stdin: conf({}, "1.0.0"), set }))))
          t.equal(run.status, 0, run.stdout);
        t.silent("CHECK", { ...conf({}, "1.0.0"), prevResult });
      },
    ),
    ...(["", "vlan 100"] as const).map((where, n) =>
      one(
        `B-78${"ab"[n]}`,
        "H",
        "the bridge's MAC may drift",
        `the same with isGateway${where === "" ? ", but without IPAM" : ` and ${where}`}: only a gateway's address is fixed`,
        (t) => {
          t.sh(`ip link add br0 up type bridge${where === "" ? "" : " vlan_filtering 1"}`);
          const keys = where === "" ? {} : { vlan: 100, ...hostLocal("10.61.0.0/24") };
          const network = conf({ isGateway: true, ...keys }, "1.0.0");
          const prevResult = t.add(network);
          const pods = Array.from({ length: 20 }, (_, n) => pod(t, `p${n}`));
          for (const run of t.parallel(pods.map(({ set }) => ({ command: "ADD", stdin: network, set }))))
            t.equal(run.status, 0, run.stdout);
          t.silent("CHECK", { ...network, prevResult });
        },
        where === "" ? [] : ["kernel:vlan_filtering"],
      ),
    ),
    sees("B-79a", "port down", (port) => `ip link set ${port} down`, /down/),
    sees(
      "B-79b",
      "port on another bridge",
      (port) => `ip link add br9 type bridge; ip link set ${port} master br9`,
      /br9/,
    ),
    sees("B-79c", "port on no bridge", (port) => `ip link set ${port} nomaster`, /no bridge/),
    sees("B-79d", "MTU of the port", (port) => `ip link set ${port} mtu 1300`, /1300/),
    sees("B-79e", "MAC of the port", (port) => `ip link set ${port} address 02:00:00:00:00:99`, /02:00:00:00:00:99/),
    sees("B-79f", "hairpin on", (port) => `bridge link set dev ${port} hairpin on`, /hairpin/),
    sees("B-79g", "hairpin off", (port) => `bridge link set dev ${port} hairpin off`, /hairpin/, { hairpinMode: true }),
    sees("B-79h", "isolation on", (port) => `bridge link set dev ${port} isolated on`, /isolation/),
    sees("B-79i", "isolation off", (port) => `bridge link set dev ${port} isolated off`, /isolation/, {
      portIsolation: true,
    }),
    sees("B-79j", "port locked", (port) => `bridge link set dev ${port} locked on`, /locked/),
    sees("B-79k", "port disabled on the bridge", (port) => `bridge link set dev ${port} state 0`, /forward/),
    sees("B-79l", "the port's alias", (port) => `ip link set ${port} alias other`, /alias/),
    sees(
      "B-79m",
      "accept_ra of the port",
      (port) => `sysctl -qw net.ipv6.conf.${port}.accept_ra=2`,
      /router advertisements/,
    ),
    sees("B-79n", "accept_ra of podnic's bridge", () => "sysctl -qw net.ipv6.conf.br0.accept_ra=2", /advertisements/),
    sees("B-79o", "port renamed", (port) => `ip link set ${port} name keep0`, /veth/),
    one("B-79p", "H", "C-093: CHECK honesty", "a switch of the port, each by itself: E that names it", (t) => {
      const prevResult = t.add(FULL);
      const set = (name: string, word: string): void =>
        void t.sh(`ip link set ${portOf(t).name} type bridge_slave ${name} ${word}`);
      for (const [name, fresh, changed] of SWITCHES) {
        set(name, changed);
        const { msg } = t.error(t.call("CHECK", { ...FULL, prevResult }));
        t.expect(msg.includes(`has ${name} turned ${changed}`), `a message about ${name}`, msg);
        set(name, fresh);
        t.silent("CHECK", { ...FULL, prevResult });
      }
    }),
    sees("B-79q", "MTU of the bridge below that of the port", () => "ip link set br0 mtu 1400", /br0.*1400/),
    sees("B-79r", "MTU of the bridge below that of mtu, 0.4.0", () => "ip link set br0 mtu 1300", /br0.*1300/, {
      cniVersion: "0.4.0",
      mtu: 1400,
    }),
    sees("B-79t", "ARP of the port", (port) => `ip link set ${port} arp off`, /ARP turned off/),
    sees("B-79u", "ARP in the pod", () => "ip -n c1 link set eth0 arp off", /ARP turned off/),
    sees("B-79x", "ARP of the gateway", () => "ip link set br0 arp off", /br0 has ARP turned off/),
    sees(
      "B-79y",
      "the pod bridges its interface, which has addresses",
      () => "ip -n c1 link add mine up type bridge; ip -n c1 link set eth0 master mine",
      /eth0.*bridge in the pod/,
    ),
    one(
      "B-79z",
      "H",
      "C-092: later plugins may change things",
      "without IPAM, the pod bridges its interface: OK",
      (t) => {
        const bare = conf({});
        const prevResult = t.add(bare);
        t.sh("ip -n c1 link add mine up type bridge; ip -n c1 link set eth0 master mine");
        t.silent("CHECK", { ...bare, prevResult });
        t.silent("DEL", { ...bare, prevResult });
      },
    ),
    one(
      "B-79aa",
      "H",
      "C-092: CHECK holds",
      "a plugin before it returned an address without an interface; with IPAM and without: OK",
      (t) => {
        for (const keys of [hostLocal(), {}]) {
          const before = { cniVersion: "1.0.0", interfaces: [], ips: [{ address: "192.0.2.1/24" }] };
          const config = conf(keys, "1.0.0");
          const prevResult = JSON.parse(t.call("ADD", { ...config, prevResult: before }).stdout);
          t.silent("CHECK", { ...config, prevResult });
          t.silent("DEL", { ...config, prevResult });
        }
      },
    ),
    one(
      "B-79ab",
      "H",
      "C-092: CHECK holds",
      "an earlier namespace of the same attachment is still there, with its port: OK; DEL removes both ports",
      (t) => {
        const config = conf(hostLocal());
        t.add(config);
        t.sh("ip netns add again; ip -n again link set lo up");
        const set = { CNI_NETNS: "/run/netns/again" };
        const bare = conf({});
        const prevResult = JSON.parse(t.call("ADD", bare, { set }).stdout);
        t.silent("CHECK", { ...bare, prevResult }, { set });
        t.silent("DEL", { ...bare, prevResult }, { set });
        t.equal(ports(t).length, 0, "ports");
      },
    ),
    sees(
      "B-79v",
      "a route of another gateway before that of ADD",
      () => "ip -n c1 route prepend 203.0.113.0/24 via 10.61.0.99",
      /203\.0\.113\.0\/24.*10\.61\.0\.99/,
    ),
    one(
      "B-79w",
      "H",
      "C-092: later plugins may change things",
      "sbr made a table for each of two gateways; another gateway for a TOS: OK",
      (t) => {
        const routes = [{ dst: "203.0.113.0/24" }];
        const addresses = [1, 2].map((n) => ({ address: `10.6${n}.0.2/24`, gateway: `10.6${n}.0.1` }));
        const config = { ...FULL, ipam: { type: "static", addresses, routes } };
        const prevResult = t.add(config);
        t.sh(`ip -n c1 route del 203.0.113.0/24
          for n in 1 2; do ip -n c1 route add 203.0.113.0/24 via 10.6$n.0.1 table 10$n; done
          ip -n c1 route add 203.0.113.0/24 tos 4 via 10.61.0.99 table 101`);
        t.silent("CHECK", { ...config, prevResult });
      },
    ),
    one(
      "B-79s",
      "H",
      "C-096: CHECK holds",
      "MTU of the bridge as low as the port's, or higher than it was: OK",
      (t) => {
        const config = { ...FULL, mtu: 1400 };
        const prevResult = t.add(config);
        for (const mtu of [1400, 9000]) {
          t.sh(`ip link set br0 mtu ${mtu}`);
          t.silent("CHECK", { ...config, prevResult });
        }
      },
    ),
    sees("B-80a", "pod's end down", () => "ip -n c1 link set eth0 down", /down/),
    sees(
      "B-80b",
      "MAC of the pod's end",
      () => "ip -n c1 link set eth0 address 02:00:00:00:00:99",
      /02:00:00:00:00:99/,
    ),
    sees("B-80c", "MTU of the pod's end", () => "ip -n c1 link set eth0 mtu 1300", /1300/),
    sees("B-80d", "an address removed", () => "ip -n c1 address del 10.61.0.2/24 dev eth0", /10\.61\.0\.2/),
    sees("B-80e", "a route removed", () => "ip -n c1 route del 203.0.113.0/24", /203\.0\.113/),
    sees(
      "B-80f",
      "pod's end renamed",
      () => "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name eth7 up",
      /eth0/,
    ),
    sees("B-80h", "pod's end in another namespace", () => "ip netns add c9; ip -n c1 link set eth0 netns c9", /eth0/),
    one("B-80g", "H", "C-093: CHECK honesty", "a further address: OK", (t) => {
      const prevResult = t.add(FULL);
      t.sh("ip -n c1 address add 10.61.0.77/24 dev eth0");
      t.silent("CHECK", { ...FULL, prevResult });
    }),
    one(
      "B-81a",
      "G",
      "kubevirt: bridge binding",
      "taken over by KubeVirt: CHECK OK, with and without addresses; then the interface down: CHECK: E",
      (t) => {
        makeBridge(t);
        for (const keys of [{}, fixed("10.61.0.2/24"), { macspoofchk: true }]) {
          const prevResult = t.add(conf(keys));
          takeOver(t);
          t.silent("CHECK", { ...conf(keys), prevResult });
          t.sh("ip -n c1 link set eth0-nic down");
          const { msg } = t.error(t.call("CHECK", { ...conf(keys), prevResult }));
          t.expect(/eth0-nic.*down/.test(msg), "a message that eth0-nic is down", msg);
          t.silent("DEL", { ...conf(keys), prevResult });
          t.sh("ip -n c1 link del k6t-eth0; ip -n c1 link del eth0 2>/dev/null || true");
        }
      },
      ["kernel:dummy"],
    ),
    one(
      "B-81b",
      "G",
      "kubevirt#14074: after hot-unplug",
      "what is left: CHECK: E",
      (t) => {
        makeBridge(t);
        const prevResult = t.add(conf());
        takeOver(t);
        t.sh("ip -n c1 link del k6t-eth0; ip -n c1 link del eth0");
        t.error(t.call("CHECK", { ...conf(), prevResult }));
      },
      ["kernel:dummy"],
    ),
    sees("B-82a", "bridge deleted", () => "ip link del br0", /br0/),
    sees(
      "B-82b",
      "bridge deleted and made again",
      () => `ip link del br0; ip link add br0 address ${BRIDGE_MAC} up type bridge`,
      /br0|bridge/,
    ),
    sees("B-82c", "the gateway's address gone", () => "ip address del 10.61.0.1/24 dev br0", /10\.61\.0\.1/),
    sees("B-82d", "forwarding off", () => "echo 0 >/proc/sys/net/ipv4/ip_forward", /ip_forward/),
    sees("B-82f", "forwarding of the bridge off", () => "echo 0 >/proc/sys/net/ipv4/conf/br0/forwarding", /forwarding/),
    sees("B-82g", "MAC of the bridge", () => "ip link set br0 address 02:00:00:00:00:99", /02:00:00:00:00:99/),
    sees("B-82h", "the host's route to the pods gone", () => "ip route del 10.61.0.0/24", /route.*10\.61\.0\.0\/24/),
    sees("B-82i", "that of IPv6", () => "ip -6 route del fd00:61::/64", /route.*fd00:61::\/64/, GATEWAYS),
    one("B-82j", "H", "C-096: CHECK holds", "another program's route to the pods in place of the kernel's: OK", (t) => {
      const prevResult = t.add(FULL);
      t.sh("ip route del 10.61.0.0/24; ip route add 10.61.0.0/24 dev br0 metric 425");
      t.silent("CHECK", { ...FULL, prevResult });
      t.sh("ip route del 10.61.0.0/24; ip route add 10.61.0.0/24 dev br0 table 500");
      t.silent("CHECK", { ...FULL, prevResult });
    }),
    one("B-82k", "H", "C-096: CHECK holds", "the gateway's address is there, and shall have no route: OK", (t) => {
      makeBridge(t);
      t.sh("ip address add 10.61.0.1/24 dev br0 noprefixroute; ip route add 10.61.0.2 dev br0");
      const prevResult = t.add(FULL);
      t.silent("CHECK", { ...FULL, prevResult });
    }),
    one("B-84b", "H", "C-096: CHECK holds", "the policy is broken, or does not list the bridge by now: OK", (t) => {
      const prevResult = t.add(FULL);
      for (const policy of ["{x", '{"bridges":{"names":["other"]},"devices":{"deny":["br0"]}}']) {
        t.write("/etc/cni/podnic.json", policy);
        t.silent("CHECK", { ...FULL, prevResult });
      }
    }),
    sees("B-82e", "bridge down", () => "ip link set br0 down", /down/),
    one(
      "B-84",
      "G",
      "pods of the Go plugin",
      "its result as prevResult: CHECK OK",
      (t) => {
        makeBridge(t);
        for (const [n, keys] of [
          {},
          { isGateway: true, ...hostLocal() },
          { mtu: 1400, hairpinMode: true, ...hostLocal() },
        ].entries()) {
          const set = { CNI_IFNAME: `net${n}` };
          const config = conf(keys, "1.0.0");
          const prevResult = addDown(t, config, { ...t.byPeer, set: { ...t.byPeer.set, ...set } });
          t.silent("CHECK", { ...config, prevResult }, { set });
          t.silent("DEL", { ...config, prevResult }, { set });
        }
      },
      ["peer:bridge"],
    ),
  ],
};
