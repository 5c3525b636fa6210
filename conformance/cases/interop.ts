// Mixed use of two implementations on one state directory: a node may be switched over with pods running.
import { type CaseTable, type MainCase, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const needs = ["peer:host-local", "plugin:host-local"];
const mainNeeds = { needs };
const RANGES = { ranges: [[{ subnet: "198.51.100.0/24" }]], routes: [{ dst: "203.0.113.0/24", gw: "198.51.100.1" }] };

/** MAIN must also be in the peer's directory. */
const hasPeer = (t: Trial) => t.settings.peer !== undefined;

/** ADD by one, CHECK and DEL by the other. */
const handover = (
  id: string,
  label: string,
  adds: (t: Trial) => CallOptions,
  ends: (t: Trial) => CallOptions,
): MainCase =>
  row(
    id,
    "G",
    "8.1: what each later call needs",
    `ADD by ${label}: CHECK and DEL OK, all released`,
    (t) => {
      t.expect(hasPeer(t), "--peer", "none");
      const conf = t.l3({}, RANGES);
      const before = names(t);
      const run = t.call("ADD", conf, adds(t));
      if (run.status !== 0) throw new Mismatch("OK", describeRun(run));
      const prevResult = JSON.parse(run.stdout) as Config;
      t.silent("CHECK", { ...conf, prevResult }, ends(t));
      t.silent("DEL", { ...conf, prevResult }, ends(t));
      t.equal(names(t), before, "links and leases");
      // What the first one still believes must not hinder it.
      const again = t.call("ADD", conf, adds(t));
      t.expect(again.status === 0, "ADD again: OK", describeRun(again));
      t.silent("DEL", conf, adds(t));
      t.equal(names(t), before, "links and leases");
    },
    mainNeeds,
  );

/** Names of links and leases. Their further facts, and notes of its own that the other cannot know, are each
 * implementation's affair (Go 1.1.1 leaves its alias on a device). */
const names = (t: Trial) => {
  const { links, files } = t.picture();
  return [
    [...links].map(([ns, list]) => [ns, list.map((l) => l.name).sort()]),
    [...files.keys()].filter((path) => path.startsWith("/var/lib/cni/networks/")).sort(),
  ];
};

const peer = (t: Trial): CallOptions => t.byPeer;
const own = (): CallOptions => ({});
const hl = (t: Trial, name: string) => t.ipam("host-local", RANGES, { name });

/** Everything host-local leaves in a network's directory, byte for byte. Modes changed within the Go plugins' history. */
const listing = (t: Trial, name: string) =>
  t.sh(`cd /var/lib/cni/networks/${name}; for f in *; do printf '%s ' "$f"; od -An -c "$f" | tr -d '\n'; echo; done`);

export const interop: CaseTable = {
  perMain: [
    handover("INT-01", "BIN, the rest by PEER", own, peer),
    handover("INT-02", "PEER, the rest by BIN", peer, own),
    row(
      "INT-03",
      "G",
      "both at once on one pool",
      "20 ADDs of each at once: 40 addresses; DELs by the other: pool empty",
      (t) => {
        const pods = Array.from({ length: 40 }, (_, n) => `k${n}`);
        t.sh(pods.map((name) => `ip netns add ${name}`).join("\n"));
        const calls = pods.map((name, n) => {
          const by = n % 2 === 0 ? t.byPeer : { bin: t.settings.bin, set: {} };
          return { stdin: t.l3({}, RANGES), id: { CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}` }, by };
        });
        const adds = calls.map((c) => ({
          command: "ADD",
          stdin: c.stdin,
          bin: c.by.bin,
          set: { ...c.id, ...c.by.set },
        }));
        const runs = t.parallel(adds);
        const addresses = runs.map((run) => {
          if (run.status !== 0) throw new Mismatch("OK", describeRun(run));
          return JSON.parse(run.stdout).ips[0].address as string;
        });
        t.equal(new Set(addresses).size, 40, "distinct addresses");
        t.leaseCount(40);
        const dels = calls.map((c, n) => {
          const by = n % 2 === 1 ? t.byPeer : { bin: t.settings.bin, set: {} };
          return { command: "DEL", stdin: c.stdin, bin: by.bin, set: { ...c.id, ...by.set } };
        });
        for (const run of t.parallel(dels)) t.silentRun(run);
        t.leaseCount(0);
      },
      mainNeeds,
    ),
  ],
  fixed: [
    row(
      "INT-10",
      "G",
      "7.2: files byte for byte",
      "the same ADDs and DELs: the same names, modes and bytes",
      (t) => {
        for (const [name, options] of [
          ["one", {}],
          ["two", t.byPeer],
        ] as const) {
          for (const id of ["a", "b", "c"]) {
            t.add(hl(t, name), {
              ...options,
              ipam: true,
              set: { ...("set" in options ? options.set : {}), CNI_CONTAINERID: id },
            });
          }
          t.silent("DEL", hl(t, name), {
            ...options,
            set: { ...("set" in options ? options.set : {}), CNI_CONTAINERID: "b" },
          });
        }
        t.equal(listing(t, "one"), listing(t, "two"), "files");
      },
      { needs },
    ),
    row(
      "INT-11",
      "G",
      "the cursor is shared",
      "BIN, PEER, BIN: .2 .3 .4",
      (t) => {
        const got = ["a", "b", "c"].map((CNI_CONTAINERID, n) => {
          const by = n === 1 ? { bin: t.byPeer.bin } : {};
          return t.add(hl(t, "net1"), { ...by, ipam: true, set: { CNI_CONTAINERID } }).ips?.[0]?.address;
        });
        t.equal(got, ["198.51.100.2/24", "198.51.100.3/24", "198.51.100.4/24"], "addresses");
      },
      { needs },
    ),
    row(
      "INT-12",
      "G",
      "one attachment, one lease",
      "ADD by BIN, ADD of the same by PEER: E",
      (t) => {
        t.add(hl(t, "net1"), { ipam: true });
        t.refused("ADD", hl(t, "net1"), "any", { bin: t.byPeer.bin });
      },
      { needs },
    ),
    row(
      "INT-13",
      "G",
      "one lock",
      "40 ADDs of both at once: 40 leases",
      (t) => {
        const runs = t.parallel(
          Array.from({ length: 40 }, (_, n) => ({
            command: "ADD",
            stdin: hl(t, "net1"),
            bin: n % 2 === 0 ? t.byPeer.bin : t.settings.bin,
            set: { CNI_CONTAINERID: `k${n}` },
          })),
        );
        for (const run of runs) if (run.status !== 0) throw new Mismatch("OK", describeRun(run));
        t.leaseCount(40);
      },
      { needs },
    ),
  ],
};
