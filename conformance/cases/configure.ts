// Addresses and routes on the interface, as upstream's package tests and users rely on them, through MAIN and a stub.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import { ANY, type Trial } from "../harness/trial.ts";
import { say, stubbed } from "./stubs.ts";

const IPS = [
  { address: "1.2.3.30/24", gateway: "1.2.3.1" },
  { address: "abcd:1234:ffff::cdde/64", gateway: "abcd:1234:ffff::1" },
];
const ROUTES = [
  { dst: "15.5.6.0/24", gw: "1.2.3.5" },
  { dst: "1111:dddd::/80", gw: "abcd:1234:ffff::10" },
  { dst: "15.5.6.0/24", gw: "1.2.3.5", table: 5000 },
  { dst: "1.2.3.4/32", scope: 200, gw: "0.0.0.0" },
];
const v11 = { needs: ["spec:1.1.0"] };

interface Added {
  readonly conf: Config;
  readonly set: Record<string, string>;
  readonly result: Result;
}

function added(t: Trial, ips: unknown, routes: unknown): Added {
  const s = stubbed(t, { ADD: say({ cniVersion: "1.1.0", ips, routes }) }, { cniVersion: "1.1.0" });
  return { ...s, result: t.add(s.conf, { set: s.set }) };
}

const route = (t: Trial, dst: string, table = "main") => {
  const found = t.routes().filter((r) => r.dst === dst && r.table === table && r.dev === "eth0");
  if (found.length === 0) throw new Mismatch(`a route to ${dst} in table ${table}`, "none");
  return found;
};

/** ADD with one address and these routes, then a statement about the kernel, and CHECK right after. */
const installs = (
  id: string,
  tag: Tag,
  label: string,
  routes: readonly Config[],
  holds: (t: Trial) => void,
  ips: readonly Config[] = [IPS[0]!],
): MainCase =>
  row(
    id,
    tag,
    "C-045, C-096",
    `${label}; CHECK right after: OK`,
    (t) => {
      const a = added(t, ips, routes);
      holds(t);
      t.silent("CHECK", { ...a.conf, prevResult: a.result }, { set: a.set });
    },
    v11,
  );

const sysctl = (t: Trial, name: string) => t.sh(`ip netns exec c1 cat /proc/sys/net/${name}`).trim();

