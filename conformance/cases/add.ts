// Results of ADD by version, routes, and what ADD must not damage.
import { type CaseTable, type MainCase, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { isMiddle, isOld, type Result, SPEC_VERSIONS } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";

const DNS = { nameservers: ["192.0.2.53"], domain: "example.net", search: ["a.example.net"], options: ["ndots:2"] };

/** One v4 and one v6 range, three routes, all four members of dns. */
export function dual(t: Trial, cniVersion: string): Config {
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "203.0.113.0/24", gw: "198.51.100.254" }, { dst: "::/0" }];
  const ranges = [[{ subnet: "198.51.100.0/24" }], [{ subnet: "2001:db8:7::/64" }]];
  return t.l3({ cniVersion, dns: DNS }, { ranges, routes });
}

const dualCase = (version: string, n: number): MainCase =>
  row(
    `ADD-0${n + 1}`,
    "S",
    `C-042, C-050, shapes of ${version}`,
    "two addresses, three routes, dns, each where it belongs",
    (t) => {
      const result = t.add(dual(t, version));
      t.equal(result.dns, DNS, "dns");
      if (isOld(version)) {
        t.equal(
          result.ip4?.routes?.map((r) => r.dst),
          ["0.0.0.0/0", "203.0.113.0/24"],
          "v4 routes",
        );
        t.equal(
          result.ip6?.routes?.map((r) => r.dst),
          ["::/0"],
          "v6 routes",
        );
      } else {
        const { hostInterfaces } = t.main;
        t.equal(result.interfaces?.length, hostInterfaces + 1, "interfaces");
        t.equal(
          result.ips?.map((ip) => ip.interface),
          [hostInterfaces, hostInterfaces],
          "interface indices",
        );
        t.equal(result.routes?.length, 3, "routes");
        if (isMiddle(version))
          t.equal(
            result.ips?.map((ip) => ip.version),
            ["4", "6"],
            "ips[].version",
          );
      }
    },
    { needs: [`spec:${version}`] },
  );

const withoutDns = (version: string, n: number): MainCase =>
  row(
    `ADD-08${"abcdefg"[n]}`,
    "S",
    "dns is optional",
    `${version}: dns absent or empty`,
    (t) => {
      const result = t.add(t.l3({ cniVersion: version }));
      t.expect(result.dns === undefined || Object.keys(result.dns).length === 0, "no dns", result.dns);
    },
    { needs: [`spec:${version}`] },
  );

const linkOnly = (version: string, n: number): MainCase =>
  isOld(version)
    ? row(
        `ADD-10${"ab"[n]}`,
        "H",
        "C-054: no result can be represented",
        `no IPAM in ${version}: E(*) and nothing left`,
        (t) => {
          t.refused("ADD", t.l2({ cniVersion: version }));
        },
        { needs: [`spec:${version}`] },
      )
    : row(
        `ADD-09${"abcdefg"[n]}`,
        "S",
        "C-040: an interface without address",
        `no IPAM in ${version}: one interface, no ips`,
        (t) => {
          const result = t.add(t.l2({ cniVersion: version }));
          t.expect((result.ips ?? []).length === 0, "no ips", result.ips);
        },
        { needs: [`spec:${version}`] },
      );

const twoRanges = (t: Trial, cniVersion: string) =>
  t.l3({ cniVersion }, { ranges: [[{ subnet: "198.51.100.0/24" }], [{ subnet: "203.0.113.0/24" }]] });

const directIpam = (version: string, n: number): MainCase =>
  row(
    `ADD-13${"abcdefg"[n]}`,
    "S",
    "C-134: the abbreviated result of IPAM",
    `host-local called directly in ${version}`,
    (t) => {
      const conf = t.ipam("host-local", { ranges: [[{ subnet: "198.51.100.0/24" }]] }, { cniVersion: version });
      t.add(conf, { ipam: true });
    },
    { needs: ["plugin:host-local", `spec:${version}:host-local`] },
  );

const ADDRESS = [{ address: "198.51.100.5/24", gateway: "198.51.100.1" }];

