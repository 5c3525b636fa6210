// Addresses and routes on a real kernel; `ip` says what came of it. checkInterface must agree with every good result, and must
// see every later change.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../errors.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import { type Route, spec } from "../../testing/spec.ts";
import { checkInterface } from "../check.ts";
import { bringUp, type ConfigureOptions, configureInterface } from "../configure.ts";
import { getLink, IFF_UP } from "../link.ts";
import { inNamespace } from "../namespace.ts";
import type { InterfaceSpec } from "../spec.ts";

const { own, pod } = enterSandbox();
sh("ip -n pod link set lo up");

let index = 0;
beforeEach(() => {
  sh("ip link add v0 type veth peer name eth0 netns pod; ip link set v0 up");
  index = getLink(pod.route, "eth0")!.index;
});
afterEach(() => sh("ip link del v0"));

function configure(wanted: InterfaceSpec, options: ConfigureOptions = { dad: "skip" }): void {
  configureInterface(pod, index, "eth0", wanted, options);
}

function configured(ips: string[], routes: Route[] = []): InterfaceSpec {
  const wanted = spec(ips, routes);
  configure(wanted);
  checkInterface(pod, index, "eth0", wanted);
  return wanted;
}

const addresses = () =>
  ipJson("-n pod addr show eth0")[0].addr_info.filter((a: { scope: string }) => a.scope === "global");
const routes = (args = "") =>
  sh(`ip -n pod ${args}`)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.includes("proto kernel"));
const sysctl = (key: string) => inNamespace(pod, () => readFileSync(`/proc/sys/net/${key}`, "utf8").trim());

