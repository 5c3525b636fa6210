// `npm run bench [-- --help]`: compares podnic with the Go plugins in one interleaved run. Prints a markdown table with ratios for each measure.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import {
  bringUp,
  type Call,
  cleanUp,
  copied,
  hasKind,
  type Implementation,
  implementations,
  makeDevice,
  makeFloor,
  makeLeases,
  makeRules,
  measure,
  onNode,
  pause,
  prepare,
  type Sample,
  setQuota,
  size,
} from "./bench/world.ts";
import { BuildError, cache, root, run } from "./build/paths.ts";
import { enterSandbox, sh } from "./sandbox.ts";

const flags = new Command("npm run bench --")
  .description("podnic and the Go plugins in one interleaved run: a markdown table of each measure, with ratios")
  .option("--rounds <n>", "calls of each kind", "40")
  .option(
    "--only <groups>",
    "these, separated by commas: version, host-device, macvlan, ipvlan, bridge, host-local, at-once",
  )
  .option("--base <dir>", "plugins of another podnic, to compare with: dist/cni of its checkout")
  .option(
    "--quota <processors>",
    "make the calls in a cgroup that may use so many processors, such as 0.1, each after a pause of some periods",
  )
  .parse()
  .opts<{ rounds: string; only?: string; base?: string; quota?: string }>();

/** One line of the tables. */
interface Row {
  name: string;
  samples: Map<string, Sample[]>;
}

const version = "1.0.0";

/** Measures these calls in turn, in rounds. Each round begins with another implementation. The first round is a warm-up and is dropped. */
function interleave(
  rounds: number,
  who: Implementation[],
  plugin: string,
  names: string[],
  calls: (i: number) => Call[],
): Row[] {
  const rows: Row[] = names.map((name) => ({ name, samples: new Map(who.map(({ name }) => [name, []])) }));
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < who.length; turn++) {
      const i = (round + turn) % who.length;
      calls(i).forEach((call, line) => {
        pause();
        const sample = measure(who[i]!, plugin, call);
        if (round > 0) rows[line]!.samples.get(who[i]!.name)!.push(sample);
      });
    }
  }
  return rows;
}

const ipams: Record<string, (i: number) => object> = {
  "without IPAM": () => ({}),
  "with static": (i) => ({
    type: "static",
    addresses: [{ address: `10.50.${i}.2/24`, gateway: `10.50.${i}.1` }],
    routes: [{ dst: "0.0.0.0/0" }],
  }),
  "with host-local": (i) => ({
    type: "host-local",
    ranges: [[{ subnet: `10.60.${i}.0/24` }]],
    routes: [{ dst: "0.0.0.0/0" }],
  }),
};

/** ADD and DEL of an interface plugin, with each IPAM. `deviceKey` is the key for the host's device; each implementation has its own device. */
function interfaces(
  rounds: number,
  who: Implementation[],
  type: string,
  deviceKey: string,
  wanted = Object.keys(ipams),
): Row[] {
  const device = (i: number) => `${type.slice(0, 8)}${i}`;
  for (const i of who.keys()) {
    makeDevice(device(i), `pod-${type}${i}`);
    if (deviceKey === "master") bringUp(device(i));
  }
  return wanted.flatMap((ipam) => {
    const names = [`${type} ADD ${ipam}`, `${type} DEL ${ipam}`];
    return interleave(rounds, who, type, names, (i) => {
      const network = {
        cniVersion: version,
        name: `bench${i}`,
        type,
        [deviceKey]: device(i),
        ipam: ipams[ipam]!(i),
      };
      return ["ADD", "DEL"].map((command) => ({ command, netns: `/run/netns/pod-${type}${i}`, config: network }));
    });
  });
}

/** The Go plugin's ipvlan fails without IPAM. A kernel without ipvlan gives no rows, so run this in the guest. */
function ipvlan(rounds: number, who: Implementation[]): Row[] {
  if (hasKind("ipvlan")) return interfaces(rounds, who, "ipvlan", "master", ["with static", "with host-local"]);
  console.log("ipvlan is left out: this kernel has none; conformance/vm/run npm run bench -- --only ipvlan");
  return [];
}

const bridges: Record<string, (i: number) => object> = {
  "layer 2": () => ({}),
  "layer 2 with macspoofchk": () => ({ macspoofchk: true }),
  "layer 2 with macspoofchk by nftables": () => ({ macspoofchk: true, macspoofchkBackend: "nftables" }),
  "gateway with host-local": (i) => ({ isGateway: true, ipam: ipams["with host-local"]!(i) }),
  "gateway, host-local, ipMasq": (i) => ({ isGateway: true, ipMasq: true, ipam: ipams["with host-local"]!(i) }),
};

/** The number of pods whose rules exist for the second half of the rows. */
const PODS = 1000;

