import { describe, expect, it } from "vitest";
import { formatAddress, formatPrefix } from "../../ip/address.ts";
import { type Route, spec } from "../../testing/spec.ts";
import { planRoutes } from "../route-plan.ts";

/** Each route in short: "0.0.0.0/0 via 10.1.2.1 onlink table 100 metric 5 scope 253". */
function plan(ips: string[], routes: Route[]): string[] {
  return planRoutes(spec(ips, routes)).routes.map((route) => {
    let text = formatPrefix(route.dst);
    for (const { gateway, onlink } of route.hops) {
      if (gateway !== undefined) text += ` via ${formatAddress(gateway)}${onlink ? " onlink" : ""}`;
    }
    if (route.table !== 254) text += ` table ${route.table}`;
    if (route.priority !== 0) text += ` metric ${route.priority}`;
    if (route.scope !== 0) text += ` scope ${route.scope}`;
    const { mtu, advmss } = route.metrics ?? {};
    if (mtu !== undefined) text += ` mtu ${mtu}`;
    if (advmss !== undefined) text += ` advmss ${advmss}`;
    return text;
  });
}

const uncovered = (ips: string[], routes: Route[]) => planRoutes(spec(ips, routes)).uncovered.map(formatAddress);

const V4 = ["10.1.2.3/24 via 10.1.2.1"];
const V6 = ["fd00::5/64 via fd00::1"];

describe("the gateway", () => {
  it("alone makes no route", () => expect(plan([...V4, ...V6], [])).toEqual([]));

  it("of a route without one is the first that an address of its family brings", () => {
    const ips = ["10.9.0.1/16", ...V4, "10.5.0.1/16 via 10.5.0.9", ...V6];
    expect(plan(ips, [{ dst: "0.0.0.0/0" }, { dst: "::/0" }])).toEqual(["0.0.0.0/0 via 10.1.2.1", "::/0 via fd00::1"]);
  });

  it("of its own wins", () => {
    expect(plan(V4, [{ dst: "192.0.2.0/24", gw: "10.1.2.9" }])).toEqual(["192.0.2.0/24 via 10.1.2.9"]);
  });

  it("0.0.0.0 or :: means none", () => {
    expect(
      plan(
        [...V4, ...V6],
        [
          { dst: "192.0.2.0/24", gw: "0.0.0.0" },
          { dst: "2001:db8::/32", gw: "::" },
        ],
      ),
    ).toEqual(["192.0.2.0/24", "2001:db8::/32"]);
  });

  it("is not inherited from the other family", () => {
    expect(plan(V4, [{ dst: "::/0" }])).toEqual(["::/0"]);
    expect(plan(V6, [{ dst: "0.0.0.0/0" }])).toEqual(["0.0.0.0/0"]);
  });

  it("is not inherited by an IPv4 route of scope link", () => {
    expect(plan(V4, [{ dst: "192.0.2.0/24", scope: 253 }])).toEqual(["192.0.2.0/24 scope 253"]);
    expect(plan(V6, [{ dst: "2001:db8::/32", scope: 253 }])).toEqual(["2001:db8::/32 via fd00::1 scope 253"]);
  });

  it("of IPv6 carries IPv4 (RTA_VIA), not the other way round", () => {
    expect(plan(V6, [{ dst: "0.0.0.0/0", gw: "fd00::1" }])).toEqual(["0.0.0.0/0 via fd00::1"]);
    expect(() => plan(V4, [{ dst: "::/0", gw: "10.1.2.1" }])).toThrow("not an IPv6 address");
  });
});

