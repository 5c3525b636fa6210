// Which of two faults is reported. Only the code is compared; the current Go skeleton's order is the preferred one.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Env } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const order = (
  id: string,
  label: string,
  code: number | readonly number[],
  env: Env,
  make: (t: Trial) => Config | string = (t) => t.l2(),
  command = "ADD",
  more = {},
): MainCase =>
  row(
    id,
    "G",
    "order of the checks",
    `${label}: E(${code})`,
    (t) => {
      t.refused(command, make(t), typeof code === "number" ? [code] : code, { set: env, plugin: t.main.name });
    },
    more,
  );

const CID = { CNI_CONTAINERID: "../x" };
const IFN = { CNI_IFNAME: "a/b" };
const badVersion = (t: Trial) => t.l2({ cniVersion: "9.9.9" });
const badName = (t: Trial) => t.l2({ name: "a/b" });
const badKey = (t: Trial) => t.l2({ dns: "x" });

export const checkOrder: CaseTable = {
  perMain: [
    order("ORD-01", "bad container ID, CNI_NETNS missing", 4, { ...CID, CNI_NETNS: undefined }),
    order("ORD-02", "container ID missing, bad interface name", 4, { CNI_CONTAINERID: undefined, ...IFN }),
    order("ORD-03", "bad container ID and interface name", 4, { ...CID, ...IFN }),
    order("ORD-04", "bad interface name, CNI_PATH missing", 4, { ...IFN, CNI_PATH: undefined }),
    order("ORD-05a", "bad container ID, bad JSON", 4, CID, () => "{"),
    order("ORD-05b", "bad interface name, bad JSON", 4, IFN, () => "{"),
    order("ORD-06", "CNI_NETNS missing, bad JSON", 4, { CNI_NETNS: undefined }, () => "{"),
    order("ORD-07", "bad container ID, bad name", 4, CID, badName),
    order("ORD-08", "bad name, unsupported version", 7, {}, (t) => t.l2({ name: "a/b", cniVersion: "9.9.9" })),
    order("ORD-09", "unknown command, bad name", 7, {}, badName, "FOO"),
    order("ORD-10", "unknown command, unsupported version", 4, {}, badVersion, "FOO"),
    order("ORD-11", "unknown command, bad container ID", 4, CID, (t) => t.l2(), "FOO"),
    order("ORD-12", "unsupported version, bad plugin key", 1, {}, (t) => ({ ...badKey(t), cniVersion: "9.9.9" })),
    order("ORD-13", "bad namespace, bad plugin key", [999, 7, 4], { CNI_NETNS: "/run/none" }, badKey),
    order("ORD-14", "CHECK under 0.3.1, no prevResult", 1, {}, (t) => t.l2({ cniVersion: "0.3.1" }), "CHECK"),
    order("ORD-15", "name and cniVersion of the wrong type", 6, {}, (t) => t.l2({ name: 5, cniVersion: 5 })),
    order("ORD-16", "GC without CNI_PATH, bad JSON", 4, { CNI_PATH: undefined }, () => "{", "GC", {
      needs: ["spec:1.1.0"],
    }),
  ],
  fixed: [],
};