function caught(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("bringUp", () => {
  it("ignores routers before the link is up, and the addresses that follow are taken all the same", () => {
    const options: ConfigureOptions = { dad: "skip", ignoreRouterAdvertisements: true, notify: true };
    bringUp(pod, index, "eth0", options);
    expect(getLink(pod.route, index)!.flags & IFF_UP).toBe(IFF_UP);
    expect(sysctl("ipv6/conf/eth0/accept_ra")).toBe("0");
    configure(spec(["10.1.2.3/24", "fd00::5/64"], [{ dst: "0.0.0.0/0", gw: "10.1.2.1" }]), options);
    expect(addresses()).toHaveLength(2);
  });
});

describe("addresses", () => {
  it("have their prefix length and broadcast address, and the link is up", () => {
    configured(["10.1.2.3/24", "10.5.0.1/31", "10.6.0.1/32", "fd00::5/64"]);
    const seen = addresses().map((a: { local: string; prefixlen: number; broadcast?: string }) => [
      a.local,
      a.prefixlen,
      a.broadcast,
    ]);
    expect(seen).toEqual([
      ["10.1.2.3", 24, "10.1.2.255"],
      ["10.5.0.1", 31, undefined],
      ["10.6.0.1", 32, undefined],
      ["fd00::5", 64, undefined],
    ]);
    expect(getLink(pod.route, index)!.flags & IFF_UP).toBe(IFF_UP);
  });

  it("none: the link comes up", () => {
    configured([]);
    expect(getLink(pod.route, index)!.flags & IFF_UP).toBe(IFF_UP);
  });

  it("IPv6 is enabled first, on lo too, and they survive link down", () => {
    sh("ip netns exec pod sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1 net.ipv6.conf.lo.disable_ipv6=1");
    configured(["fd00::5/64"]);
    expect(sysctl("ipv6/conf/lo/disable_ipv6")).toBe("0");
    sh("ip -n pod link set eth0 down");
    expect(addresses().map((a: { local: string }) => a.local)).toEqual(["fd00::5"]);
  });

  it("IPv4 alone touches no IPv6 setting", () => {
    sh("ip netns exec pod sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    configured(["10.1.2.3/24"]);
    expect(sysctl("ipv6/conf/eth0/disable_ipv6")).toBe("1");
    expect(sysctl("ipv6/conf/eth0/keep_addr_on_down")).toBe("0");
  });

  it("given twice is an error that names the address", () => {
    const error = caught(() => configure(spec(["10.1.2.3/24", "10.1.2.3/24"], [])));
    expect(error.message).toContain("cannot configure eth0: ip addr add 10.1.2.3/24: file exists");
    expect(error.details).toContain("twice");
  });

  it("an error in the middle of a batch names the right one", () => {
    expect(
      caught(() => configure(spec(["10.1.2.3/24", "fd00::5/64", "10.1.2.3/24"], [{ dst: "0.0.0.0/0" }]))).message,
    ).toContain("10.1.2.3/24");
  });

  it("200 of them, more than one send carries", () => {
    configured(Array.from({ length: 200 }, (_, i) => `10.7.${i}.1/24`));
    expect(addresses().length).toBe(200);
  });
});

describe("routes", () => {
  it("go through the gateway, with table, metric, mtu and advmss", () => {
    configured(
      ["10.1.2.3/24 via 10.1.2.1"],
      [
        { dst: "0.0.0.0/0" },
        { dst: "10.9.1.7/16", gw: "10.1.2.9", mtu: 1400, advmss: 1360, priority: 7, table: 5000 },
        { dst: "192.0.2.0/24", scope: 253 },
        { dst: "198.51.100.0/24", gw: "0.0.0.0", table: 77 },
      ],
    );
    expect(routes("route")).toEqual(["default via 10.1.2.1 dev eth0", "192.0.2.0/24 dev eth0 scope link"]);
    expect(routes("route show table 5000")).toEqual([
      "10.9.0.0/16 via 10.1.2.9 dev eth0 metric 7 mtu 1400 advmss 1360",
    ]);
    expect(routes("route show table 77")).toEqual(["198.51.100.0/24 dev eth0 scope 0".replace(" scope 0", "")]);
  });

  it("of IPv6 too; :: is on-link, host bits are cleared", () => {
    configured(
      ["fd00::5/64 via fd00::1"],
      [
        { dst: "::/0" },
        { dst: "2001:db8::7/32", gw: "::", priority: 5 },
        { dst: "2001:db9::/32", table: 5000, mtu: 1400 },
      ],
    );
    const seen = routes("-6 route").map((line) => line.replace(" pref medium", ""));
    expect(seen).toEqual(["2001:db8::/32 dev eth0 metric 5", "default via fd00::1 dev eth0 metric 1024"]);
    expect(routes("-6 route show table 5000")[0]).toContain("2001:db9::/32 via fd00::1 dev eth0 metric 1024 mtu 1400");
  });

  it("with two gateways are one multipath route in both families", () => {
    configured(
      ["10.1.2.3/24", "fd00::5/64"],
      [
        { dst: "15.5.6.0/24", gw: "10.1.2.5" },
        { dst: "15.5.6.0/24", gw: "10.1.2.6" },
        { dst: "2001:db8::/32", gw: "fd00::5:1" },
        { dst: "2001:db8::/32", gw: "fd00::5:2" },
      ],
    );
    const hops = (family: string, dst: string) =>
      ipJson(`-n pod ${family} route show ${dst}`).map((r) =>
        r.nexthops?.map((hop: { gateway: string }) => hop.gateway),
      );
    expect(hops("-4", "15.5.6.0/24")).toEqual([["10.1.2.5", "10.1.2.6"]]);
    expect(hops("-6", "2001:db8::/32")).toEqual([["fd00::5:1", "fd00::5:2"]]);
  });

  it("exact duplicates, also of what is there already, are no error", () => {
    sh(
      "ip -n pod link set eth0 up; ip -n pod addr add 10.8.0.1/24 dev eth0; ip -n pod route add 192.0.2.0/24 via 10.8.0.9 proto boot",
    );
    configured(
      ["10.1.2.3/24"],
      [{ dst: "192.0.2.0/24", gw: "10.8.0.9" }, { dst: "198.51.100.0/24" }, { dst: "198.51.100.0/24" }],
    );
    expect(routes("route").length).toBe(2);
  });

  it("through a gateway outside every subnet are on-link (issue 4, OKE)", () => {
    configured(["10.0.10.2/32 via 10.0.20.1", "fd00::5/128 via fd01::1"], [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]);
    expect(routes("route")).toEqual(["default via 10.0.20.1 dev eth0 onlink"]);
    expect(routes("-6 route")[0]).toContain("default via fd01::1 dev eth0 metric 1024 onlink");
  });

  it("the /32 address with an on-link gateway, in any order", () => {
    configured(["10.0.0.2/32 via 169.254.1.1"], [{ dst: "0.0.0.0/0" }, { dst: "169.254.1.1/32", scope: 253 }]);
    expect(routes("route")).toEqual(["default via 169.254.1.1 dev eth0", "169.254.1.1 dev eth0 scope link"]);
  });

  it("of IPv4 through an IPv6 gateway", () => {
    configured(["10.0.0.2/32", "fd00::5/64"], [{ dst: "0.0.0.0/0", gw: "fd00::1" }]);
    expect(routes("route")).toEqual(["default via inet6 fd00::1 dev eth0"]);
  });

  it("that the kernel refuses are named, with its words", () => {
    const error = caught(() =>
      configure(spec(["10.1.2.3/24"], [{ dst: "192.0.2.0/24" }, { dst: "0.0.0.0/0", gw: "10.1.2.255" }])),
    );
    expect(error.message).toBe(
      "cannot configure eth0: ip route add 0.0.0.0/0 via 10.1.2.255 dev eth0: invalid argument (Nexthop has invalid gateway)",
    );
    expect(error.details).toContain("broadcast");
  });

  it("are refused before anything happens when they cannot be", () => {
    caught(() => configure(spec(["10.1.2.3/24"], [{ dst: "::/0", gw: "10.1.2.1" }])));
    expect(addresses()).toEqual([]);
  });
});

describe("how it is done", () => {
  it("addresses, up and routes in one send, one answer each", () => {
    let sends = 0;
    let previous = "";
    traceMessages((direction) => {
      if (direction === "send" && previous !== "send") sends++;
      previous = direction;
    });
    try {
      configure(spec(["10.1.2.3/24 via 10.1.2.1"], [{ dst: "0.0.0.0/0" }]));
    } finally {
      traceMessages(undefined);
    }
    expect(sends).toBe(1);
  });

  it("options: no router advertisements, notifications by the kernel", () => {
    configure(spec([], []), { ignoreRouterAdvertisements: true, notify: true });
    expect(sysctl("ipv6/conf/eth0/accept_ra")).toBe("0");
    expect(sysctl("ipv4/conf/eth0/arp_notify")).toBe("1");
    expect(sysctl("ipv6/conf/eth0/ndisc_notify")).toBe("1");
  });
});

describe("checkInterface sees", () => {
  const given: [string[], Route[]] = [
    ["10.1.2.3/24 via 10.1.2.1", "fd00::5/64 via fd00::1"],
    [
      { dst: "0.0.0.0/0" },
      { dst: "10.9.0.0/16", priority: 7, table: 500 },
      { dst: "::/0" },
      { dst: "2001:db8::/32", gw: "fd00::9", mtu: 1400, advmss: 1200 },
    ],
  ];
  const faults: [string, string, string][] = [
    ["the link down", "ip -n pod link set eth0 down", "eth0 is down"],
    ["an address missing", "ip -n pod addr del 10.1.2.3/24 dev eth0", "does not have the address 10.1.2.3/24"],
    [
      "another prefix length",
      "ip -n pod addr del fd00::5/64 dev eth0; ip -n pod addr add fd00::5/65 dev eth0 nodad",
      "fd00::5/64",
    ],
    ["a default route missing", "ip -n pod route del default", "route 0.0.0.0/0 via 10.1.2.1 on eth0 is missing"],
    [
      "a default route through another gateway",
      "ip -n pod route replace default via 10.1.2.77",
      "the kernel has 10.1.2.77 on device",
    ],
    [
      "a default route with another metric",
      "ip -n pod route del default; ip -n pod route add default via 10.1.2.1 metric 9",
      "is missing",
    ],
    [
      "a default route through another interface",
      "ip -n pod link add x0 type veth peer name x1; ip -n pod link set x0 up; ip -n pod link set x1 up; ip -n pod route replace default via 10.1.2.1 dev x0 onlink",
      "does not go through eth0",
    ],
    ["a route missing in its table", "ip -n pod route flush table 500", "10.9.0.0/16 via 10.1.2.1 table 500 metric 7"],
    ["a blackhole in its place", "ip -n pod route replace blackhole 10.9.0.0/16 table 500 metric 7", "10.9.0.0/16"],
    ["an IPv6 route missing", "ip -n pod -6 route del default", "route ::/0 via fd00::1"],
    [
      "an IPv6 route through another gateway",
      "ip -n pod -6 route replace 2001:db8::/32 via fd00::8 dev eth0",
      "fd00::8 on device",
    ],
    [
      "a route with another MTU",
      "ip -n pod -6 route replace 2001:db8::/32 via fd00::9 dev eth0 mtu 1300 advmss 1200",
      "route 2001:db8::/32 via fd00::9 on eth0 has mtu 1300 instead of 1400",
    ],
    [
      "a route with another MSS",
      "ip -n pod -6 route replace 2001:db8::/32 via fd00::9 dev eth0 mtu 1400 advmss 1100",
      "has advmss 1100 instead of 1200",
    ],
  ];
  for (const [what, command, message] of faults) {
    it(what, () => {
      const wanted = configured(...given);
      sh(command);
      try {
        expect(caught(() => checkInterface(pod, index, "eth0", wanted)).message).toContain(message);
      } finally {
        sh(
          "ip -n pod link del x0 2>/dev/null || true; ip -n pod route flush table 500; ip -n pod route flush table main",
        );
      }
    });
  }

  it("no fault in what the Go plugins install: two gateways as two entries, no mtu", () => {
    const wanted = spec(
      ["10.1.2.3/24"],
      [
        { dst: "15.5.6.0/24", gw: "10.1.2.5", mtu: 1400 },
        { dst: "15.5.6.0/24", gw: "10.1.2.6", mtu: 1400 },
      ],
    );
    configure(spec(["10.1.2.3/24"], []));
    sh("ip -n pod route add 15.5.6.0/24 via 10.1.2.5; ip -n pod route append 15.5.6.0/24 via 10.1.2.6");
    checkInterface(pod, index, "eth0", wanted);
  });

  it("no fault in the MTU that the kernel gives IPv6 routes with that of their interface", () => {
    const wanted = configured(...given);
    sh("ip -n pod link set eth0 mtu 1300");
    try {
      expect(sh("ip -n pod -6 route show 2001:db8::/32")).toContain("mtu 1300");
      checkInterface(pod, index, "eth0", wanted);
    } finally {
      sh("ip -n pod link set eth0 mtu 1500");
    }
  });

  it("no fault in addresses and routes that others added", () => {
    const wanted = configured(...given);
    sh("ip -n pod addr add 10.44.0.1/24 dev eth0; ip -n pod route add 10.55.0.0/16 via 10.1.2.1");
    checkInterface(pod, index, "eth0", wanted);
  });

  it("an interface that is not there", () => {
    expect(caught(() => checkInterface(own, 0x7ffffff0, "eth0", spec([], []))).message).toContain("does not exist");
  });
});

describe("a route that a router has advertised", () => {
  const wanted = spec(["2001:db8::5/64"], [{ dst: "::/0", gw: "fe80::1" }]);
  const defaults = () => sh("ip -n pod -6 route show default");
  /** As the kernel keeps it; that of another interface is somebody else's. */
  const advertise = () => {
    sh(
      "ip -n pod link set eth0 up; ip -n pod -6 route add default via fe80::1 dev eth0 proto ra metric 1024 expires 600",
    );
    sh(
      "ip -n pod link add other type veth peer name otherp; ip -n pod link set other up; ip -n pod link set otherp up",
    );
    sh("ip -n pod -6 route add default via fe80::2 dev other metric 2048");
  };
  afterEach(() => void sh("ip -n pod link del other 2>/dev/null || true"));

  it("is replaced by the configured route, which does not expire, and CHECK distinguishes them", () => {
    advertise();
    const check = (plainRoutes: boolean) =>
      caught(() => checkInterface(pod, index, "eth0", { ips: [], routes: wanted.routes, plainRoutes })).message;
    expect(check(false)).toContain("the route ::/0 via fe80::1 on eth0 is missing");
    expect(check(true)).toContain("the route ::/0 via fe80::1 on eth0 is missing");
    configure(wanted);
    expect(defaults().trim().split("\n")).toEqual([
      expect.stringContaining("via fe80::1 dev eth0"),
      expect.stringContaining("via fe80::2 dev other"),
    ]);
    expect(defaults()).not.toMatch(/proto ra|expires/);
    checkInterface(pod, index, "eth0", wanted);
  });

  it("is not in the way of a second ADD of the same route", () => {
    configure(wanted);
    configure({ ips: [], routes: wanted.routes });
    expect(defaults().match(/via fe80::1/g)).toHaveLength(1);
  });
});

describe("a route that a router has really advertised", () => {
  // fe80::1 on v0, to all nodes. The kernel fills in the checksum of ICMPv6.
  const ADVERTISE = `use Socket; socket(my $s, 10, 3, 58) or die "socket: $!"; my $index = $ARGV[0];
    my $address = sub { pack("S n N a16 L", 10, 0, 0, Socket::inet_pton(10, $_[0]), $index) };
    bind($s, $address->("fe80::1")) or die "bind: $!";
    setsockopt($s, 41, 18, pack("i", 255)) && setsockopt($s, 41, 17, pack("i", $index)) or die "setsockopt: $!";
    send($s, pack("C C n C C n N N", 134, 0, 0, 64, 0, $ARGV[1], 0, 0), 0, $address->("ff02::1")) or die "send: $!";`;
  const wanted = spec(["2001:db8::5/64"], [{ dst: "::/0", gw: "fe80::1" }]);
  const defaults = () => sh("ip -n pod -6 route show default");
  const advertise = (lifetime: number) =>
    sh(`perl -e '${ADVERTISE}' ${getLink(own.route, "v0")!.index} ${lifetime}; sleep 0.1`);

  beforeEach(() => {
    sh("ip addr add fe80::1/64 dev v0 nodad; ip -n pod link set eth0 up");
    // Until the link is up and has its own address nothing is heard.
    for (let i = 0; i < 50 && defaults() === ""; i++) advertise(600);
    expect(defaults()).toMatch(/^default via fe80::1 dev eth0 proto ra .*expires/);
  });

  it("is replaced by the configured route, which remains when the router withdraws", () => {
    const check = () => checkInterface(pod, index, "eth0", { ips: [], routes: wanted.routes });
    expect(caught(check).message).toContain("the route ::/0 via fe80::1 on eth0 is missing");
    configure(wanted);
    for (const lifetime of [600, 0]) {
      advertise(lifetime);
      expect(defaults()).toMatch(/^default via fe80::1 dev eth0/);
      expect(defaults()).not.toMatch(/proto ra|expires/);
      check();
    }
  });
});

describe("what a refusal says", () => {
  it("for an IPv6 default route if IPv6 is disabled", () => {
    sh("ip netns exec pod sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
    const error = caught(() => configure(spec(["10.1.2.3/24"], [{ dst: "::/0", gw: "fe80::1" }])));
    expect(error.details).toBe(
      "IPv6 is disabled on this node or on the interface. Remove the route ::/0 from the configuration.",
    );
  });

  it("for IPv6 with an MTU that is too small", () => {
    sh("ip -n pod link set eth0 mtu 1000");
    const error = caught(() => configure(spec(["fd00::5/64"], [])));
    expect([error.kind, error.message]).toEqual([
      "invalid config",
      "cannot give eth0 an IPv6 address: its MTU is below 1280, the minimum for IPv6",
    ]);
    expect(error.details).not.toContain("ipv6.disable");
  });

  it("for a MAC that another pod's interface has", () => {
    const mac = "02:00:00:00:00:77";
    sh("ip netns add second");
    sh(`ip link add m1 link v0 address ${mac} type macvlan mode bridge; ip link set m1 netns second name net7`);
    sh("ip -n second link set net7 up");
    sh(`ip link add m2 link v0 address ${mac} type macvlan mode bridge; ip link set m2 netns pod name net8`);
    const net8 = getLink(pod.route, "net8")!.index;
    const error = caught(() => configureInterface(pod, net8, "net8", spec(["10.9.0.1/24"], [])));
    expect(error.message).toContain("address already in use");
    expect(error.details).toContain(`The MAC address ${mac} is in use by net7 in /run/netns/second. Choose another`);
    sh("ip -n pod link del net8; ip netns del second");
  });

  it("nothing about optional settings if /proc/sys is read-only", () => {
    sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
    try {
      configured(["fd00::7/64"]);
    } finally {
      sh("umount /proc/sys");
    }
  });
});
