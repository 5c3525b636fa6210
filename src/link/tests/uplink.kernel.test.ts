// Whether a node needs a device: each row is a node, made on a real kernel. d1 is asked about; d2 is another device; p1 and p2 are their cables.
import { afterEach, describe, expect, it } from "vitest";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { findByNumber } from "../beside.ts";
import { getLink } from "../link.ts";
import { relevantRoutes } from "../route.ts";
import { describeRoute, usedByNode } from "../uplink.ts";
import { othersOn } from "../uppers.ts";

const { own } = enterSandbox();
const { route } = own;

afterEach(() =>
  sh(`ip nexthop flush >/dev/null 2>&1 || true
    for family in 4 6; do
      ip -$family rule flush; ip -$family rule add lookup main pref 32766
      for table in main 101 10001; do ip -$family route flush table $table 2>/dev/null || true; done
    done
    ip -j link | grep -o '"ifname":"[^"]*"' | cut -d'"' -f4 | grep -v '^lo$' | while read name; do ip link del $name 2>/dev/null || true; done`),
);

const NODE = `for i in 1 2; do
    ip link add d$i type veth peer name p$i; ip link set d$i up; ip link set p$i up
    ip address add 10.0.$i.9/24 dev d$i; ip address add 2001:db8:$i::9/64 dev d$i nodad
  done`;

function use(setup: string, device = "d1"): string {
  sh(`${NODE}; ${setup}`);
  const link = getLink(route, device)!;
  const found = usedByNode(route, link, relevantRoutes(route, link.index));
  return found === undefined ? "free" : `${found.carrier.name}: ${describeRoute(found.route)}`;
}

const rows = (table: [setup: string, expected: string, device?: string][]): void => {
  for (const [setup, expected, device] of table) {
    it(`${device ?? "d1"} is ${expected} after ${setup || "nothing"}`, () => expect(use(setup, device)).toBe(expected));
  }
};

const DEFAULT = "d1: one of this node's default routes";

describe("the main table", () => {
  rows([
    ["", "free"],
    ["ip route add default via 10.0.2.1; ip route add 224.0.0.0/4 dev d1", "free"],
    ["ip route add 192.0.0.0/4 dev d1 metric 7", "d1: this node's route to 192.0.0.0/4"],
    [
      "ip link add link d1 name v1 type macvlan; ip link set v1 up; ip route add 128.0.0.0/2 dev d2; ip route add 192.0.0.0/2 dev v1",
      "v1: this node's route to 192.0.0.0/2",
    ],
    ["ip route add default via 10.0.2.1", "free"],
    ["ip route add default via 10.0.1.1", DEFAULT],
    ["ip route add default dev d1", DEFAULT],
    ["ip route add blackhole default", "free"],
    ["ip -6 route add default via 2001:db8:1::1", DEFAULT],
    ["ip route add default via 10.0.2.1; ip route add default via 10.0.1.1 metric 200", DEFAULT],
    ["ip route add default nexthop via 10.0.2.1 nexthop via 10.0.1.1", DEFAULT],
    [
      "ip nexthop add id 1 via 10.0.2.1 dev d2; ip nexthop add id 2 via 10.0.1.1 dev d1; ip nexthop add id 3 group 1/2; ip route add default nhid 3",
      DEFAULT,
    ],
    [
      "ip route add default via 10.0.2.1; ip route add 10.96.0.0/12 via 10.0.1.1",
      "d1: this node's route to 10.96.0.0/12",
    ],
    [
      "ip route add default via 10.0.2.1; ip route add 10.96.0.0/12 via inet6 2001:db8:1::1 dev d1",
      "d1: this node's route to 10.96.0.0/12",
    ],
    ["ip route add default via 10.0.2.1; ip route add 10.96.0.0/12 dev d1", "free"],
    [
      "ip route add 0.0.0.0/1 via 10.0.1.1; ip route add 128.0.0.0/1 via 10.0.1.1",
      "d1: this node's route to 0.0.0.0/1",
    ],
    [
      "ip route add default via 10.0.2.1; ip route add 0.0.0.0/1 dev d1; ip route add 128.0.0.0/1 dev d1",
      "d1: this node's route to 0.0.0.0/1",
    ],
    ["ip route add default via 10.0.2.1; ip route add 128.0.0.0/1 dev d1", "d1: this node's route to 128.0.0.0/1"],
    ["ip -6 route add 2000::/3 dev d1", "d1: this node's route to 2000::/3"],
  ]);
});

