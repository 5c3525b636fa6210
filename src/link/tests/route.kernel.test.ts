// Routes and the devices of default routes on a real kernel.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatAddress, formatPrefix, parseAddress } from "../../ip/address.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { getLink } from "../link.ts";
import { defaultRouteDevice, devicesOf, listRoutes, lookUpRoute, relevantRoutes } from "../route.ts";

const { own } = enterSandbox();
const route = own.route;

beforeEach(() =>
  sh(`for i in 1 2 3; do
      ip link add d$i type veth peer name p$i; ip link set d$i up; ip link set p$i up
      ip addr add 10.$i.0.1/24 dev d$i; ip addr add fd0$i::1/64 dev d$i nodad
    done`),
);
afterEach(() =>
  sh(`ip nexthop flush >/dev/null 2>&1 || true
    for family in 4 6; do for table in main 100; do ip -$family route flush table $table 2>/dev/null || true; done; done
    for i in 1 2 3; do ip link del d$i; done`),
);

const index = (name: string) => getLink(route, name)!.index;
const best = () => {
  const device = defaultRouteDevice(route);
  return device === undefined ? undefined : getLink(route, device)?.name;
};
/** Devices of all default routes of the main table. */
const all = () => {
  const defaults = relevantRoutes(route, 0).filter(
    ({ dst, type, table }) => dst.length === 0 && type === 1 && table === 254,
  );
  const devices = new Set(defaults.flatMap((found) => devicesOf(route, found)));
  return [...devices].map((device) => getLink(route, device)!.name).sort();
};

describe("defaultRouteDevice", () => {
  it("none", () => {
    expect(best()).toBeUndefined();
    expect(all()).toEqual([]);
  });

  it("of the lowest metric, whatever was added first", () => {
    sh(
      "ip route add default via 10.1.0.2 metric 200; ip route add default via 10.2.0.2 metric 100; ip route add default via 10.3.0.2 metric 300",
    );
    expect(best()).toBe("d2");
    expect(all()).toEqual(["d1", "d2", "d3"]);
  });

  it("IPv4 before IPv6; IPv6 alone", () => {
    sh("ip -6 route add default via fd02::2 metric 1");
    expect(best()).toBe("d2");
    sh("ip route add default via 10.3.0.2 metric 4000000000");
    expect(best()).toBe("d3");
    expect(all()).toEqual(["d2", "d3"]);
  });

  it("of a multipath route, the first next hop (the Go plugins fail)", () => {
    sh("ip route add default nexthop via 10.3.0.2 dev d3 nexthop via 10.1.0.2 dev d1");
    expect(best()).toBe("d3");
    expect(all()).toEqual(["d1", "d3"]);
  });

  it("of IPv6 multipath routes", () => {
    sh("ip -6 route add default nexthop via fd03::2 dev d3 nexthop via fd01::2 dev d1");
    expect(best()).toMatch(/^d[13]$/);
    expect(all()).toEqual(["d1", "d3"]);
  });

  it("not of a blackhole or unreachable default (the Go plugins fail)", () => {
    sh(
      "ip route add blackhole default metric 1; ip route add default via 10.2.0.2 metric 2; ip -6 route add unreachable default metric 1",
    );
    expect(best()).toBe("d2");
    expect(all()).toEqual(["d2"]);
  });

  it("in the main table only", () => {
    sh("ip route add default via 10.1.0.2 table 100");
    expect(best()).toBeUndefined();
  });

  it("of nexthop objects and their groups, also when the kernel gives nothing but their id", () => {
    sh(`ip nexthop add id 1 via 10.2.0.2 dev d2; ip nexthop add id 2 via 10.3.0.2 dev d3; ip nexthop add id 3 group 1/2
      ip route add default nhid 3 metric 5`);
    expect(best()).toBe("d2");
    sh("sysctl -qw net.ipv4.nexthop_compat_mode=0");
    try {
      expect(listRoutes(route, 4).find((found) => found.dst.length === 0)?.nexthopId).toBe(3);
      expect(best()).toBe("d2");
      expect(all()).toEqual(["d2", "d3"]);
    } finally {
      sh("sysctl -qw net.ipv4.nexthop_compat_mode=1");
    }
  });
});

