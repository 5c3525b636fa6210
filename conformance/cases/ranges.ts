// IPAM host-local: allocation order, ranges and their canonical form, as upstream's package tests pin them.
import { type Case, type CaseTable, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

const needs = ["plugin:host-local"];
const DIR = "/var/lib/cni/networks/net1";
const one = (id: string, requirement: string, expected: string, run: (t: Trial) => void): Case =>
  row(id, "G", requirement, expected, run, { needs });

const conf = (t: Trial, ranges: unknown, ipam: Config = {}, extra: Config = {}) =>
  t.ipam("host-local", { ranges, ...ipam }, extra);
const set = (id: string) => ({ CNI_CONTAINERID: id });
const add = (t: Trial, c: Config, id = "id") => t.add(c, { ipam: true, set: set(id) }).ips!.map((ip) => ip.address);
const fails = (t: Trial, c: Config, id = "id") => t.refused("ADD", c, [7, 11, 4, 999], { set: set(id) });

function prepare(t: Trial, used: readonly string[], cursor: string): void {
  for (const ip of used) t.write(`${DIR}/${ip}`, "other\r\neth0");
  if (cursor !== "") t.write(`${DIR}/last_reserved_ip.0`, cursor);
}

/** One range set: subnets, addresses in use, the cursor, and the address an ADD must give. */
const picks = (id: string, subnets: string, used: string, cursor: string, want: string): Case => {
  const label = `${subnets}; in use ${used || "none"}; cursor ${cursor || "none"}`;
  return one(id, "allocation order", `${label}: ${want}`, (t) => {
    prepare(t, used.split(" ").filter(Boolean), cursor);
    const [address] = add(t, conf(t, [subnets.split(" ").map((subnet) => ({ subnet }))]));
    t.equal(address!.split("/")[0], want, "address");
  });
};

const S29 = "192.168.1.0/29";

/** ADDs with different containers until the pool is empty. */
const sequence = (id: string, cursor: string, want: readonly number[]): Case =>
  one(id, "allocation order", `${S29}, cursor ${cursor || "none"}: ${want.join(" ")}, then E`, (t) => {
    prepare(t, [], cursor);
    const c = conf(t, [[{ subnet: S29 }]]);
    for (const [n, last] of want.entries()) t.equal(add(t, c, `id${n}`), [`192.168.1.${last}/29`], "address");
    fails(t, c, "one-more");
  });

const full = (id: string, subnets: readonly string[], used: string): Case =>
  one(id, "exhausted", `${subnets.join(" ")} with ${used} in use: E`, (t) => {
    prepare(t, used.split(" "), "");
    fails(t, conf(t, [subnets.map((subnet) => ({ subnet }))]));
  });

const wish = (t: Trial, range: Config, ip: string, id = "id") => ({
  c: conf(t, [[range]], {}, { args: { cni: { ips: [ip] } } }),
  id,
});

/** First and last address that can be had of a range, and the gateway. */
const bounds = (id: string, subnet: string, gateway: string, last: string, beyond: string): Case =>
  one(id, "canonical range", `${subnet}: gateway ${gateway}, up to ${last}`, (t) => {
    const c = (ip: string) => conf(t, [[{ subnet }]], {}, { args: { cni: { ips: [ip] } } });
    const result = t.add(c(last), { ipam: true });
    t.equal(result.ips?.[0]?.gateway, gateway, "gateway");
    t.equal(result.ips?.[0]?.address.split("/")[0], last, "address");
    fails(t, c(beyond), "other");
  });

const invalid = (id: string, label: string, ranges: unknown, extra: Config = {}): Case =>
  one(id, "invalid ranges", `${label}: E(7|999), nothing reserved`, (t) => {
    fails(t, conf(t, ranges, {}, extra));
  });

const overlapping = (id: string, a: Config, b: Config, yes: boolean): Case =>
  one(
    id,
    "overlap of range sets",
    `${JSON.stringify(a)} and ${JSON.stringify(b)}: ${yes ? "E" : "OK"}, both ways`,
    (t) => {
      for (const ranges of [
        [[a], [b]],
        [[b], [a]],
      ]) {
        if (yes) fails(t, conf(t, ranges));
        else {
          add(t, conf(t, ranges));
          t.silent("DEL", conf(t, ranges), { set: set("id") });
        }
      }
    },
  );

export const ranges: CaseTable = {
  perMain: [],
  fixed: [
    sequence("HL-A1", "", [2, 3, 4, 5, 6]),
    sequence("HL-A2", "192.168.1.6", [2, 3, 4, 5, 6]),
    sequence("HL-A3", "192.168.1.3", [4, 5, 6, 2, 3]),
    picks("HL-A4a", "10.0.0.0/29", "", "", "10.0.0.2"),
    picks("HL-A4b", "2001:db8:1::/64", "", "", "2001:db8:1::2"),
    picks("HL-A4c", "10.0.0.0/30", "", "", "10.0.0.2"),
    picks("HL-A4d", "10.0.0.0/29", "10.0.0.2", "", "10.0.0.3"),
    picks("HL-A4e", "10.0.0.0/29", "", "10.0.0.5", "10.0.0.6"),
    picks("HL-A4f", "10.0.0.0/29", "10.0.0.4 10.0.0.5", "10.0.0.3", "10.0.0.6"),
    picks("HL-A4g", "10.0.0.0/29", "10.0.0.6", "10.0.0.5", "10.0.0.2"),
    picks("HL-A4h", "10.0.0.0/29", "10.0.0.2", "10.0.0.128", "10.0.0.3"),
    picks("HL-A4i", "10.0.0.0/29", "10.0.0.2 10.0.0.4 10.0.0.5 10.0.0.6", "10.0.0.3", "10.0.0.3"),
    picks("HL-A4j", "10.0.0.0/30 10.0.1.0/30", "", "", "10.0.0.2"),
    picks("HL-A4k", "10.0.0.0/30 10.0.1.0/30", "", "10.0.0.2", "10.0.1.2"),
    picks("HL-A4l", "10.0.0.0/30 10.0.1.0/30 10.0.2.0/30", "", "10.0.2.2", "10.0.0.2"),
    picks("HL-A4m", "10.0.0.0/29", "", "10.0.0.5\n", "10.0.0.2"),
    one("HL-A6", "HL-A6", "ADD .2, DEL, ADD .3", (t) => {
      const c = conf(t, [[{ subnet: S29 }]]);
      t.equal(add(t, c), ["192.168.1.2/29"], "address");
      t.silent("DEL", c, { set: set("id") });
      t.equal(add(t, c), ["192.168.1.3/29"], "address");
    }),
    one("HL-A7", "HL-A7, HL-A8 a request", "granted once, refused to the next", (t) => {
      const { c } = wish(t, { subnet: S29 }, "192.168.1.5");
      t.equal(add(t, c, "a"), ["192.168.1.5/29"], "address");
      fails(t, c, "b");
    }),
    one("HL-A9", "HL-A9 a request behind rangeEnd", "E", (t) => {
      fails(t, wish(t, { subnet: S29, rangeEnd: "192.168.1.4" }, "192.168.1.5").c);
    }),
    one("HL-A10", "HL-A10 a request before rangeStart", "E", (t) => {
      fails(t, wish(t, { subnet: S29, rangeStart: "192.168.1.3" }, "192.168.1.2").c);
    }),
    one("HL-A10b", "a request for the gateway", "E", (t) => void fails(t, wish(t, { subnet: S29 }, "192.168.1.1").c)),
    full("HL-A11a", ["10.0.0.0/30"], "10.0.0.2"),
    full("HL-A11b", ["10.0.0.0/29"], "10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6"),
    full("HL-A11c", ["10.0.0.0/30", "10.0.1.0/30"], "10.0.0.2 10.0.1.2"),
    ...[
      ["192.168.1.3", "192.168.2.0/30"],
      ["", "192.168.1.0/30"],
    ].map(([cursor, want], n) =>
      one(
        `HL-A1${n + 2}`,
        "explicit bounds may be network and broadcast",
        `cursor ${cursor || "none"}: ${want}`,
        (t) => {
          prepare(t, [], cursor!);
          const range = (p: string) => ({ subnet: `${p}.0/30`, rangeStart: `${p}.0`, rangeEnd: `${p}.3` });
          t.equal(add(t, conf(t, [[range("192.168.1"), range("192.168.2")]])), [want], "address");
        },
      ),
    ),
    one("HL-C1", "HL-C1 the legacy range", "rangeStart, rangeEnd and gateway honoured", (t) => {
      const c = t.ipam("host-local", {
        subnet: "10.1.2.0/24",
        rangeStart: "10.1.2.9",
        rangeEnd: "10.1.2.20",
        gateway: "10.1.2.30",
      });
      const [ip] = t.add(c, { ipam: true }).ips!;
      t.equal([ip!.address, ip!.gateway], ["10.1.2.9/24", "10.1.2.30"], "address and gateway");
    }),
    one("HL-C3", "HL-C3 order of the sets", "runtimeConfig.ipRanges, legacy range, ranges", (t) => {
      const c = t.ipam(
        "host-local",
        { subnet: "10.1.2.0/24", ranges: [[{ subnet: "11.1.2.0/24" }]] },
        { runtimeConfig: { ipRanges: [[{ subnet: "12.1.3.0/24" }]], other: 1 } },
      );
      t.equal(add(t, c), ["12.1.3.2/24", "10.1.2.2/24", "11.1.2.2/24"], "addresses");
    }),
    ...["10.1.2.10", "10.1.2.10/24"].map((ip, n) =>
      one(`HL-C${n + 4}`, "a request by CNI_ARGS", `IP=${ip}`, (t) => {
        const c = conf(t, [[{ subnet: "10.1.2.0/24" }]]);
        const result = t.add(c, { ipam: true, set: { CNI_ARGS: `IP=${ip}` } });
        t.equal(result.ips?.[0]?.address, "10.1.2.10/24", "address");
      }),
    ),
    one("HL-C13", "HL-C13 requests by runtimeConfig.ips", "with and without prefix", (t) => {
      const sets = [[{ subnet: "192.168.0.0/24" }], [{ subnet: "2001:db8::/64" }]];
      const c = conf(t, sets, {}, { runtimeConfig: { ips: ["192.168.0.5/24", "2001:db8::7/64"] } });
      t.equal(add(t, c), ["192.168.0.5/24", "2001:db8::7/64"], "addresses");
    }),
    invalid("HL-C8", "overlap of two sets", [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.2.0/24" }]]),
    invalid("HL-C9", "overlap within a set", [[{ subnet: "10.1.0.0/22" }, { subnet: "10.1.2.0/24" }]]),
    invalid("HL-C10", "mixed families in a set", [[{ subnet: "10.1.2.0/24" }, { subnet: "2001:db8::/64" }]]),
    invalid("HL-C11", "two v4 sets under 0.2.0", [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.3.0/24" }]], {
      cniVersion: "0.2.0",
    }),
    one("HL-C12", "HL-C12 one v4 and one v6 set under 0.2.0", "OK", (t) => {
      const c = conf(t, [[{ subnet: "10.1.2.0/24" }], [{ subnet: "2001:db8::/64" }]], {}, { cniVersion: "0.2.0" });
      t.add(c, { ipam: true });
    }),
    invalid("HL-C14", "no ranges at all", undefined),
    invalid("HL-C15", "an empty range set", [[]]),
    invalid("HL-C16", "a range without subnet", [[{}]]),
    bounds("HL-R1", "192.0.2.0/24", "192.0.2.1", "192.0.2.254", "192.0.2.255"),
    bounds("HL-R2", "192.0.2.0/25", "192.0.2.1", "192.0.2.126", "192.0.2.127"),
    bounds("HL-R7", "2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff", "2001:db8:2::1"),
    ...["192.0.2.12/24", "2001:DB8:1::24:19ff:fee1:c44a/64", "2001:DB8:24:19ff::/63", "192.168.127.0/23"].map(
      (subnet, n) => invalid(`HL-R${n + 3}`, `host bits in ${subnet}`, [[{ subnet }]]),
    ),
    ...["192.0.2.0/31", "192.0.2.0/32", "2001:db8::/127", "::ffff:192.0.2.0/120"].map((subnet, n) =>
      invalid(`HL-R8${"abcd"[n]}`, `${subnet}: too small, or mapped`, [[{ subnet }]]),
    ),
    ...[
      { rangeStart: "192.0.3.0" },
      { rangeEnd: "192.0.4.0" },
      { rangeStart: "192.0.2.50", rangeEnd: "192.0.2.40" },
    ].map((r, n) => invalid(`HL-R9${"abc"[n]}`, JSON.stringify(r), [[{ subnet: "192.0.2.0/24", ...r }]])),
    one("HL-R11", "HL-R11 membership by explicit bounds", "40 to 50 of v4", (t) => {
      const range = { subnet: "192.0.2.0/24", rangeStart: "192.0.2.40", rangeEnd: "192.0.2.50" };
      for (const last of [39, 51]) fails(t, wish(t, range, `192.0.2.${last}`).c);
      for (const last of [40, 50]) add(t, wish(t, range, `192.0.2.${last}`).c, `id${last}`);
    }),
    one("HL-R12", "HL-R12 membership by explicit bounds", "::40 to ::50 of v6", (t) => {
      const range = { subnet: "2001:db8::/64", rangeStart: "2001:db8::40", rangeEnd: "2001:db8::50" };
      for (const last of [39, 51]) fails(t, wish(t, range, `2001:db8::${last}`).c);
      for (const last of [40, 50]) add(t, wish(t, range, `2001:db8::${last}`).c, `id${last}`);
    }),
    overlapping("HL-S1", { subnet: "10.0.0.0/24" }, { subnet: "10.0.1.0/24" }, false),
    overlapping("HL-S2", { subnet: "10.0.0.0/24" }, { subnet: "2001:db8::/120" }, false),
    overlapping("HL-S3", { subnet: "192.168.0.0/20" }, { subnet: "192.168.2.0/24" }, true),
    overlapping(
      "HL-S4",
      { subnet: "10.0.0.0/24", rangeEnd: "10.0.0.127" },
      { subnet: "10.0.0.0/24", rangeStart: "10.0.0.128" },
      false,
    ),
    overlapping(
      "HL-S5",
      { subnet: "10.0.0.0/24", rangeEnd: "10.0.0.127" },
      { subnet: "10.0.0.0/24", rangeStart: "10.0.0.127" },
      true,
    ),
  ],
};
