// CNI_ARGS: who may say what, and that DEL survives all of it.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";

const ok = (id: string, args: string, tag: Tag, requirement: string, label = args): MainCase =>
  row(id, tag, requirement, `${label || "empty"}: OK, DEL OK`, (t) => {
    const conf = t.l2();
    const set = { CNI_ARGS: args };
    t.add(conf, { set });
    t.silent("DEL", conf, { set });
    t.gone();
  });

/** Plugins that do not read CNI_ARGS may ignore what others must refuse. */
const doubtful = (id: string, args: string, tag: Tag, requirement: string): MainCase =>
  row(id, tag, requirement, `${args}: refused or ignored by ADD, DEL OK`, (t) => {
    const conf = t.l2();
    const set = { CNI_ARGS: args };
    t.okOrRefused(conf, "any", { set });
    t.silent("DEL", conf, { set });
  });

const macRefused = (id: string, args: string): MainCase =>
  row(
    id,
    "H",
    "C-144: a MAC that cannot be",
    `${args}: E(*), nothing left`,
    (t) => {
      t.refused("ADD", t.l2(), "any", { set: { CNI_ARGS: args } });
    },
    { only: ["macvlan"] },
  );

const MAC = "02:00:00:00:00:11";

export const args: CaseTable = {
  perMain: [
    ok("ARG-01", "", "S", "C-009: optional"),
    doubtful("ARG-02", "A=B", "G", "C-009: unknown keys without IgnoreUnknown"),
    ok("ARG-03", "IgnoreUnknown=1;A=B", "G", "IgnoreUnknown"),
    ok("ARG-04", "A=B;IgnoreUnknown=1", "G", "IgnoreUnknown in any position (containerd's order is random)"),
    ok("ARG-05", "IgnoreUnknown=true;K8S_POD_NAME=x;K8S_POD_UID=", "G", "empty values"),
    row(
      "ARG-06",
      "G",
      "keys are case-sensitive",
      "ignoreunknown=1;A=B: E(*)",
      (t) => {
        t.refused("ADD", t.l2(), "any", { set: { CNI_ARGS: "ignoreunknown=1;A=B" } });
      },
      { only: ["macvlan"] },
    ),
    doubtful("ARG-07", "A", "H", "a pair without ="),
    ok("ARG-08", "IgnoreUnknown=1;A=B=C", "H", "Multus splits at the first ="),
    ok("ARG-09a", "IgnoreUnknown=1;", "H", "a trailing ; is harmless"),
    ok("ARG-09b", ";", "H", "a lone ; is harmless"),
    row(
      "ARG-10",
      "G",
      "IgnoreUnknown is a boolean",
      "IgnoreUnknown=2: E(*)",
      (t) => {
        t.refused("ADD", t.l2(), "any", { set: { CNI_ARGS: "IgnoreUnknown=2" } });
      },
      { only: ["macvlan"] },
    ),
    row(
      "ARG-11",
      "G",
      "C-144: MAC",
      "link and result have it",
      (t) => {
        const result = t.add(t.l2(), { set: { CNI_ARGS: `IgnoreUnknown=1;MAC=${MAC}` } });
        t.equal(result.interfaces?.[0]?.mac, MAC, "mac");
      },
      { only: ["macvlan"] },
    ),
    macRefused("ARG-12", "IgnoreUnknown=1;MAC=zz"),
    macRefused("ARG-13", "IgnoreUnknown=1;MAC=01:00:00:00:00:11"),
    row(
      "ARG-14",
      "H",
      "a key given twice",
      "the last wins, or E(*)",
      (t) => {
        const set = { CNI_ARGS: `IgnoreUnknown=1;MAC=02:00:00:00:00:10;MAC=${MAC}` };
        const result = t.okOrRefused(t.l2(), "any", { set });
        if (result !== undefined) t.equal(result.interfaces?.[0]?.mac, MAC, "mac");
      },
      { only: ["macvlan"] },
    ),
    ok("ARG-15", `IgnoreUnknown=1;x=${"y".repeat(100_000)}`, "H", "long values", "100 000 bytes"),
    row("ARG-16", "G", "C-144: IP", "IP=198.51.100.77: that address", (t) => {
      const result = t.add(t.l3(), { set: { CNI_ARGS: "IgnoreUnknown=1;IP=198.51.100.77" } });
      t.equal(result.ips?.[0]?.address, "198.51.100.77/24", "address");
    }),
    row("ARG-17", "G", "C-140: an IP that cannot be had", "outside the range: E(*), nothing reserved", (t) => {
      t.refused("ADD", t.l3(), "any", { set: { CNI_ARGS: "IgnoreUnknown=1;IP=203.0.113.1" } });
    }),
    row("ARG-18", "G", "C-140: malformed IP", "IP=zz: E(*)", (t) => {
      t.refused("ADD", t.l3(), "any", { set: { CNI_ARGS: "IgnoreUnknown=1;IP=zz" } });
    }),
    row("ARG-19", "S", "C-142: args wins over CNI_ARGS", "only the address of args.cni.ips", (t) => {
      const conf = t.l3({ args: { cni: { ips: ["198.51.100.79"] } } });
      const result = t.add(conf, { set: { CNI_ARGS: "IgnoreUnknown=1;IP=198.51.100.80" } });
      t.equal(
        result.ips?.map((ip) => ip.address),
        ["198.51.100.79/24"],
        "addresses",
      );
    }),
    row("ARG-20", "G", "C-144: IP with a prefix length", "IP=198.51.100.78/24: that address", (t) => {
      const result = t.add(t.l3(), { set: { CNI_ARGS: "IgnoreUnknown=1;IP=198.51.100.78/24" } });
      t.equal(result.ips?.[0]?.address, "198.51.100.78/24", "address");
    }),
  ],
  fixed: [],
};
