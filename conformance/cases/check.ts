// CHECK after an ADD with address, dns and two routes; one thing changed at a time.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import { ANY, type Codes, type Trial } from "../harness/trial.ts";

type Attachment = { conf: Config; result: Result };

const ABSENT = Symbol("no prevResult");
const NET = "203.0.113.0/24";

/** The attachment all cases start from. */
function attached(t: Trial, extra: Config = {}): Attachment {
  const routes = [{ dst: NET }, { dst: "192.0.2.128/25", gw: "198.51.100.254" }];
  const conf = t.l3({ dns: { nameservers: ["192.0.2.53"] }, ...extra }, { routes });
  return { conf, result: t.add(conf) };
}

type Change = (result: Result, t: Trial) => unknown;

const check = (
  t: Trial,
  a: Attachment,
  prevResult: unknown = a.result,
  extra: Config = {},
  options: CallOptions = {},
) => t.call("CHECK", { ...a.conf, ...(prevResult === ABSENT ? {} : { prevResult }), ...extra }, options);

/** The prevResult is changed; CHECK must pass. */
const passes = (id: string, tag: Tag, requirement: string, label: string, change: Change): MainCase =>
  row(id, tag, requirement, `${label}: OK`, (t) => {
    const a = attached(t);
    t.silentRun(check(t, a, change(structuredClone(a.result), t)));
  });

/** The prevResult is changed; CHECK must fail. */
const fails = (
  id: string,
  tag: Tag,
  requirement: string,
  label: string,
  change: Change,
  codes: Codes = ANY,
): MainCase =>
  row(id, tag, requirement, `${label}: E`, (t) => {
    const a = attached(t);
    const prevResult = change(structuredClone(a.result), t);
    t.silentRun(check(t, a));
    t.error(check(t, a, prevResult), codes);
  });

/** A later plugin of the chain has changed the world and says nothing in the result; CHECK must pass, in every version that has it. */
const bears = (id: string, label: string, script: string): MainCase[] =>
  ["1.0.0", "1.1.0"].map((version, n) =>
    row(
      `${id}${"ab"[n]}`,
      "S",
      "C-092: later plugins may change things",
      `${version}, ${label}: OK`,
      (t) => {
        const a = attached(t, { cniVersion: version });
        t.sh(script);
        t.silentRun(check(t, a));
      },
      { needs: [`spec:${version}`] },
    ),
  );

/** As tuning 1.1.1 to 1.9.1 do it: the note is for their DEL. */
const TUNED = `ip -n c1 link set eth0 mtu 1400; mkdir -p /run/cni/tuning; echo '{"mtu":1500}' >/run/cni/tuning/ctr-1_eth0.json`;
/** As sbr 1.1.1 to 1.9.1 do it. */
const MOVED = `ip -n c1 rule add from 198.51.100.2 table 100; ip -n c1 route show dev eth0 | grep -v kernel | while read -r route; do
  ip -n c1 route add $route dev eth0 table 100; ip -n c1 route del $route dev eth0; done`;

/** All of them, the kernel's too. */
const MOVED_ALL = MOVED.replace(" | grep -v kernel", "");
/** As NetworkManager does it: its own, with a metric. */
const RENEWED = `ip -n c1 route del 198.51.100.0/24
  ip -n c1 route add 198.51.100.0/24 dev eth0 proto kernel scope link src 198.51.100.2 metric 425`;

/** The address again, without the kernel's route to its subnet, and other routes. */
const UNROUTED = `routes=$(ip -n c1 route show dev eth0 | grep -v kernel); ip -n c1 address del 198.51.100.2/24 dev eth0
  ip -n c1 address add 198.51.100.2/24 dev eth0 noprefixroute
  for half in 0 128; do ip -n c1 route add 198.51.100.$half/25 dev eth0; done
  echo "$routes" | while read -r route; do [ -z "$route" ] || ip -n c1 route add $route dev eth0; done`;

/** The world is changed; CHECK must fail. */
const notices = (
  id: string,
  tag: Tag,
  requirement: string,
  label: string,
  script: string,
  more = {},
  extra: Config = {},
): MainCase =>
  row(
    id,
    tag,
    requirement,
    `${label}: E`,
    (t) => {
      const a = attached(t, extra);
      t.silentRun(check(t, a));
      t.sh(script);
      t.error(check(t, a));
    },
    more,
  );