export const configure: CaseTable = {
  perMain: [
    row(
      "CFG-01",
      "G",
      "ConfigureIface 1",
      "all addresses and routes present, scope 200 kept",
      (t) => {
        added(t, IPS, ROUTES);
        const addresses = t.link("eth0")!.addresses;
        t.equal(addresses.filter((a) => a.cidr.includes(".")).length, 1, "v4 addresses");
        t.equal(addresses.filter((a) => a.cidr.includes(":")).length, 2, "v6 addresses, with link-local");
        t.equal(route(t, "15.5.6.0/24")[0]!.gateway, "1.2.3.5", "gateway");
        t.equal(route(t, "15.5.6.0/24", "5000")[0]!.gateway, "1.2.3.5", "gateway");
        t.equal(route(t, "1111:dddd::/80")[0]!.gateway, "abcd:1234:ffff::10", "gateway");
        t.equal(route(t, "1.2.3.4/32")[0]!.scope, "site", "scope 200, which iproute2 calls");
      },
      v11,
    ),
    row(
      "CFG-02",
      "G",
      "ConfigureIface 2",
      "two routes to one destination: both gateways visible",
      (t) => {
        added(
          t,
          [IPS[0]],
          [
            { dst: "15.5.6.0/24", gw: "1.2.3.5" },
            { dst: "15.5.6.0/24", gw: "1.2.3.6" },
          ],
        );
        const gateways = route(t, "15.5.6.0/24").flatMap((r) => r.gateways);
        t.equal(gateways.sort(), ["1.2.3.5", "1.2.3.6"], "gateways");
      },
      v11,
    ),
    row(
      "CFG-03",
      "G",
      "ConfigureIface 3",
      "link down: the global v6 address stays",
      (t) => {
        added(t, IPS, []);
        t.sh("ip -n c1 link set eth0 down");
        const held = t.link("eth0")!.addresses.filter((a) => a.cidr.includes(":"));
        t.equal(
          held.map((a) => a.cidr),
          ["abcd:1234:ffff::cdde/64"],
          "v6 addresses",
        );
      },
      v11,
    ),
    row(
      "CFG-04",
      "G",
      "ConfigureIface 4",
      "routes without gw use the gateways of the addresses, also in a table",
      (t) => {
        added(
          t,
          IPS,
          ROUTES.slice(0, 3).map(({ gw: _, ...rest }) => rest),
        );
        t.equal(route(t, "15.5.6.0/24")[0]!.gateway, "1.2.3.1", "gateway");
        t.equal(route(t, "15.5.6.0/24", "5000")[0]!.gateway, "1.2.3.1", "gateway");
        t.equal(route(t, "1111:dddd::/80")[0]!.gateway, "abcd:1234:ffff::1", "gateway");
      },
      v11,
    ),
    installs("CFG-10", "S", "C-046: a gateway alone creates no route", [], (t) => {
      t.expect(!t.routes().some((r) => r.dst === "0.0.0.0/0"), "no default route", "there is one");
    }),
    installs("CFG-11", "G", "gw 0.0.0.0 means on-link", [{ dst: "203.0.113.0/24", gw: "0.0.0.0" }], (t) => {
      t.equal(route(t, "203.0.113.0/24")[0]!.gateway, "", "gateway");
    }),
    installs(
      "CFG-12",
      "H",
      "gw :: means on-link",
      [{ dst: "2001:db8:9::/64", gw: "::" }],
      (t) => {
        t.equal(route(t, "2001:db8:9::/64")[0]!.gateway, "", "gateway");
      },
      [IPS[1]!],
    ),
    installs(
      "CFG-13",
      "G",
      "two v4 gateways: the first is used",
      [{ dst: "0.0.0.0/0" }],
      (t) => {
        t.equal(route(t, "0.0.0.0/0")[0]!.gateway, "1.2.3.1", "gateway");
      },
      [IPS[0]!, { address: "192.0.2.9/24", gateway: "192.0.2.1" }],
    ),
    installs(
      "CFG-14",
      "G",
      "/32 with an on-link gateway",
      [{ dst: "1.2.3.1/32", gw: "0.0.0.0", scope: 253 }, { dst: "0.0.0.0/0" }],
      (t) => {
        t.equal(route(t, "0.0.0.0/0")[0]!.gateway, "1.2.3.1", "gateway");
      },
      [{ address: "1.2.3.30/32", gateway: "1.2.3.1" }],
    ),
    installs("CFG-15", "G", "a v6 default beside a v4 address is on-link", [{ dst: "::/0" }], (t) => {
      t.equal(route(t, "::/0")[0]!.gateway, "", "gateway");
    }),
    installs(
      "CFG-21",
      "G",
      "an address whose gateway is 0.0.0.0 brings none",
      [{ dst: "203.0.113.0/24" }],
      (t) => {
        t.equal(route(t, "203.0.113.0/24")[0]!.gateway, "", "gateway");
      },
      [{ address: "1.2.3.30/24", gateway: "0.0.0.0" }],
    ),
    row(
      "CFG-16",
      "H",
      "B8: an exact duplicate of a route is no fault",
      "OK, or E with nothing left",
      (t) => {
        const routes = [{ dst: "203.0.113.0/24" }, { dst: "203.0.113.0/24" }];
        const s = stubbed(t, { ADD: say({ cniVersion: "1.1.0", ips: [IPS[0]], routes }) }, { cniVersion: "1.1.0" });
        t.okOrRefused(s.conf, ANY, { set: s.set });
      },
      v11,
    ),
    row(
      "CFG-17",
      "G",
      "IPv6 is enabled for an IPv6 address",
      "disable_ipv6 1 in the container: 0 after ADD",
      (t) => {
        t.sh("ip netns exec c1 sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'");
        added(t, [{ address: "abcd:1234:ffff::cdde/64" }], []);
        t.equal(sysctl(t, "ipv6/conf/eth0/disable_ipv6"), "0", "disable_ipv6");
      },
      v11,
    ),
    row(
      "CFG-18",
      "G",
      "v4 addresses below /31 have a broadcast address",
      "1.2.3.255",
      (t) => {
        added(t, [IPS[0]], []);
        t.expect(t.sh("ip -n c1 -4 address show dev eth0").includes("brd 1.2.3.255"), "brd 1.2.3.255", "none");
      },
      v11,
    ),
    row(
      "CFG-19",
      "G",
      "with a v6 gateway ADD waits for duplicate address detection",
      "no tentative address after ADD",
      (t) => {
        added(t, [IPS[1]], []);
        const tentative = t.link("eth0")!.addresses.filter((a) => a.tentative && a.scope === "global");
        t.equal(tentative, [], "tentative addresses");
      },
      v11,
    ),
    row(
      "CFG-20",
      "G",
      "a duplicate IPv6 address",
      "E, nothing left",
      (t) => {
        const peer = t.main.creates ? "up1" : "dev0p";
        const dad = t.main.name === "bridge" ? { enabledad: true } : {};
        const s = stubbed(t, { ADD: say({ cniVersion: "1.1.0", ips: [IPS[1]] }) }, { cniVersion: "1.1.0", ...dad });
        if (t.main.name === "bridge") t.sh("ip link set up0 master br0");
        t.sh(`ip address add abcd:1234:ffff::cdde/64 dev ${peer} nodad`);
        t.refused("ADD", s.conf, ANY, { set: s.set });
      },
      v11,
    ),
  ],
  fixed: [],
};
