// STATUS and GC, which came with 1.1.0.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { RANGE } from "../harness/sandbox.ts";
import type { Codes, Trial } from "../harness/trial.ts";
import { GOOD, say, stubbed } from "./stubs.ts";

const v11 = { needs: ["spec:1.1.0"] };
const V11 = { cniVersion: "1.1.0" };
const VALID = "cni.dev/valid-attachments";
const LEGACY = "cni.dev/attachments";
const hostLocal = { needs: ["plugin:host-local", "spec:1.1.0:host-local"] };
/** Runtimes take a failing STATUS for a node that is not ready, and end the pods of all networks; a full pool is one network's. C-101 recommends that STATUS fails. */
const FULL = "a full pool does not make the node NotReady";
const TINY = { ranges: [[{ subnet: "198.51.100.0/30" }]] };

/** STATUS is called as runtimes do: without attachment variables. */
const STATUS = (t: Trial, conf: Config) => {
  return t.call("STATUS", conf, { set: { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined } });
};

const notReady = (
  id: string,
  tag: "S" | "H",
  requirement: string,
  label: string,
  extra: Config,
  codes: Codes,
  more = {},
): MainCase =>
  row(
    id,
    tag,
    requirement,
    `${label}: E(${Array.isArray(codes) ? codes.join("|") : "*"})`,
    (t) => {
      t.error(STATUS(t, t.l3({ ...V11, ...extra })), codes);
    },
    { ...v11, ...more },
  );

/** host-local with reservations (a), (b) in net1 and (c) in net2. */
function threeLeases(t: Trial): Config {
  const conf = t.ipam("host-local", { ranges: [[{ subnet: RANGE }]] }, V11);
  for (const [id, name] of [
    ["a", "net1"],
    ["b", "net1"],
    ["c", "net2"],
  ]) {
    t.add({ ...conf, name }, { ipam: true, set: { CNI_CONTAINERID: id } });
  }
  return conf;
}

const holders = (t: Trial, network = "net1") =>
  [...t.leases(network).values()]
    .map((text) => text.split("\r\n")[0])
    .sort()
    .join(" ");
const entry = (containerID: string) => ({ containerID, ifname: "eth0" });
const GC = (t: Trial, conf: Config) => {
  return t.call("GC", conf, { set: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_ARGS: "" } });
};

/** GC of net1 with these keys keeps exactly these holders; net2 is never touched. */
const keeps = (id: string, tag: Tag, requirement: string, label: string, keys: Config, left: string): MainCase =>
  row(
    id,
    tag,
    requirement,
    `${label}: OK, net1 keeps ${left || "nothing"}, net2 is untouched`,
    (t) => {
      const conf = threeLeases(t);
      t.silentRun(GC(t, { ...conf, ...keys }));
      t.equal(holders(t), left, "holders in net1");
      t.equal(holders(t, "net2"), "c", "holders in net2");
    },
    hostLocal,
  );

/** GC must not take anything away, whatever it answers. */
const harmless = (
  id: string,
  requirement: string,
  label: string,
  keys: Config,
  codes: Codes,
  mayPass: boolean,
): MainCase =>
  row(
    id,
    "H",
    requirement,
    `${label}: nothing released, ${mayPass ? "OK or " : ""}E(7)`,
    (t) => {
      const conf = threeLeases(t);
      const run = GC(t, { ...conf, ...keys });
      t.equal(holders(t), "a b", "holders in net1");
      if (run.status === 0 && mayPass) t.silentRun(run);
      else t.error(run, codes);
    },
    hostLocal,
  );

