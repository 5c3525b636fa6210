// Unknown, duplicate and mistyped keys of the configuration.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { ANY, type Codes, type Trial } from "../harness/trial.ts";

const virtual = { only: ["macvlan", "ipvlan"] };
const CONFIG_FAULT: Codes = [7, 999];

const ok = (id: string, extra: Config, tag: Tag, requirement: string, more = {}): MainCase =>
  row(id, tag, requirement, `${JSON.stringify(extra)}: OK`, (t) => void t.add(t.l2(extra)), more);

const bad = (id: string, extra: Config, tag: Tag, requirement: string, more = {}, codes = CONFIG_FAULT): MainCase =>
  row(
    id,
    tag,
    requirement,
    `${JSON.stringify(extra)}: E(${(codes as number[]).join("|")})`,
    (t) => {
      t.refused("ADD", t.l2(extra), codes);
    },
    more,
  );

const either = (
  id: string,
  extra: Config,
  tag: Tag,
  requirement: string,
  more = {},
  codes: Codes = CONFIG_FAULT,
): MainCase =>
  row(id, tag, requirement, `${JSON.stringify(extra)}: OK or E`, (t) => void t.okOrRefused(t.l2(extra), codes), more);

/** A configuration as text, with raw members put before or after the others. */
const raw = (t: Trial, before: string, after: string, conf = t.l2()) =>
  `{${before}${before && ","}${JSON.stringify(conf).slice(1, -1)}${after && ","}${after}}`;

const rawBad = (id: string, label: string, before: string, after: string, codes: Codes): MainCase =>
  row(id, "H", "one reading of duplicate keys", `${label}: E(${(codes as number[]).join("|")})`, (t) => {
    t.refused("ADD", raw(t, before, after), codes);
  });

/** Go's decoder folds case, exact readers do not: both are consistent, a mixture is not. */
const rawEither = (id: string, label: string, before: string, after: string): MainCase =>
  row(id, "H", "one reading of duplicate and differently cased keys", `${label}: OK or E(1|6|7)`, (t) => {
    const text = raw(t, before, after);
    const picture = t.picture();
    const run = t.call("ADD", text);
    if (run.status === 0) t.result(run, t.settings.spec);
    else {
      t.error(run, [1, 6, 7]);
      t.unchangedSince(picture);
    }
  });

const mtus = (id: string, values: readonly unknown[], tag: Tag, codes = CONFIG_FAULT): MainCase[] =>
  values.map((mtu, n) => bad(`${id}${"abcdef"[n]}`, { mtu }, tag, "C-140: mtu that cannot be", virtual, codes));

const MAC = "02:00:00:00:00:31";

