// What a device's addresses and routes are after they went through a record. conformance/cases/host-device.ts has whole calls.
import { afterEach, beforeEach, expect, it } from "vitest";
import { host } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { administered, capturedSpec, captureNetwork, restoreNetwork } from "../capture.ts";
import { getLink } from "../link.ts";
import { relevantRoutes } from "../route.ts";

const { own } = enterSandbox();
const { route } = own;

beforeEach(() => sh("ip link add d0 type veth peer name p; ip link set d0 up; ip link set p up"));
afterEach(() => sh("ip link del d0"));

const link = () => getLink(route, "d0")!;
const routes = (family: number) => sh(`ip -d -${family} route show dev d0 | grep -v 'proto kernel'`).trim();
const restore = (text: string) => restoreNetwork(route, link().index, "d0", JSON.parse(text));

it("a route with an IPv6 source comes back although its address is checked for duplicates first", () => {
  sh("ip address add 2001:db8::9/64 dev d0 nodad; ip -6 route add 2001:db8:1::/48 via 2001:db8::1 src 2001:db8::9");
  const before = routes(6);
  const captured = administered(captureNetwork(route, link(), relevantRoutes(route, link().index)));
  for (const address of captured.addresses) address.flags = 0;
  sh("ip address flush dev d0; ip -6 route flush 2001:db8:1::/48");
  restore(JSON.stringify(captured));
  expect(routes(6)).toBe(before);
});

it("a record of a version that kept less is restored as far as it goes", () => {
  restore(
    `{"addresses":[{"address":"192.0.2.9/24","broadcast":"192.0.2.255","permanent":true,"flags":0}],
      "routes":[{"dst":"203.0.113.0/24","table":254,"scope":0,"protocol":4,"priority":7,"gateway":"192.0.2.1","mtu":1400}]}`,
  );
  expect(sh("ip -o -4 address show dev d0")).toContain("192.0.2.9/24 brd 192.0.2.255 scope global d0");
  expect(routes(4)).toBe("unicast 203.0.113.0/24 via 192.0.2.1 proto static scope global metric 7 mtu 1400");
});

it("multipath routes of both families are restored, with the hops over other devices", () => {
  sh(`ip link add d1 type veth peer name q; ip link set d1 up; ip link set q up
    ip address add 192.0.2.9/24 dev d0; ip address add 198.51.100.9/24 dev d1
    ip address add 2001:db8::9/64 dev d0 nodad; ip address add 2001:db8:1::9/64 dev d1 nodad
    ip route add 203.0.113.0/24 proto static nexthop via 192.0.2.1 dev d0 weight 3 nexthop via 198.51.100.1 dev d1 weight 2
    ip route add 203.0.114.0/24 nexthop via 192.0.2.1 dev d0 nexthop via 192.0.9.9 dev d0 onlink
    ip -6 route add 2001:db8:9::/48 nexthop via 2001:db8::1 dev d0 nexthop via 2001:db8:1::1 dev d1`);
  // The order of equal hops says nothing.
  const show = () => sh("ip route show root 203.0.112.0/20; ip -6 route show 2001:db8:9::/48 | sort");
  const before = show();
  const captured = JSON.stringify(administered(captureNetwork(route, link(), relevantRoutes(route, link().index))));
  sh(`touch /run/netns/own; mount --bind /proc/self/ns/net /run/netns/own
    ip link set d0 netns pod; ip -n pod link set d0 netns own; umount /run/netns/own; ip link set d0 up`);
  expect(show()).not.toContain("192.0.2.1");
  restore(captured);
  expect(show()).toBe(before);
  expect(before.split("nexthop").length).toBe(7);
  sh("ip link del d1");
});

it("a route with a nexthop object is not recorded, and the log names it", () => {
  sh(`ip address add 192.0.2.9/24 dev d0; ip nexthop add id 7 via 192.0.2.1 dev d0
    ip route add 203.0.113.0/24 nhid 7; ip route add 203.0.114.0/24 via 192.0.2.1`);
  let text = "";
  const write = host.write.bind(host);
  host.write = (_fd, data) => {
    text += host.decode(data);
    return data.length;
  };
  try {
    const { routes: captured } = captureNetwork(route, link(), relevantRoutes(route, link().index));
    expect(captured.map(({ dst }) => dst)).toEqual(["203.0.114.0/24"]);
  } finally {
    host.write = write;
  }
  expect(text).toContain('device="d0" route="203.0.113.0/24" nexthop=7');
});