/** A route given to static under 1.1.0. */
const routed = (t: Trial, route: Config, addresses: Config[] = ADDRESS, extra: Config = {}) =>
  t.withStatic(addresses, { routes: [route] }, { cniVersion: "1.1.0", ...extra });

const badRoute = (
  id: string,
  tag: "S" | "H",
  requirement: string,
  route: Config,
  version = "1.0.0",
  more = {},
): MainCase =>
  row(
    id,
    tag,
    requirement,
    `${JSON.stringify(route)}: E(7|*), nothing left`,
    (t) => {
      t.refused("ADD", t.withStatic(ADDRESS, { routes: [route] }, { cniVersion: version }));
    },
    more,
  );

const v11 = { needs: ["spec:1.1.0"] };
const kernelRoute = (t: Trial, dst: string) => {
  const found = t.routes().find((r) => r.dst === dst && r.dev === "eth0");
  if (found === undefined) throw new Mismatch(`a kernel route to ${dst}`, "none");
  return found;
};

export const add: CaseTable = {
  perMain: [
    ...SPEC_VERSIONS.map(dualCase),
    ...SPEC_VERSIONS.map(withoutDns),
    ...SPEC_VERSIONS.map(linkOnly),
    row(
      "ADD-11",
      "S",
      "C-054: at most one address a family",
      "two v4 ranges under 0.2.0: E(7|999), nothing left",
      (t) => {
        t.refused("ADD", twoRanges(t, "0.2.0"), [7, 999]);
      },
    ),
    row("ADD-12", "S", "C-051", "two v4 ranges under 0.3.1: two ips", (t) => {
      t.equal(t.add(twoRanges(t, "0.3.1")).ips?.length, 2, "ips");
    }),
    row(
      "ADD-14",
      "S",
      "C-096: CHECK right after ADD; route table",
      "table 123 in result and kernel, CHECK OK",
      (t) => {
        const conf = routed(t, { dst: "203.0.113.0/24", table: 123 });
        const result = t.add(conf);
        t.equal(result.routes?.[0]?.table, 123, "table of the result");
        t.equal(kernelRoute(t, "203.0.113.0/24").table, "123", "table of the kernel");
        t.silent("CHECK", { ...conf, prevResult: result });
      },
      v11,
    ),
    row(
      "ADD-15",
      "S",
      "route priority",
      "priority 77 is the kernel's metric",
      (t) => {
        t.add(routed(t, { dst: "203.0.113.0/24", priority: 77 }));
        t.equal(kernelRoute(t, "203.0.113.0/24").metric, 77, "metric");
      },
      v11,
    ),
    row(
      "ADD-16",
      "S",
      "route scope",
      "scope 253 without gateways is the kernel's scope link",
      (t) => {
        t.add(routed(t, { dst: "203.0.113.0/24", scope: 253 }, [{ address: "198.51.100.5/24" }]));
        t.equal(kernelRoute(t, "203.0.113.0/24").scope, "link", "scope");
      },
      v11,
    ),
    row(
      "ADD-17",
      "H",
      "route scope: link has no gateway to take over",
      "scope 253 beside an address with gateway: on-link",
      (t) => {
        t.add(routed(t, { dst: "203.0.113.0/24", scope: 253 }));
        t.equal(kernelRoute(t, "203.0.113.0/24").gateway, "", "gateway");
      },
      v11,
    ),
    row(
      "ADD-18",
      "S",
      "route mtu and advmss",
      "the kernel's route carries both",
      (t) => {
        t.add(routed(t, { dst: "203.0.113.0/24", mtu: 1300, advmss: 1200 }));
        const { metrics } = kernelRoute(t, "203.0.113.0/24");
        t.equal([metrics.mtu, metrics.advmss], [1300, 1200], "mtu and advmss");
      },
      v11,
    ),
    ...[{ mtu: -1 }, { table: -1 }, { scope: 300 }].map((attribute, n) =>
      badRoute(
        `ADD-19${"abc"[n]}`,
        "H",
        "unsigned route attributes",
        { dst: "203.0.113.0/24", ...attribute },
        "1.1.0",
        v11,
      ),
    ),
    badRoute("ADD-20a", "S", "types of route attributes", { dst: "203.0.113.0/24", priority: "x" }, "1.1.0", v11),
    badRoute("ADD-20b", "S", "types of route attributes", { dst: "203.0.113.0/24", advmss: 1.5 }, "1.1.0", v11),
    badRoute("ADD-20c", "S", "route gw is an address", { dst: "203.0.113.0/24", gw: "nope" }),
    badRoute("ADD-20d", "S", "route dst is a CIDR", { dst: "203.0.113.7" }),
    badRoute("ADD-20e", "S", "route dst is required", { dst: "" }),
    badRoute("ADD-20f", "S", "route dst is required", { dst: null }),
    row("ADD-21", "H", "route dst with host bits", "203.0.113.7/24: masked, or E with nothing left", (t) => {
      t.okOrRefused(t.withStatic(ADDRESS, { routes: [{ dst: "203.0.113.7/24" }] }));
    }),
    badRoute("ADD-22", "S", "route gw of the other family", { dst: "203.0.113.0/24", gw: "2001:db8::1" }),
    ...["0.2.0", "0.4.0", "1.0.0"].map((cniVersion, n) =>
      row(
        `ADD-23${"abc"[n]}`,
        "H",
        "5.1 reading 24: 1.1 attributes stay out of older results",
        `${cniVersion}: dst and gw only`,
        (t) => {
          t.add(routed(t, { dst: "203.0.113.0/24", mtu: 1300, priority: 5 }, ADDRESS, { cniVersion }));
        },
      ),
    ),
    row("ADD-24", "S", "C-041: the name is taken", "E(*), the other link untouched, no IPAM call outstanding", (t) => {
      t.sh("ip -n c1 link add eth0 type veth peer name other; ip -n c1 link set eth0 up");
      t.refused("ADD", t.l3());
    }),
    row("ADD-25", "S", "C-041: the same ADD twice", "E(*), the first attachment is intact", (t) => {
      const conf = t.l3();
      t.add(conf);
      t.refused("ADD", t.main.creates ? conf : { ...t.l3(), ...t.main.keys(t) });
      t.leaseCount(1);
    }),
    row("ADD-26", "S", "C-013: (container, interface) is the key", "a second interface of the container: OK", (t) => {
      t.add(t.l3());
      t.add(t.l3(), { set: { CNI_IFNAME: "eth1" } });
      t.leaseCount(2);
    }),
    row("ADD-28", "S", "C-045: another network's default route", "OK, the other route stays", (t) => {
      t.sh(`ip -n c1 link add o type veth peer name op; ip -n c1 address add 192.0.2.9/24 dev o
        ip -n c1 link set o up; ip -n c1 link set op up; ip -n c1 route add default via 192.0.2.1 dev o`);
      const run = t.call("ADD", t.l3({}, { routes: [{ dst: "0.0.0.0/0" }] }));
      t.expect(run.status === 0, "OK", describeRun(run));
      t.expect(
        t.routes().some((r) => r.dst === "0.0.0.0/0" && r.dev === "o"),
        "the route over o",
        t.routes(),
      );
    }),
    row(
      "ADD-29",
      "S",
      "C-052: every property known",
      "1.1.0: mtu of the link in the result",
      (t) => {
        t.equal(own(t.add(t.l2({ cniVersion: "1.1.0" })))?.mtu, 1500, "mtu");
      },
      v11,
    ),
  ],
  fixed: [
    ...SPEC_VERSIONS.map(directIpam),
    row(
      "ADD-27",
      "G",
      "one reservation an attachment",
      "host-local ADD twice: E(*), no second reservation",
      (t) => {
        const conf = t.ipam("host-local", { ranges: [[{ subnet: "198.51.100.0/24" }]] });
        t.add(conf, { ipam: true });
        t.refused("ADD", conf);
        t.leaseCount(1);
      },
      { needs: ["plugin:host-local"] },
    ),
  ],
};

const own = (result: Result) => result.interfaces?.find((i) => i.name === "eth0");