const statusCases: readonly MainCase[] = [
  row("STA-01", "S", "C-100", "healthy: OK, no output", (t) => t.silentRun(STATUS(t, t.l3(V11))), v11),
  row(
    "STA-02",
    "G",
    "C-105: STATUS came with 1.1.0",
    "1.0.0: E(1)",
    (t) => {
      t.error(STATUS(t, t.l3({ cniVersion: "1.0.0" })), [1]);
    },
    v11,
  ),
  row(
    "STA-03",
    "S",
    "C-101, C-102",
    "master or device missing: E(50)",
    (t) => {
      t.error(STATUS(t, t.l3({ ...V11, [t.deviceKey]: "nosuch0" })), [50]);
    },
    v11,
  ),
  notReady("STA-04", "H", "C-100", "mode bogus", { mode: "bogus" }, [7, 50], { only: ["macvlan", "ipvlan"] }),
  notReady("STA-05", "S", "C-140", "dns of the wrong type", { dns: "x" }, [6, 7, 999]),
  row(
    "STA-06a",
    "G",
    FULL,
    "host-local directly: OK, and an ADD is refused",
    (t) => {
      const conf = t.ipam("host-local", TINY, V11);
      t.add(conf, { ipam: true });
      t.silentRun(STATUS(t, conf));
      t.error(t.call("ADD", conf, { set: { CNI_CONTAINERID: "second" } }));
    },
    hostLocal,
  ),
  row(
    "STA-06b",
    "G",
    FULL,
    "through MAIN: OK",
    (t) => {
      t.add(t.l3(V11, TINY));
      t.silentRun(STATUS(t, t.l3(V11, TINY)));
    },
    v11,
  ),
  row(
    "STA-07",
    "S",
    "C-104",
    "ipam binary missing: E(50|*)",
    (t) => {
      t.error(STATUS(t, t.l2({ ...V11, ipam: { type: "nosuch-ipam" } })));
    },
    v11,
  ),
  row("STA-08", "S", "C-100", "no ipam section: OK", (t) => t.silentRun(STATUS(t, t.l2(V11))), v11),
  row(
    "STA-09",
    "S",
    "C-103",
    "ADD after a failed STATUS: served",
    (t) => {
      t.error(STATUS(t, t.l2({ ...V11, ipam: { type: "nosuch-ipam" } })));
      t.add(t.l3(V11));
    },
    v11,
  ),
];

const ipamGc: readonly MainCase[] = [
  keeps("GC-01", "S", "C-110", "[a]", { [VALID]: [entry("a")] }, "a"),
  keeps("GC-02", "S", "C-110", "[]", { [VALID]: [] }, ""),
  harmless("GC-03", "5.1 reading 6: absent is not empty", "key absent", {}, [7], true),
  keeps("GC-04", "G", "libcni sends null for a nil slice: no attachment is valid", "null", { [VALID]: null }, ""),
  keeps("GC-18", "G", "libcni sends null for a nil slice", "both keys null", { [VALID]: null, [LEGACY]: null }, ""),
  keeps("GC-19", "H", "5.1 reading 5: the union", "null and a list", { [VALID]: null, [LEGACY]: [entry("a")] }, "a"),
  ...["x", [5], [{}], [{ containerID: "a" }]].map((value, n) =>
    harmless(`GC-05${"abcd"[n]}`, "C-140", JSON.stringify(value), { [VALID]: value }, [6, 7], false),
  ),
  keeps("GC-06", "S", "C-115: the tagged spec's key", "only the legacy key", { [LEGACY]: [entry("a")] }, "a"),
  keeps(
    "GC-07",
    "H",
    "5.1 reading 5: the union",
    "both keys, different",
    { [VALID]: [entry("a")], [LEGACY]: [entry("b")] },
    "a b",
  ),
  keeps("GC-08", "S", "C-110", "an attachment unknown to the plugin", { [VALID]: ["a", "b", "z"].map(entry) }, "a b"),
  row(
    "GC-09",
    "S",
    "C-112",
    "one stale file cannot be removed: the others are, then E",
    (t) => {
      const conf = threeLeases(t);
      // A mount point cannot be unlinked, not even by root.
      t.sh("f=/var/lib/cni/networks/net1/198.51.100.2; mount --bind $f $f");
      t.error(GC(t, { ...conf, [VALID]: [] }));
      t.equal(holders(t), "a", "holders in net1");
    },
    hostLocal,
  ),
  row(
    "GC-10",
    "H",
    "a reservation in the old format, its container valid: kept",
    "OK",
    (t) => {
      const conf = threeLeases(t);
      t.write("/var/lib/cni/networks/net1/198.51.100.2", "a");
      t.silentRun(GC(t, { ...conf, [VALID]: [entry("a")] }));
      t.equal(holders(t), "a", "holders in net1");
    },
    hostLocal,
  ),
  row(
    "GC-11",
    "H",
    "lock and last-reserved files survive",
    "OK",
    (t) => {
      const conf = threeLeases(t);
      t.silentRun(GC(t, { ...conf, [VALID]: [] }));
      t.equal(t.sh("cd /var/lib/cni/networks/net1; ls lock last*").trim(), "last_reserved_ip.0\nlock", "files");
      t.equal(holders(t), "", "holders in net1");
    },
    hostLocal,
  ),
  row(
    "GC-16",
    "S",
    "C-110",
    "twice: OK",
    (t) => {
      const conf = { ...threeLeases(t), [VALID]: [] };
      t.silentRun(GC(t, conf));
      t.silentRun(GC(t, conf));
      t.leaseCount(0);
    },
    hostLocal,
  ),
  row(
    "GC-17",
    "S",
    "C-110: an attachment is (container, interface)",
    "another interface of a valid container: released",
    (t) => {
      const conf = threeLeases(t);
      t.add(conf, { ipam: true, set: { CNI_CONTAINERID: "a", CNI_IFNAME: "eth1" } });
      t.silentRun(GC(t, { ...conf, [VALID]: [entry("a")] }));
      t.leaseCount(1);
    },
    hostLocal,
  ),
];