/** Rows for which bridge-floor.c makes no rules, so that they have no floor. */
const ABOVE_FLOOR = /macspoofchk/;

/** ADD and DEL on an existing bridge, without and with the rules of other pods. The Go plugin 1.1.1 does not support nftables. */
function bridge(rounds: number, who: Implementation[], floor: Implementation): Row[] {
  const able = who.filter(({ name, dir }) => name !== "Go 1.1.1" && existsSync(join(dir, "bridge")));
  for (const i of [...able, floor].keys()) makeDevice(`bridge${i}`, `pod-bridge${i}`);
  const alone = bridgeRows(rounds, able, floor, "");
  makeRules(PODS);
  const beside = bridgeRows(rounds, able, floor, `, ${PODS.toLocaleString("en")} pods' rules`);
  sh("nft", "flush", "ruleset");
  return [...alone, ...beside];
}

/** Makes a bridge with the gateway address of host-local's addresses, for the C program. */
function makeGateway(name: string, i: number): void {
  sh("ip", "link", "add", name, "up", "type", "bridge");
  sh("ip", "address", "add", `10.60.${i}.1/24`, "dev", name);
}

function bridgeRows(rounds: number, able: Implementation[], floor: Implementation, beside: string): Row[] {
  return Object.entries(bridges).flatMap(([what, keys], kind) => {
    const bridgeOf = (i: number) => `bench${kind}-${i}`;
    const names = [`bridge ADD ${what}${beside}`, `bridge DEL ${what}${beside}`];
    const who = ABOVE_FLOOR.test(what) ? able : [...able, floor];
    const all = [...who.keys()].map(bridgeOf);
    // The C program does not create a missing bridge.
    if (who.includes(floor)) makeGateway(all.at(-1)!, who.length - 1);
    const rows = interleave(rounds, who, "bridge", names, (i) => {
      const network = { cniVersion: version, name: `bench${i}`, type: "bridge", bridge: bridgeOf(i), ...keys(i) };
      return ["ADD", "DEL"].map((command) => ({ command, netns: `/run/netns/pod-bridge${i}`, config: network }));
    });
    // podnic refuses a second bridge with the same gateway address.
    for (const name of all) sh("ip", "link", "del", name);
    return rows;
  });
}

function hostLocal(rounds: number, who: Implementation[], leases: number): Row[] {
  const name = (i: number) => `leases${leases}-${i}`;
  for (const i of who.keys()) makeLeases(name(i), leases);
  const count = leases.toLocaleString("en");
  const rows = interleave(
    rounds,
    who,
    "host-local",
    [`host-local ADD, ${count} leases`, `host-local DEL, ${count} leases`],
    (i) => {
      const ipam = { type: "host-local", ranges: [[{ subnet: "10.64.0.0/14" }]] };
      const config = { cniVersion: version, name: name(i), type: "host-local", ipam };
      return ["ADD", "DEL"].map((command) => ({ command, config }));
    },
  );
  return rows;
}

/** The number of calls that start at the same time and wait for one another. */
const AT_ONCE = 100;

function atOnce(rounds: number, all: Implementation[], floor: Implementation): Row[] {
  const pod = (i: number) => `pod-once${i}-`;
  for (const i of [...all, floor].keys()) {
    makeDevice(`once${i}`, pod(i));
    for (let n = 0; n < AT_ONCE; n++) sh("ip", "netns", "add", `${pod(i)}${n}`);
    bringUp(`once${i}`);
  }
  return ["without IPAM", "with host-local"].flatMap((ipam) => {
    // The C program takes no lock, so two of its calls would take the same address.
    const who = ipam === "without IPAM" ? [...all, floor] : all;
    const names = ["ADD", "DEL"].map((command) => `macvlan ${command} ${ipam}, ${AT_ONCE} at once`);
    return interleave(rounds, who, "macvlan", names, (i) => {
      const config = {
        cniVersion: version,
        name: `once${i}`,
        type: "macvlan",
        master: `once${i}`,
        ipam: ipams[ipam]!(i),
      };
      return ["ADD", "DEL"].map((command) => ({ command, netns: `/run/netns/${pod(i)}`, config, atOnce: AT_ONCE }));
    });
  });
}

function versions(rounds: number, who: Implementation[]): Row[] {
  const config = { cniVersion: version, name: "bench", type: "host-device" };
  return interleave(rounds, who, "host-device", ["VERSION"], () => [{ command: "VERSION", config }]);
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN;
}