describe("a gateway that no address covers", () => {
  it("is on-link, and reported once (issue 4: the OKE bare metal configuration)", () => {
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "192.0.2.0/24" }];
    expect(plan(["10.0.10.2/32 via 10.0.20.1"], routes)).toEqual([
      "0.0.0.0/0 via 10.0.20.1 onlink",
      "192.0.2.0/24 via 10.0.20.1 onlink",
    ]);
    expect(uncovered(["10.0.10.2/32 via 10.0.20.1"], routes)).toEqual(["10.0.20.1"]);
  });

  it("is covered by a second address", () => {
    expect(plan(["10.1.2.3/24 via 10.9.0.1", "10.9.0.5/16"], [{ dst: "0.0.0.0/0" }])).toEqual([
      "0.0.0.0/0 via 10.9.0.1",
    ]);
  });

  it("is covered by a scope-link route to it, wherever that stands; that route goes first", () => {
    const routes = [{ dst: "0.0.0.0/0" }, { dst: "169.254.1.1/32", scope: 253 }];
    expect(plan(["10.0.0.2/32 via 169.254.1.1"], routes)).toEqual([
      "169.254.1.1/32 scope 253",
      "0.0.0.0/0 via 169.254.1.1",
    ]);
    expect(uncovered(["10.0.0.2/32 via 169.254.1.1"], routes)).toEqual([]);
  });

  it("the kernel does not take an IPv4 on-link route of scope universe as proof; no warning, since the configuration says it", () => {
    const routes = [{ dst: "169.254.1.1/32", gw: "0.0.0.0" }, { dst: "0.0.0.0/0" }];
    expect(plan(["10.0.0.2/32 via 169.254.1.1"], routes)[1]).toBe("0.0.0.0/0 via 169.254.1.1 onlink");
    expect(uncovered(["10.0.0.2/32 via 169.254.1.1"], routes)).toEqual([]);
  });

  it("a route in another table covers nothing", () => {
    const routes = [{ dst: "169.254.1.1/32", scope: 253, table: 100 }, { dst: "0.0.0.0/0" }];
    expect(uncovered(["10.0.0.2/32 via 169.254.1.1"], routes)).toEqual(["169.254.1.1"]);
  });

  it("fe80::1 is on every link", () => {
    expect(plan(["fd00::5/128"], [{ dst: "::/0", gw: "fe80::1" }])).toEqual(["::/0 via fe80::1"]);
    expect(plan(["fd00::5/128"], [{ dst: "::/0", gw: "fec0::1" }])).toEqual(["::/0 via fec0::1 onlink"]);
  });
});

describe("routes", () => {
  it("have their host bits cleared", () => {
    expect(plan([], [{ dst: "10.9.1.7/16" }, { dst: "2001:db8::7/32" }])).toEqual(["10.9.0.0/16", "2001:db8::/32"]);
  });

  it("keep table, metric, scope, mtu and advmss; 0 is the kernel's default", () => {
    expect(plan([], [{ dst: "10.9.0.0/16", table: 5000, priority: 7, scope: 200, mtu: 1400, advmss: 1300 }])).toEqual([
      "10.9.0.0/16 table 5000 metric 7 scope 200 mtu 1400 advmss 1300",
    ]);
    expect(plan([], [{ dst: "10.9.0.0/16", table: 0, priority: 0, scope: 0, mtu: 0, advmss: 0 }])).toEqual([
      "10.9.0.0/16",
    ]);
  });

  it("with several gateways become one multipath route, in both families", () => {
    const routes = [
      { dst: "10.9.0.0/16", gw: "10.1.2.1" },
      { dst: "2001:db8::/32", gw: "fd00::1" },
      { dst: "10.9.5.0/16", gw: "10.1.2.2" },
      { dst: "2001:db8::/32", gw: "fd00::2" },
    ];
    expect(plan([...V4, ...V6], routes)).toEqual([
      "10.9.0.0/16 via 10.1.2.1 via 10.1.2.2",
      "2001:db8::/32 via fd00::1 via fd00::2",
    ]);
  });

  it("that differ in metric, table or mtu stay apart", () => {
    const routes = [
      { dst: "10.9.0.0/16" },
      { dst: "10.9.0.0/16", priority: 1 },
      { dst: "10.9.0.0/16", table: 9 },
      { dst: "10.9.0.0/16", mtu: 9 },
    ];
    expect(plan(V4, routes).length).toBe(4);
  });

  it("given twice count once", () => {
    expect(plan(V4, [{ dst: "10.9.0.0/16" }, { dst: "10.9.3.0/16", gw: "10.1.2.1" }, { dst: "10.9.0.0/16" }])).toEqual([
      "10.9.0.0/16 via 10.1.2.1",
    ]);
    expect(plan([], [{ dst: "::/0" }, { dst: "::/0" }])).toEqual(["::/0"]);
  });
});