export const keys: CaseTable = {
  perMain: [
    ok("KEY-01", { "org.example/x": { a: [1, { b: null }] } }, "S", "C-026: unknown keys (or code 2)"),
    row("KEY-02", "H", "key folding as Go's decoder does it, or exact", "NAME instead of name: OK or E(7)", (t) => {
      const { name, ...rest } = t.l2();
      t.okOrRefused({ NAME: name, ...rest }, [7]);
    }),
    rawBad("KEY-03", "name good, then ../evil", "", '"name":"../evil"', [6, 7]),
    rawEither("KEY-04", "name ../evil, then good", '"name":"../evil"', ""),
    rawBad("KEY-05", "cniVersion good, then 9.9.9", "", '"cniVersion":"9.9.9"', [1, 6]),
    rawEither("KEY-06", "name good and Name ../evil", "", '"Name":"../evil"'),
    rawEither("KEY-07", "cniVersion good and CNIVERSION 9.9.9", "", '"CNIVERSION":"9.9.9"'),
    row("KEY-08", "H", "no prototype pollution", "__proto__ and constructor carrying ipam: OK, no effect", (t) => {
      const ipam = '{"ipam":{"type":"nosuch"}}';
      const run = t.call("ADD", raw(t, "", `"__proto__":${ipam},"constructor":{"prototype":${ipam}}`));
      t.result(run, t.settings.spec);
    }),
    row("KEY-09", "H", "no prototype pollution", "name only inside __proto__: E(7)", (t) => {
      const { name, ...rest } = t.l2();
      t.refused("ADD", raw(t, `"__proto__":{"name":"${name}"}`, "", rest), [7]);
    }),
    ok("KEY-10", { "": 1 }, "G", "C-026"),
    ok("KEY-11a", { args: 5 }, "S", "C-141: args of no concern", { only: ["host-device", "ipvlan"] }),
    ok("KEY-11b", { args: { cni: { ips: ["198.51.100.9"] } } }, "S", "C-141: args of no concern"),
    ok("KEY-12", { capabilities: { mac: true } }, "G", "C-027: libcni does not strip capabilities"),
    ...[0, null, 1500, 68].map((mtu, n) => ok(`TYP-01${"abcd"[n]}`, { mtu }, "G", "mtu in range", virtual)),
    ...mtus("TYP-02", [-1, 1501, 65536, 2 ** 31], "G"),
    ...mtus("TYP-03", [1, 67], "H"),
    ...mtus("TYP-04", ["1500", true, [1500], 1500.5, 2 ** 63], "S", [7, 6, 999]),
    row(
      "TYP-04f",
      "S",
      "C-140: mtu that cannot be",
      "1e400: E(6|7|999)",
      (t) => {
        t.refused("ADD", raw(t, "", '"mtu":1e400'), [7, 6, 999]);
      },
      virtual,
    ),
    row(
      "TYP-05",
      "H",
      "mtu 1000.0",
      "OK or E(7|999)",
      (t) => {
        const text = raw(t, "", '"mtu":1000.0');
        const before = t.picture();
        const run = t.call("ADD", text);
        if (run.status === 0) return void t.result(run, t.settings.spec);
        t.error(run, CONFIG_FAULT);
        t.unchangedSince(before);
      },
      virtual,
    ),
    row("TYP-06a", "G", "C-025: type is a string", "type 5: E(6|7|999)", (t) => {
      t.refused("ADD", t.l2({ type: 5 }), [6, 7, 999], { plugin: t.main.name });
    }),
    ...["other", "../x", null].map((type, n) =>
      row(
        `TYP-06${"bcd"[n]}`,
        "G",
        "C-025: need not be compared with the own name",
        `type ${JSON.stringify(type)}: OK or E(7)`,
        (t) => {
          t.okOrRefused(t.l2({ type }), [7], { plugin: t.main.name });
        },
      ),
    ),
    ...[5, "nosuch0", ""].map((value, n) =>
      row(`TYP-07${"abc"[n]}`, "G", "C-140: the device", `device or master ${JSON.stringify(value)}: E(7|999)`, (t) => {
        t.refused("ADD", t.l2({ [t.deviceKey]: value }), CONFIG_FAULT);
      }),
    ),
    bad("TYP-08a", { mode: "bogus" }, "G", "C-140: mode", virtual),
    bad("TYP-08b", { mode: 1 }, "G", "C-140: mode", virtual),
    ...["host-local", [], { type: 5 }].map((ipam, n) =>
      bad(`TYP-09${"abc"[n]}`, { ipam }, "S", "C-029: ipam is an object with a string type", {}, [7, 6, 999]),
    ),
    ...[null, {}, { type: "" }].map((ipam, n) => ok(`TYP-10${"abc"[n]}`, { ipam }, "G", "no IPAM")),
    bad("TYP-11a", { dns: "x" }, "S", "C-029: dns is an object"),
    bad("TYP-11b", { dns: { nameservers: "1.1.1.1" } }, "S", "C-029: nameservers is a list"),
    either("TYP-12", { dns: { nameservers: ["not-an-ip"] } }, "H", "C-140: nameservers are addresses"),
    either("TYP-13a", { capabilities: [] }, "H", "C-027: capabilities are the runtime's"),
    either("TYP-13b", { capabilities: { mac: "yes" } }, "H", "C-027: capabilities are the runtime's"),
    bad("TYP-14a", { runtimeConfig: 5 }, "S", "C-028: runtimeConfig is an object", {
      only: ["host-device", "macvlan"],
    }),
    bad("TYP-14b", { runtimeConfig: { mac: 5 } }, "S", "C-028, C-143: mac is a string", { only: ["macvlan"] }),
    bad("TYP-14c", { runtimeConfig: { mac: "zz" } }, "S", "C-028, C-143: mac is a MAC", { only: ["macvlan"] }),
    row(
      "TYP-15",
      "G",
      "C-143: runtimeConfig.mac wins over CNI_ARGS and mac",
      "link and result have it",
      (t) => {
        const conf = t.l2({ mac: "02:00:00:00:00:33", runtimeConfig: { mac: MAC }, capabilities: { mac: true } });
        const result = t.add(conf, { set: { CNI_ARGS: "IgnoreUnknown=1;MAC=02:00:00:00:00:32" } });
        t.equal(result.interfaces?.[0]?.mac, MAC, "mac");
      },
      { only: ["macvlan"] },
    ),
    row(
      "TYP-16a",
      "G",
      "containerd's capitalised capability values",
      "IpRanges with Subnet, RangeStart: honoured",
      (t) => {
        const ranges = [[{ Subnet: "203.0.113.0/24", RangeStart: "203.0.113.50" }]];
        const result = t.add(t.l2({ ipam: { type: "host-local" }, runtimeConfig: { ipRanges: ranges } }));
        t.equal(result.ips?.[0]?.address, "203.0.113.50/24", "address");
      },
      { needs: ["plugin:host-local"] },
    ),
    row(
      "TYP-16b",
      "G",
      "upstream's own tests spell RuntimeConfig",
      "RuntimeConfig.mac: honoured",
      (t) => {
        const result = t.add(t.l2({ capabilities: { mac: true }, RuntimeConfig: { mac: MAC } }));
        t.equal(result.interfaces?.[0]?.mac, MAC, "mac");
      },
      { only: ["macvlan"] },
    ),
    ...["x", []].flatMap((prevResult, n) => [
      row(
        `TYP-17${"ab"[n]}-ADD`,
        "H",
        "C-122: prevResult is an object",
        `${JSON.stringify(prevResult)} on ADD: E(6|7|999)`,
        (t) => {
          t.refused("ADD", t.l2({ prevResult }), [6, 7, 999]);
        },
      ),
      row(`TYP-17${"ab"[n]}-DEL`, "H", "C-081: DEL is best effort", `${JSON.stringify(prevResult)} on DEL: OK`, (t) => {
        const conf = t.l3();
        t.add(conf);
        t.silent("DEL", { ...conf, prevResult });
        t.gone();
        t.leaseCount(0);
      }),
    ]),
    ok("TYP-18", { prevResult: null }, "G", "C-122: null is absent"),
    row(
      "TYP-20",
      "H",
      "the message says what the name of a device may be",
      "the name of the device with a slash: E(7) that names the limit of alternative names",
      (t) => {
        const { msg } = t.refused("ADD", t.l2({ [t.deviceKey]: "a/b" }), [7]);
        t.expect(/alternative name.* 127 bytes/.test(msg), "a message with the limit", msg);
      },
      { only: ["macvlan", "ipvlan", "host-device"] },
    ),
    row("TYP-19", "S", "C-061: the error object", "code, msg and cniVersion in every error", (t) => {
      const error = t.refused("ADD", t.l2({ ipam: 5 }), ANY);
      t.equal(error.cniVersion, t.settings.spec, "cniVersion of the error");
    }),
  ],
  fixed: [],
};