describe("routes from router advertisements", () => {
  const RA = "ip -6 route add default via fe80::1 dev d1 proto ra";
  rows([
    [`ip route add default via 10.0.2.1; ${RA}`, "free"],
    [`ip -6 route add default via 2001:db8:2::1; ${RA} metric 10`, "free"],
    [`ip route add default via 10.0.2.1; ${RA}; ip -6 route append default via fe80::1 dev d2 proto ra`, "free"],
    [RA, DEFAULT],
    [`ip route add default via 10.0.1.1; ${RA}`, DEFAULT],
  ]);
});

describe("other tables", () => {
  const OTHER = "ip route add default via 10.0.2.1; ip route add default via 10.0.1.1 dev d1 table 101";
  const SIX = "ip -6 route add default via 2001:db8:1::1 dev d1 table 10001";
  const used = "d1: one of this node's default routes (table 101)";
  rows([
    [OTHER, "free"],
    [`${OTHER}; ip rule add from 10.0.1.9 lookup 101`, "free"],
    [`${OTHER}; ip rule add from 10.0.1.9 lookup 101; ip rule add to 10.0.1.9 lookup 101`, "free"],
    [`${OTHER}; ip rule add from 10.0.1.0/24 lookup 101`, "free"],
    [`${OTHER}; ip rule add iif d1 lookup 101; ip rule add oif d1 lookup 101`, "free"],
    [`${SIX}; ip -6 rule add from 2001:db8:1::9 lookup 10001`, "free"],
    [`${OTHER}; ip rule add from 10.0.1.128/28 lookup 101`, "free"],
    [`${OTHER}; ip rule add from 10.0.1.128/28 lookup 101; ip route add 10.0.1.130/32 dev d2`, used],
    [`${OTHER}; ip rule add from 10.0.1.0/24 lookup 101; ip route add 10.0.1.130/32 dev d2 table 7`, used],
    [`${OTHER}; ip rule add from 10.0.0.0/23 lookup 101`, used],
    [`${OTHER}; ip rule add from 10.0.2.9 lookup 101`, used],
    [`${OTHER}; ip rule add from 10.0.0.0/16 lookup 101`, used],
    [`${OTHER}; ip rule add from 10.7.7.7 lookup 101`, used],
    [`${OTHER}; ip rule add not from 10.0.1.9 lookup 101`, used],
    [`${OTHER}; ip rule add to 10.0.1.0/24 lookup 101`, used],
    [`${OTHER}; ip rule add fwmark 0x10 lookup 101`, used],
    [`${OTHER}; ip rule add iif d2 lookup 101`, used],
    [`${OTHER}; ip rule add lookup 101`, used],
    [`${SIX}; ip -6 rule add fwmark 1 lookup 10001`, "d1: one of this node's default routes (table 10001)"],
    [`${OTHER}; ip -6 rule add lookup 101`, "free"],
    [
      "ip route add 10.96.0.0/12 via 10.0.1.1 table 101; ip rule add lookup 101",
      "d1: this node's route to 10.96.0.0/12 (table 101)",
    ],
  ]);
});

describe("what stands on the device", () => {
  const over = (kind: string, rest = "") =>
    `${kind}; ip link set u up; ip address add 10.0.3.9/24 dev u; ip route add default via 10.0.3.1 dev u; ${rest}`;
  rows([
    [over("ip link add u link d1 type macvlan mode bridge"), "u: one of this node's default routes"],
    [
      over("ip link add u link d1 type macvlan mode bridge; ip link add d9 link u type macvlan mode bridge"),
      "free",
      "d9",
    ],
    [over("ip link add u link d2 type macvlan mode bridge"), "free"],
    [over("ip link add u type bridge; ip link set d1 master u"), "u: one of this node's default routes"],
    [
      over("ip link add u type bridge; ip link add mv0 link d1 type macvlan mode bridge; ip link set mv0 master u"),
      "u: one of this node's default routes",
    ],
    [over("ip link add u type bridge; ip link set d2 master u"), "free"],
  ]);

  it("a device that was moved in from the pod is not taken for one on d1 because of a number", () => {
    sh("ip -n pod link add x index 900 type veth peer name y; ip -n pod link add u link x type macvlan mode bridge");
    sh("touch /run/netns/own; mount --bind /proc/self/ns/net /run/netns/own; ip -n pod link set u netns own");
    expect(
      use(
        "ip link add d9 index 900 type veth peer name p9; ip link set u up; ip address add 10.0.3.9/24 dev u; ip route add default dev u",
        "d9",
      ),
    ).toBe("free");
    sh("ip -n pod link del x");
  });
});