/** The container's; bridge names two of the host before it. */
const own = (r: Result) => r.interfaces!.find(({ sandbox }) => sandbox !== undefined)!;
const virtual = { only: ["macvlan", "ipvlan"] };

const rightAfter = (id: string, cniVersion: string): MainCase =>
  row(
    id,
    "S",
    "C-090, C-096",
    `${cniVersion}, nothing changed: OK, no output`,
    (t) => {
      const a = attached(t, { cniVersion });
      t.silentRun(check(t, a));
    },
    { needs: [`spec:${cniVersion}`] },
  );

/** Whether such an index is an error is left open; whatever is said must be well-formed. */
const indexOf = (id: string, index: number, label: string): MainCase =>
  row(id, "G", "C-053", `interface index ${label}: OK or E`, (t) => {
    const a = attached(t);
    a.result.ips![0]!.interface = index;
    const run = check(t, a);
    if (run.status === 0) t.silentRun(run);
    else t.error(run);
  });

export const checkCommand: CaseTable = {
  perMain: [
    rightAfter("CHK-01a", "0.4.0"),
    rightAfter("CHK-01b", "1.0.0"),
    rightAfter("CHK-01c", "1.1.0"),
    ...["0.1.0", "0.2.0", "0.3.0", "0.3.1"].map((cniVersion, n) =>
      row(`CHK-02${"abcd"[n]}`, "G", "C-098: CHECK came with 0.4.0", `${cniVersion}: E(1)`, (t) => {
        t.error(check(t, attached(t, { cniVersion })), [1]);
      }),
    ),
    fails("CHK-03a", "S", "C-091: prevResult is required", "absent", () => ABSENT, [7, 999]),
    row("CHK-03b", "S", "C-091: prevResult is required", "null: E(7|999)", (t) => {
      t.error(check(t, attached(t), null), [7, 999]);
    }),
    fails("CHK-04", "S", "C-091", "prevResult {}", () => ({})),
    passes(
      "CHK-05",
      "G",
      "C-122: version assumed",
      "prevResult without cniVersion",
      ({ cniVersion: _, ...rest }) => rest,
    ),
    row("CHK-06", "H", "C-122: prevResult of another version", "0.4.0 for 1.0.0: converted, or E", (t) => {
      const a = attached(t, { cniVersion: "1.0.0" });
      const ips = a.result.ips!.map((ip) => ({ ...ip, version: "4" }));
      const run = check(t, a, { ...a.result, cniVersion: "0.4.0", ips });
      if (run.status === 0) t.silentRun(run);
      else t.error(run);
    }),
    fails("CHK-07", "S", "C-093", "another mac", (r) => {
      own(r).mac = "02:00:00:00:00:99";
      return r;
    }),
    passes("CHK-08", "H", "5.1 reading 21", "the mac in upper case", (r) => {
      own(r).mac = own(r).mac!.toUpperCase();
      return r;
    }),
    passes("CHK-09", "G", "mac is optional", "no mac", (r) => {
      delete own(r).mac;
      return r;
    }),
    fails("CHK-10", "S", "C-091", "sandbox of another namespace", (r, t) => {
      own(r).sandbox = t.netns("c2");
      return r;
    }),
    row(
      "CHK-11",
      "H",
      "5.1 reading 21: namespaces compare by device and inode",
      "sandbox /var/run/… for /run/…: OK",
      (t) => {
        const a = attached(t);
        t.silentRun(check(t, a, a.result, {}, { set: { CNI_NETNS: "/var/run/netns/c1" } }));
      },
    ),
    fails("CHK-12", "S", "C-091", "no interface of that name", (r) => {
      own(r).name = "eth9";
      return r;
    }),
    passes("CHK-13", "S", "C-092", "another plugin's host interface first, indices shifted", (r) => {
      r.interfaces!.unshift({ name: "br0", mac: "02:00:00:00:00:01" });
      for (const ip of r.ips!) ip.interface = ip.interface! + 1;
      return r;
    }),
    fails("CHK-14", "S", "C-093", "an address that is not on the link", (r) => {
      r.ips!.push({ ...r.ips![0]!, address: "198.51.100.99/24" });
      return r;
    }),
    indexOf("CHK-15a", 7, "out of range"),
    indexOf("CHK-15c", -1, "negative"),
    passes("CHK-15b", "G", "the index is optional", "no interface index", (r) => {
      delete r.ips![0]!.interface;
      return r;
    }),
    fails("CHK-16", "S", "C-093", "another prefix length", (r) => {
      r.ips![0]!.address = r.ips![0]!.address.replace("/24", "/25");
      return r;
    }),
    fails("CHK-17", "S", "C-140", "an address that is none", (r) => {
      r.ips![0]!.address = "garbage";
      return r;
    }),
    fails("CHK-18", "S", "C-093", "a route that is not in the kernel", (r) => {
      r.routes!.push({ dst: "192.0.2.0/26" });
      return r;
    }),
    notices("CHK-19", "S", "C-093", "the kernel's route removed", `ip -n c1 route del ${NET}`),
    row("CHK-20", "H", "C-092 against C-093", "the kernel's route by another gateway: E or tolerated", (t) => {
      const a = attached(t);
      t.sh(`ip -n c1 route replace ${NET} via 198.51.100.200`);
      const run = check(t, a);
      if (run.status === 0) t.silentRun(run);
      else t.error(run);
    }),
    row("CHK-21", "S", "C-092", "further routes and addresses: OK", (t) => {
      const a = attached(t);
      t.sh("ip -n c1 address add 192.0.2.7/32 dev eth0; ip -n c1 route add 192.0.2.8/32 dev eth0");
      t.silentRun(check(t, a));
    }),
    fails("CHK-22", "H", "C-093: IPAM is configured", "prevResult without ips", ({ ips: _, ...rest }) => rest),
    passes("CHK-23", "S", "C-026", "unknown fields in prevResult", (r) => ({ ...r, "org.example/x": { a: 1 } })),
    passes("CHK-24", "G", "dns is not a kernel resource", "another dns", (r) => ({
      ...r,
      dns: { nameservers: ["192.0.2.99"] },
    })),
    row(
      "CHK-25",
      "H",
      "C-093: mtu of 1.1",
      "prevResult mtu 9000, the link has 1500: E",
      (t) => {
        const a = attached(t, { cniVersion: "1.1.0" });
        own(a.result).mtu = 9000;
        t.error(check(t, a));
      },
      { needs: ["spec:1.1.0"] },
    ),
    notices("CHK-26", "S", "C-095", "the link down", "ip -n c1 link set eth0 down"),
    row("CHK-27", "H", "C-095", "the link of an attachment without addresses down: E", (t) => {
      const conf = t.l2();
      const a = { conf, result: t.add(conf) };
      t.silentRun(check(t, a));
      t.sh("ip -n c1 link set eth0 down");
      t.error(check(t, a));
    }),
    row(
      "CHK-28",
      "S",
      "C-093",
      "configuration's mode differs from the link's: E",
      (t) => {
        const a = attached(t);
        t.error(check(t, a, a.result, { mode: t.main.name === "macvlan" ? "private" : "l3" }));
      },
      virtual,
    ),
    row(
      "CHK-29",
      "S",
      "C-093",
      "master missing: E",
      (t) => {
        const a = attached(t);
        t.error(check(t, a, a.result, { master: "nosuch0" }));
      },
      virtual,
    ),
    row(
      "CHK-30",
      "H",
      "C-093",
      "configuration's mtu differs from the link's: E",
      (t) => {
        const a = attached(t);
        t.error(check(t, a, a.result, { mtu: 1400 }));
      },
      virtual,
    ),
    row("CHK-31a", "S", "C-094: no reservation", "another CNI_CONTAINERID: E", (t) => {
      const a = attached(t);
      t.error(check(t, a, a.result, {}, { set: { CNI_CONTAINERID: "ctr-2" } }));
    }),
    row("CHK-31b", "S", "C-094: no reservation", "another network name: E", (t) => {
      const a = attached(t);
      t.error(check(t, a, a.result, { name: "net2" }));
    }),
    notices(
      "CHK-32",
      "S",
      "C-097: the delegate's CHECK",
      "the reservation deleted",
      "rm /var/lib/cni/networks/net1/198.*",
    ),
    notices("CHK-33", "S", "C-093", "the interface deleted", "ip -n c1 link del eth0"),
    notices(
      "CHK-34",
      "S",
      "C-093",
      "the interface replaced by another of that name",
      `
       ip -n c1 link del eth0; ip -n c1 link add eth0 type veth peer name other; ip -n c1 link set eth0 up
       ip -n c1 link set other up; ip -n c1 address add 198.51.100.2/24 dev eth0
       ip -n c1 route add 203.0.113.0/24 via 198.51.100.1; ip -n c1 route add 192.0.2.128/25 via 198.51.100.254`,
    ),
    row("CHK-36a", "S", "C-096", "ten times, immediately after ADD: OK", (t) => {
      for (let n = 0; n < 10; n++) {
        const a = attached(t);
        t.silentRun(check(t, a));
        t.silent("DEL", { ...a.conf, prevResult: a.result });
      }
    }),
    row("CHK-36b", "S", "C-096", "immediately after an ADD with IPv6: OK", (t) => {
      const conf = t.l3({}, { ranges: [[{ subnet: "2001:db8:7::/64" }]], routes: [{ dst: "::/0" }] });
      t.silentRun(check(t, { conf, result: t.add(conf) }));
    }),
    ...[{ priority: 5 }, { table: 123 }, { scope: 253 }].map((attribute, n) =>
      row(
        `CHK-38${"abc"[n]}`,
        "S",
        "C-096: CHECK right after ADD; prevResult of 1.0.0 cannot carry the attribute",
        `a route with ${JSON.stringify(attribute)} under 1.0.0: OK`,
        (t) => {
          const routes = [{ dst: "203.0.113.0/24", ...attribute }];
          const conf = t.withStatic([{ address: "198.51.100.5/24", gateway: "198.51.100.1" }], { routes });
          t.silentRun(check(t, { conf, result: t.add(conf) }));
        },
      ),
    ),
    row(
      "CHK-37",
      "S",
      "C-092: a later plugin changed the MAC",
      "the final prevResult: OK",
      (t) => {
        const a = attached(t);
        t.sh("ip -n c1 link set eth0 address 02:00:00:00:00:77");
        own(a.result).mac = "02:00:00:00:00:77";
        t.silentRun(check(t, a));
      },
      { only: ["macvlan", "host-device"] },
    ),
    ...bears("CHK-39", "tuning set the MTU and left its note", TUNED),
    ...bears("CHK-40", "sbr moved the routes to a table of their own", MOVED),
    ...bears("CHK-41", "sbr moved all routes, that to the subnet too", MOVED_ALL),
    ...bears("CHK-42", "another program's route to the subnet in place of the kernel's", RENEWED),
    ...bears("CHK-44", "the pod has the address with the flag noprefixroute, and routes of its own", UNROUTED),
    notices("CHK-43a", "S", "C-093", "the route to the address's subnet removed", "ip -n c1 route del 198.51.100.0/24"),
    row("CHK-43b", "S", "C-093", "the route to an IPv6 address's subnet removed: E that names it", (t) => {
      const conf = t.l3({}, { ranges: [[{ subnet: "2001:db8:7::/64" }]] });
      const a = { conf, result: t.add(conf) };
      t.silentRun(check(t, a));
      t.sh("ip -n c1 -6 route del 2001:db8:7::/64");
      t.error(check(t, a));
    }),
    row(
      "CHK-45",
      "S",
      "C-096",
      "route with an mtu and advmss that the kernel lowers: OK",
      (t) => {
        const routes = [{ dst: "203.0.113.0/24", gw: "198.51.100.1", mtu: 65535, advmss: 65535 }];
        const conf = t.withStatic([{ address: "198.51.100.5/24" }], { routes }, { cniVersion: "1.1.0" });
        t.silentRun(check(t, { conf, result: t.add(conf) }));
      },
      { needs: ["spec:1.1.0"] },
    ),
    row("CHK-43c", "S", "C-096", "addresses without a route to their subnet, or with one for several: OK", (t) => {
      for (const addresses of [
        ["198.51.100.5/32", "2001:db8:7::5/128"],
        ["198.51.100.5/31", "2001:db8:7::5/127"],
        ["198.51.100.5/24", "198.51.100.6/24", "198.51.100.7/25", "2001:db8:7::5/64", "2001:db8:7::6/64"],
        ["1.2.3.4/5"],
      ]) {
        const conf = t.withStatic(addresses.map((address) => ({ address })));
        const a = { conf, result: t.add(conf) };
        t.silentRun(check(t, a));
        t.silent("DEL", { ...conf, prevResult: a.result });
      }
    }),
  ],
  fixed: [],
};