export const statusGc: CaseTable = {
  perMain: [
    ...statusCases.filter((c) => c.needs !== hostLocal.needs),
    row(
      "GC-12",
      "G",
      "C-116: GC came with 1.1.0",
      "1.0.0: E(1)",
      (t) => {
        t.error(GC(t, t.l3({ cniVersion: "1.0.0", [VALID]: [] })), [1]);
      },
      v11,
    ),
    row(
      "GC-13",
      "S",
      "C-110: reservations of stale attachments",
      "through MAIN: released, a valid one kept",
      (t) => {
        const [one, two] = [t.l3(V11), t.l3(V11)];
        t.add(one);
        t.add(two, { set: { CNI_CONTAINERID: "ctr-2", CNI_NETNS: t.netns("c2") }, ns: "c2" });
        t.sh("ip netns del c2");
        t.silentRun(GC(t, { ...one, [VALID]: [entry("ctr-1")] }));
        t.equal(holders(t), "ctr-1", "holders in net1");
        t.present("eth0");
      },
      v11,
    ),
    row(
      "GC-14",
      "S",
      "C-111",
      "forwarded: one call, the list unchanged on stdin",
      (t) => {
        const s = stubbed(t, { ADD: say(GOOD) }, V11);
        const stdin = JSON.stringify({ ...s.conf, [VALID]: [entry("a")], z: 1 });
        const run = t.call("GC", stdin, { set: s.set });
        t.silentRun(run);
        const calls = s.stub.calls();
        if (calls.length !== 1) throw new Mismatch("one call of the delegate", `${calls.length}; ${describeRun(run)}`);
        t.equal(calls[0]!.stdin.toString(), stdin, "stdin");
      },
      v11,
    ),
    row(
      "GC-15",
      "H",
      "C-140",
      "garbage in the rest of the configuration: E(6|7)",
      (t) => {
        t.error(GC(t, t.l2({ ...V11, [VALID]: [], ipam: 5 })), [6, 7]);
      },
      v11,
    ),
  ],
  fixed: [...statusCases.filter((c) => c.needs === hostLocal.needs), ...ipamGc],
};