it("local, broadcast and multicast routes and table local come back, and an IPv6 route that expires expires", () => {
  sh(`ip address add 192.0.2.9/24 dev d0; ip address add 2001:db8::9/64 dev d0 nodad
    ip route add local 203.0.113.7 dev d0; ip route add multicast 239.1.0.0/16 dev d0; ip route add broadcast 203.0.114.255 dev d0
    ip route add 203.0.115.0/24 dev d0 table local; ip route add 203.0.116.0/24 via 192.0.2.1 src 203.0.113.7
    ip -6 route add local 2001:db8:60::1 dev d0; ip -6 route add 2001:db8:9::/48 via 2001:db8::1 expires 400
    ip -6 route add 2001:db8:a::/48 via 2001:db8::1 expires 400`);
  const show = () =>
    sh("ip -d -4 route show table all; ip -d -6 route show table all")
      .split("\n")
      .filter((line) => line.includes("dev d0") && !line.includes("proto kernel"))
      .map((line) => line.replace(/ (expires) \d+sec| (error -?\d+)/g, " $1"))
      .sort();
  const before = show();
  expect(before).toHaveLength(8);
  const captured = administered(captureNetwork(route, link(), relevantRoutes(route, link().index)));
  expect(capturedSpec(captured).routes).toHaveLength(3);
  const lapsed = captured.routes.find(({ dst }) => dst === "2001:db8:a::/48")!;
  lapsed.expires! -= 402;
  sh(`touch /run/netns/own; mount --bind /proc/self/ns/net /run/netns/own
    ip link set d0 netns pod; ip -n pod link set d0 netns own; umount /run/netns/own; ip link set d0 up`);
  expect(show()).toEqual([]);
  restore(JSON.stringify(captured));
  expect(show()).toEqual(before.filter((line) => !line.includes("2001:db8:a::/48")));
  expect(sh("ip -6 route show 2001:db8:9::/48")).toMatch(/expires (39\d|40[0-2])sec/);
});

it("a route over another device whose source is an address of this one comes back", () => {
  sh(`ip link add d1 type veth peer name q; ip link set d1 up; ip link set q up
    ip address add 192.0.2.9/24 dev d0; ip address add 198.51.100.9/24 dev d1
    ip route add 203.0.113.0/24 via 198.51.100.1 dev d1 src 192.0.2.9 metric 7
    ip route add 203.0.114.0/24 dev d1 src 192.0.2.9 table 77`);
  const show = () => sh("ip route show table main; ip route show table 77");
  const before = show();
  const captured = JSON.stringify(administered(captureNetwork(route, link(), relevantRoutes(route, link().index))));
  sh("ip address flush dev d0");
  // The kernel leaves other tables alone.
  expect(show()).not.toContain("203.0.113.0");
  restore(captured);
  expect(show()).toBe(before);
  sh("ip link del d1; ip address flush dev d0");
});

it("a route to a subnet that the administrator made instead of the kernel comes back, and is none of the pod's", () => {
  // As NetworkManager does.
  sh(`ip address add 192.0.2.9/24 dev d0 noprefixroute; ip route add 192.0.2.0/24 dev d0 proto kernel scope link src 192.0.2.9 metric 100
    ip address add 198.51.100.1 peer 198.51.100.77/25 dev d0 noprefixroute; ip route add 198.51.100.0/25 dev d0 proto kernel scope link
    ip -6 address add 2001:db8::9/64 dev d0 nodad noprefixroute; ip -6 route add 2001:db8::/64 dev d0 proto kernel metric 100
    ip address add 203.0.113.9/24 dev d0; ip route add 203.0.112.0/24 via 192.0.2.1; ip -6 route add 2001:db8:9::/48 via 2001:db8::1`);
  const show = () => sh("ip route show; ip -6 route show | grep 2001");
  const before = show();
  const captured = administered(captureNetwork(route, link(), relevantRoutes(route, link().index)));
  expect(capturedSpec(captured).routes).toHaveLength(2);
  expect(captured.routes).toHaveLength(5);
  sh("ip address flush dev d0; ip -6 route flush 2001:db8::/64; ip -6 route flush 2001:db8:9::/48");
  restore(JSON.stringify(captured));
  expect(show()).toBe(before);
});

it("what is there already is left alone", () => {
  sh(`ip address add 192.0.2.9/24 dev d0; ip address add 192.0.2.9 peer 192.0.2.77 dev d0
    ip route add 203.0.113.0/24 via 192.0.2.1 proto static onlink dev d0`);
  const show = () => sh("ip -o -4 address show dev d0; ip route show table all");
  const before = show();
  restore(JSON.stringify(administered(captureNetwork(route, link(), relevantRoutes(route, link().index)))));
  expect(show()).toBe(before);
});