describe("listRoutes", () => {
  it("has what ip route has: destination, table, metric, mtu, advmss, gateway, weight", () => {
    sh(`ip route add 10.9.0.0/16 proto boot metric 7 table 100 mtu 1400 advmss 1300 \
      nexthop via 10.1.0.2 dev d1 weight 1 nexthop via 10.2.0.2 dev d2 weight 5`);
    const [found, ...more] = listRoutes(route, 4, 100);
    expect(more).toEqual([]);
    expect({ ...found, dst: formatPrefix(found!.dst) }).toMatchObject({
      family: 4,
      dst: "10.9.0.0/16",
      table: 100,
      protocol: 3,
      scope: 0,
      type: 1,
      priority: 7,
      metrics: { mtu: 1400, advmss: 1300 },
    });
    expect(found!.nexthops.map((hop) => [hop.ifIndex, formatAddress(hop.gateway!), hop.weight])).toEqual([
      [index("d1"), "10.1.0.2", 1],
      [index("d2"), "10.2.0.2", 5],
    ]);
  });

  it("of a gateway of the other family", () => {
    sh("ip route add 10.9.0.0/16 via inet6 fd01::2 dev d1");
    const found = listRoutes(route, 4).find((candidate) => formatPrefix(candidate.dst) === "10.9.0.0/16");
    expect(formatAddress(found!.nexthops[0]!.gateway!)).toBe("fd01::2");
  });

  it("by table: main, another, all, one that never was", () => {
    sh("ip route add 10.9.0.0/16 via 10.1.0.2 table 100");
    expect(listRoutes(route, 4).map((found) => found.table)).toEqual([254, 254, 254]);
    expect(listRoutes(route, 4, 100).length).toBe(1);
    expect(new Set(listRoutes(route, 4, 0).map((found) => found.table))).toEqual(new Set([254, 255, 100]));
    expect(listRoutes(route, 4, 4711)).toEqual([]);
    expect(listRoutes(route, 6, 4711)).toEqual([]);
  });
});

describe("lookUpRoute", () => {
  const way = (to: string) => {
    const found = lookUpRoute(route, parseAddress(to)!);
    return (
      found &&
      `${formatPrefix(found.dst)} ${found.table} ${devicesOf(route, found).map((each) => getLink(route, each)!.name)}`
    );
  };

  it("is the route itself, with all next hops; of the best metric; by the rules", () => {
    sh(
      "ip route add default nexthop via 10.3.0.2 dev d3 nexthop via 10.1.0.2 dev d1; ip route add default via 10.2.0.2 metric 9",
    );
    expect(way("203.0.113.9")).toBe("0.0.0.0/0 254 d3,d1");
    sh("ip route add 128.0.0.0/1 via 10.2.0.2");
    expect([way("203.0.113.9"), way("9.9.9.9")]).toEqual(["128.0.0.0/1 254 d2", "0.0.0.0/0 254 d3,d1"]);
    sh("ip route add default via 10.2.0.2 table 1000; ip rule add lookup 1000");
    expect(way("9.9.9.9")).toBe("0.0.0.0/0 1000 d2");
    sh("ip rule del lookup 1000; ip route flush table 1000; ip rule add from 10.1.0.1 lookup 1000");
    expect(way("9.9.9.9")).toBe("0.0.0.0/0 254 d3,d1");
    sh("ip rule del from 10.1.0.1");
  });

  it("of IPv6, of nexthop objects", () => {
    sh("ip -6 route add default via fd02::2; ip -6 route append default via fd01::2");
    expect(way("2001:7fd::1")?.split(" ")[2]?.split(",").sort()).toEqual(["d1", "d2"]);
    sh(
      "ip nexthop add id 1 via 10.2.0.2 dev d2; ip route add default nhid 1; sysctl -qw net.ipv4.nexthop_compat_mode=0",
    );
    expect(way("9.9.9.9")).toBe("0.0.0.0/0 254 d2");
    sh("sysctl -qw net.ipv4.nexthop_compat_mode=1");
  });

  it("is none where there is none, or the way is closed", () => {
    expect(way("9.9.9.9")).toBeUndefined();
    for (const kind of ["unreachable", "blackhole", "prohibit"]) {
      sh(`ip route add ${kind} default; ip -6 route add ${kind} default`);
      expect([way("9.9.9.9"), way("2001:7fd::1")]).toEqual([undefined, undefined]);
      sh("ip route del default; ip -6 route del default dev lo");
    }
  });
});
