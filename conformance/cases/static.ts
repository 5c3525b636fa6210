// IPAM static: upstream's unit tests as black boxes, each with every version.
import { addressFamily, addressValue, parsePrefix } from "../harness/address.ts";
import { type CaseTable, row, rowsByVersion } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { isMiddle, isOld, type Result, SPEC_VERSIONS } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";

const needs = ["plugin:static"];
/** IPAM needs no namespace to exist. */
export const ATTACHMENT = { CNI_CONTAINERID: "dummy", CNI_NETNS: "/some/where", CNI_IFNAME: "eth0" };

const config = (cniVersion: string, ipam: Config | undefined, extra: Config = {}): Config => ({
  cniVersion,
  name: "mynet",
  type: "ipvlan",
  master: "foo0",
  ...(ipam && { ipam: { type: "static", ...ipam } }),
  ...extra,
});

type Pair = readonly [string, (string | undefined)?];

interface Plain {
  readonly ips: readonly Pair[];
  readonly routes: readonly Pair[];
}

const prefix = (text: string) => {
  const p = parsePrefix(text);
  return p === undefined ? text : `${p.family}:${p.value}/${p.length}`;
};
const host = (text: string | undefined) =>
  text === undefined || addressFamily(text) === undefined ? undefined : `${addressFamily(text)}:${addressValue(text)}`;
const pairs = (list: readonly Pair[]) => list.map(([a, b]) => [prefix(a), host(b) ?? null]);

/** Addresses and routes of a result of any version. */
export function plain(result: Result): Plain {
  const families = [result.ip4, result.ip6].filter((f) => f !== undefined);
  const ips = result.ips ?? families.map((f) => ({ address: f.ip, gateway: f.gateway }));
  const routes = result.routes ?? families.flatMap((f) => f.routes ?? []);
  return { ips: ips.map((ip) => [ip.address, ip.gateway]), routes: routes.map((r) => [r.dst, r.gw]) };
}

export function samePlain(t: Trial, result: Result, expected: Plain): void {
  const got = plain(result);
  t.equal(pairs(got.ips), pairs(expected.ips), "addresses");
  t.equal(pairs(got.routes), pairs(expected.routes), "routes");
}

const call = (t: Trial, conf: Config, args?: string) =>
  t.call("ADD", conf, { plugin: "static", set: { ...ATTACHMENT, CNI_ARGS: args } });

const each = rowsByVersion("static", SPEC_VERSIONS);

/** ADD gives exactly these addresses and routes; DEL is OK. */
function gives(t: Trial, version: string, conf: Config, expected: Plain, args?: string): void {
  const run = call(t, conf, args);
  samePlain(t, t.result(run, version, { ipam: true }), expected);
  if (isMiddle(version)) t.expect(run.stdout.includes('"version":'), '"version": in the output', run.stdout);
  t.silent("DEL", conf, { plugin: "static", set: ATTACHMENT });
}

const refuses = (t: Trial, conf: Config, args?: string) => void t.error(call(t, conf, args), [7, 4, 999]);

const A4: [string, string] = ["10.10.0.1/24", "10.10.0.254"];
const A6: [string, string] = ["3ffe:ffff:0:01ff::1/64", "3ffe:ffff:0::1"];
const ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.10.5.1" }, { dst: "3ffe:ffff:0:01ff::1/64" }];
const R: Plain["routes"] = ROUTES.map((r) => [r.dst, r.gw]);
const V4_ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.10.5.1" }];
const R4: Plain["routes"] = V4_ROUTES.map((r) => [r.dst, r.gw]);
const GW_ROUTES = [
  { dst: "0.0.0.0/0", gw: "10.10.0.254" },
  { dst: "3ffe:ffff:0:01ff::1/64", gw: "3ffe:ffff:0::1" },
];
const GR: Plain["routes"] = GW_ROUTES.map((r) => [r.dst, r.gw]);
const DNS = { nameservers: ["8.8.8.8"], domain: "example.com", search: ["example.com"], options: ["attempts:3"] };
const TWO = ["10.10.0.1/24", "3ffe:ffff:0:01ff::1/64"];
const PAIR: Plain["ips"] = [["10.10.0.1/24"], ["3ffe:ffff:0:01ff::1/64"]];
const addresses = [
  { address: A4[0], gateway: A4[1] },
  { address: A6[0], gateway: A6[1] },
];