const measures: [title: string, digits: number, of: (samples: Sample[]) => number][] = [
  [
    "Wall time, ms (median)",
    2,
    (samples) =>
      quantile(
        samples.map(({ wall }) => wall),
        0.5,
      ),
  ],
  [
    "Wall time, ms (10th percentile)",
    2,
    (samples) =>
      quantile(
        samples.map(({ wall }) => wall),
        0.1,
      ),
  ],
  [
    "CPU, ms (10th percentile; with what it starts)",
    2,
    (samples) =>
      quantile(
        samples.map(({ cpu }) => cpu),
        0.1,
      ),
  ],
  [
    "CPU, ms (median; with what it starts)",
    2,
    (samples) =>
      quantile(
        samples.map(({ cpu }) => cpu),
        0.5,
      ),
  ],
  ...(flags.quota === undefined ? [] : underQuota()),
  ["Peak memory, MiB (largest process)", 1, (samples) => Math.max(...samples.map(({ memory }) => memory))],
];

function underQuota(): typeof measures {
  return [
    ["CPU, ms (largest; with what it starts)", 2, (samples) => Math.max(...samples.map(({ cpu }) => cpu))],
    ["Calls that the quota stopped", 0, (samples) => samples.filter(({ stopped }) => stopped > 0).length],
  ];
}

/** Empty if a program is too small for its memory to be counted. */
const ratio = (ours: number, theirs: number): string => (theirs > 0 ? (ours / theirs).toFixed(2) : "");

function table(rows: Row[], names: string[], digits: number, of: (samples: Sample[]) => number): string {
  const peers = names.slice(1).filter((name) => name.startsWith("Go") || name === "base" || name === "C");
  const head = ["", ...names, ...peers.map((name) => `podnic : ${name}`)];
  const lines = rows.map(({ name, samples }) => {
    const value = (who: string) => of(samples.get(who) ?? []);
    const has = (who: string) => (samples.get(who)?.length ?? 0) > 0;
    const cells = names.map((who) => (has(who) ? value(who).toFixed(digits) : ""));
    return [name, ...cells, ...peers.map((who) => ratio(value("podnic"), value(who)))];
  });
  const all = [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...lines];
  return all.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function main(): void {
  const rounds = Number(flags.rounds);
  const empty = prepare(readFileSync(join(root, "scripts/bench/launch.c"), "utf8"));
  try {
    if (flags.quota !== undefined) setQuota(Number(flags.quota));
    const base = flags.base === undefined ? [] : [{ name: "base", dir: flags.base }];
    const who = [...implementations(), ...base].map(copied);
    const floor = makeFloor();
    const node = onNode();
    const groups: Record<string, () => Row[]> = {
      version: () => versions(rounds * 2, [...who, ...node, empty]),
      "host-device": () => interfaces(rounds, [...who, floor], "host-device", "device"),
      macvlan: () => interfaces(rounds, [...who, ...node, floor], "macvlan", "master"),
      ipvlan: () => ipvlan(rounds, who),
      bridge: () => bridge(rounds, who, floor),
      "at-once": () => atOnce(Math.ceil(rounds / 4), who, floor),
      "host-local": () => [...hostLocal(rounds, who, 10), ...hostLocal(rounds, who, 60_000)],
    };
    const wanted = flags.only?.split(",") ?? Object.keys(groups);
    const unknown = wanted.filter((name) => groups[name] === undefined);
    if (unknown.length > 0)
      throw new BuildError(`no group ${unknown.join(", ")}; there are ${Object.keys(groups).join(", ")}`);
    const rows = wanted.flatMap((name) => groups[name]!());
    const all = [...who, ...node, floor, empty];
    const names = all.map(({ name }) => name);
    console.log(
      `Linux ${release()}, ${cpus().length} CPUs, ${rounds} rounds, interleaved; only ratios of one run mean anything.`,
    );
    for (const [title, digits, of] of measures) console.log(`\n${title}\n\n${table(rows, names, digits, of)}`);
    const sizes = all.map((each) => `| ${each.name} | ${(size(each) / 1e6).toFixed(2)} |`);
    console.log(`\nSize of host-device's executable, MB\n\n| | |\n| --- | ---: |\n${sizes.join("\n")}`);
    mkdirSync(join(cache, "reports"), { recursive: true });
    const json = rows.map(({ name, samples }) => ({ name, samples: Object.fromEntries(samples) }));
    writeFileSync(join(cache, "reports/bench.json"), JSON.stringify(json));
  } finally {
    cleanUp();
  }
}

function setUp(): void {
  run("scripts/setup", ["test"]);
  run(process.execPath, ["scripts/ts.mjs", "scripts/build.ts"]);
}

try {
  if (process.getuid?.() !== 0)
    throw new BuildError("needs root: it makes network namespaces and moves devices between them");
  // The guest of conformance/vm uses what was built on the host.
  if (process.env.PODNIC_OUTSIDE === undefined && process.env.PODNIC_VM === undefined) setUp();
  if (enterSandbox("scripts/bench.ts")) main();
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(`npm run bench: ${error.message}`);
  process.exitCode = 1;
}