describe("othersOn", () => {
  const carries = (setup: string): boolean => {
    sh(`${NODE}; ${setup}`);
    return othersOn(own, getLink(route, "d1")!, "/run/netns/pod") !== undefined;
  };
  const table: [string, boolean][] = [
    ["", false],
    ["ip link add mv0 link d1 netns pod type macvlan mode bridge", false],
    ["ip link add mv0 link d1 netns pod type macvlan mode bridge; ip -n pod link set mv0 up", true],
    ["ip link add mv0 link d1 netns pod type macvlan mode private; ip -n pod link set mv0 up", true],
    ["ip link add mv0 link d1 netns pod type macvlan mode passthru; ip -n pod link set mv0 up", true],
    ["ip link add mv0 link d1 netns pod type macvlan mode passthru nopromisc; ip -n pod link set mv0 up", true],
    ["ip link add mv0 link d2 netns pod type macvlan mode passthru; ip -n pod link set mv0 up", false],
    ["ip link add mv0 link d2 netns pod type macvlan mode bridge; ip -n pod link set mv0 up", false],
    ["ip link add mv0 link d1 type macvlan mode bridge", false],
    ["ip link add mv0 link d1 type macvlan mode bridge; ip link set mv0 up", true],
    [
      "ip link add mv1 link d1 type macvlan mode bridge; ip link set mv1 up; ip link add mv0 link d1 netns pod type macvlan mode bridge; ip -n pod link set mv0 up",
      true,
    ],
    [
      "ip link add mv0 link d1 netns pod type macvlan mode bridge; ip -n pod link set mv0 up; ip link set d1 down",
      false,
    ],
  ];
  for (const [setup, expected] of table) {
    it(`${expected} after ${setup || "nothing"}`, () => expect(carries(setup)).toBe(expected));
  }
  it("findByNumber finds one in a namespace without a name, and none that leads elsewhere", () => {
    sh(`${NODE}; unshare -n sleep 30 >/dev/null 2>&1 & while [ "$(readlink /proc/$!/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done
      echo $! > /run/stranger; ip link add mv0 link d1 type macvlan; ip link set mv0 netns $!
      nsenter -n -t $! sh -c "ip link add d7 index $(cat /sys/class/net/d1/ifindex) type dummy || ip link add d7 index $(cat /sys/class/net/d1/ifindex) type veth; ip link add other link d7 type macvlan"`);
    try {
      const on = (name: string) => {
        const { index } = getLink(route, "d1")!;
        return findByNumber(own, (each) => each.parent === index && each.name === name)?.link.kind;
      };
      expect([on("mv0"), on("other")]).toEqual(["macvlan", undefined]);
    } finally {
      sh("kill $(cat /run/stranger)");
    }
  });
  it("reads the line of a device whose name takes more bytes than letters", () => {
    sh(`${NODE}; ip link add üüü type veth peer name p6; ip link set üüü up; ip link set p6 up
      ip link add mv0 link üüü netns pod type macvlan mode bridge; ip -n pod link set mv0 up`);
    expect(othersOn(own, getLink(route, "üüü")!, "/run/netns/pod")).toBe("an interface in another namespace");
  });
  it("finds the line of the device among those of many", () => {
    sh(
      `${NODE}; for i in $(seq 200); do echo "link add w$i type veth peer name x$i"; echo "link set w$i up"; done | ip -batch -`,
    );
    sh(
      "ip link add d5 type veth peer name p5; ip link set d5 up; ip link set p5 up; ip link add mv0 link d5 netns pod type macvlan mode bridge; ip -n pod link set mv0 up",
    );
    const link = getLink(route, "d5")!;
    expect(othersOn(own, link, "/run/netns/pod") !== undefined).toBe(true);
    sh("ip -n pod link set mv0 down");
    expect(othersOn(own, link, "/run/netns/pod") !== undefined).toBe(false);
  });
});