export const staticIpam: CaseTable = {
  perMain: [],
  fixed: [
    ...each("ST-1", "ST-1", "both addresses with gateways, routes in order, dns", (t, v) => {
      gives(t, v, config(v, { addresses, routes: ROUTES, dns: DNS }), { ips: [A4, A6], routes: R });
      t.equal(t.result(call(t, config(v, { addresses, dns: DNS })), v, { ipam: true }).dns, DNS, "dns");
    }),
    ...each("ST-2", "ST-2 two routes to one destination", "both, in order", (t, v) => {
      const routes = [
        { dst: "0.0.0.0/0", gw: "10.10.0.254" },
        { dst: "0.0.0.0/0", gw: "10.10.0.253" },
      ];
      const conf = config(v, { addresses: [addresses[0]], routes });
      gives(t, v, conf, { ips: [A4], routes: routes.map((r) => [r.dst, r.gw]) });
    }),
    ...each("ST-3", "ST-3 DEL without ADD", "OK", (t, v) => {
      t.silent("DEL", config(v, { addresses }), { plugin: "static", set: ATTACHMENT });
    }),
    ...each("ST-4", "ST-4 address and gateway by CNI_ARGS", "one address with gateway", (t, v) => {
      gives(t, v, config(v, { routes: V4_ROUTES }), { ips: [A4], routes: R4 }, "IP=10.10.0.1/24;GATEWAY=10.10.0.254");
    }),
    ...each("ST-5", "ST-5 two v4 addresses by CNI_ARGS", "two addresses; E below 0.3.0", (t, v) => {
      const args = "IP=10.10.0.1/24,11.11.0.1/24;GATEWAY=10.10.0.254";
      if (isOld(v)) return refuses(t, config(v, {}), args);
      gives(t, v, config(v, {}), { ips: [A4, ["11.11.0.1/24"]], routes: [] }, args);
    }),
    ...each("ST-6", "ST-6 addresses by RuntimeConfig.ips", "two addresses without gateway", (t, v) => {
      const conf = config(v, { routes: GW_ROUTES }, { RuntimeConfig: { ips: TWO } });
      gives(t, v, conf, { ips: PAIR, routes: GR });
    }),
    ...each("ST-7", "ST-7 addresses by args.cni.ips", "two addresses without gateway", (t, v) => {
      gives(t, v, config(v, { routes: GW_ROUTES }, { args: { cni: { ips: TWO } } }), { ips: PAIR, routes: GR });
    }),
    ...each("ST-8", "ST-8 precedence", "runtimeConfig wins over args and CNI_ARGS", (t, v) => {
      const extra = {
        RuntimeConfig: { ips: TWO },
        args: { cni: { ips: ["10.10.0.2/24", "3ffe:ffff:0:01ff::2/64"] } },
      };
      const args = "IP=10.10.0.3/24,11.11.0.3/24;GATEWAY=10.10.0.254";
      gives(t, v, config(v, { routes: GW_ROUTES }, extra), { ips: PAIR, routes: GR }, args);
    }),
    ...each("ST-9", "ST-9 no ipam, CNI_ARGS given", "E", (t, v) => refuses(t, config(v, undefined), "IP=10.10.0.1/24")),
    ...each("ST-10", "ST-10 no ipam, runtimeConfig given", "E", (t, v) => {
      refuses(t, config(v, undefined, { RuntimeConfig: { ips: TWO } }));
    }),
    ...each("ST-11", "ST-11 address without prefix", "E", (t, v) => {
      refuses(t, config(v, { addresses: [{ address: "10.10.0.1" }] }));
    }),
    ...each("ST-12", "ST-12 CNI_ARGS address without prefix", "E", (t, v) => refuses(t, config(v, {}), "IP=10.10.0.1")),
    ...each("ST-13", "ST-13 args.cni.ips without prefix", "E", (t, v) => {
      refuses(t, config(v, {}, { args: { cni: { ips: ["10.10.0.1"] } } }));
    }),
    ...each("ST-14", "ST-14 runtimeConfig.ips without prefix", "E", (t, v) => {
      refuses(t, config(v, {}, { RuntimeConfig: { ips: ["10.10.0.1"] } }));
    }),
    row(
      "STX-01",
      "H",
      "CHECK fails when a configured address is missing",
      "prevResult without it: E",
      (t) => {
        const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.10.0.9/24" }] };
        const options = { plugin: "static", set: ATTACHMENT };
        t.error(t.call("CHECK", config("1.0.0", { addresses, prevResult }, { prevResult }), options));
      },
      { needs },
    ),
    row(
      "STX-02",
      "G",
      "CHECK of the reference",
      "the address with another gateway: E",
      (t) => {
        const prevResult = { cniVersion: "1.0.0", ips: [{ address: A4[0], gateway: "10.10.0.9" }] };
        const options = { plugin: "static", set: ATTACHMENT };
        t.error(t.call("CHECK", config("1.0.0", { addresses: [addresses[0]] }, { prevResult }), options));
      },
      { needs },
    ),
    row(
      "STX-03",
      "G",
      "CHECK after ADD",
      "OK",
      (t) => {
        const conf = config("1.0.0", { addresses });
        const prevResult = t.result(call(t, conf), "1.0.0", { ipam: true });
        t.silent("CHECK", { ...conf, prevResult }, { plugin: "static", set: ATTACHMENT });
      },
      { needs },
    ),
    row(
      "STX-04",
      "G",
      "no addresses at all",
      "OK from 0.3.0 on",
      (t) => {
        samePlain(t, t.result(call(t, config("1.0.0", {})), "1.0.0", { ipam: true }), { ips: [], routes: [] });
      },
      { needs },
    ),
    row(
      "STX-05",
      "G",
      "version must be a string and is otherwise ignored",
      'version "6" for a v4 address: OK',
      (t) => {
        const conf = config("1.0.0", { addresses: [{ version: "6", address: A4[0] }] });
        t.result(call(t, conf), "1.0.0", { ipam: true });
      },
      { needs },
    ),
    row(
      "STX-06",
      "G",
      "all attributes of a route are echoed in 1.1.0",
      "mtu, advmss, priority, table, scope",
      (t) => {
        const routes = [
          { dst: "203.0.113.0/24", gw: "10.10.0.5", mtu: 1300, advmss: 1200, priority: 7, table: 9, scope: 0 },
        ];
        t.equal(
          t.result(call(t, config("1.1.0", { addresses, routes })), "1.1.0", { ipam: true }).routes,
          routes,
          "routes",
        );
      },
      { needs: [...needs, "spec:1.1.0:static"] },
    ),
  ],
};
