// `npm run bench:instructions`: compares the instructions that each usual call executes in user space, counted by callgrind, with the budget that is
// checked in. Unlike times, counts hardly vary with the machine's load. Debian 12's valgrind does not know openat2, so podnic opens directories step
// by step, as on kernels before 5.6. The child process that enters the pod for a DEL is not counted. Options:
//   --bin DIR     plugins to count (default: dist/cni)
//   --base DIR    compare with these plugins instead of the budget
//   --only A,B    count only calls whose names begin with one of these
//   --record      write the budget
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { dist, root } from "../build/paths.ts";
import { enterSandbox, hideState, sh } from "../sandbox.ts";
import { hasKind } from "./world.ts";

const budgetFile = join(root, "scripts/bench/instructions.json");
/** The lengths of process IDs and of descriptors' numbers, and the kernel's answers, differ a little between machines. */
const tolerance = 1.03;
/** The lengths of paths and of the environment also differ, and VERSION does hardly more than read these. */
const slack = 500;
const pod = "/run/netns/pod";
const question = "/run/question.json";

const { values: flags } = parseArgs({
  options: {
    bin: { type: "string", default: join(dist, "cni") },
    base: { type: "string" },
    only: { type: "string", default: "" },
    record: { type: "boolean", default: false },
  },
});

type Counts = Record<string, number>;

interface Network {
  name: string;
  plugin: string;
  keys: object;
}

const ipam = {
  none: {},
  static: { type: "static", addresses: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] },
  "host-local": { type: "host-local", ranges: [[{ subnet: "10.2.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] },
};

function networks(): Network[] {
  const all: Network[] = [{ name: "host-local", plugin: "host-local", keys: { ipam: ipam["host-local"] } }];
  const kinds = ["macvlan", "ipvlan"].filter(hasKind);
  for (const plugin of [...kinds, "host-device"]) {
    const keys = plugin === "host-device" ? { device: "card" } : { master: "wire" };
    for (const [name, given] of Object.entries(ipam))
      all.push({ name: `${plugin} ${name}`, plugin, keys: { ...keys, ipam: given } });
  }
  return [...all, ...bridges()];
}

/** Networks on bridges, which exist before the counted calls and stay after them. */
function bridges(): Network[] {
  const gateway = (subnet: string) => ({ isDefaultGateway: true, ipam: { type: "host-local", subnet } });
  const masquerade = { ...gateway("10.4.0.0/24"), ipMasq: true, ipMasqBackend: "nftables" };
  return [
    { name: "bridge none", plugin: "bridge", keys: { bridge: "br0" } },
    { name: "bridge gateway", plugin: "bridge", keys: { bridge: "br1", ...gateway("10.3.0.0/24") } },
    { name: "bridge masquerade", plugin: "bridge", keys: { bridge: "br2", ...masquerade } },
  ];
}

function environment(dir: string, command: string): NodeJS.ProcessEnv {
  return { CNI_COMMAND: command, CNI_CONTAINERID: "counted", CNI_NETNS: pod, CNI_IFNAME: "eth0", CNI_PATH: dir };
}

/** Returns the instructions of the plugin's process alone. callgrind prints those of its child processes separately. */
function count(dir: string, plugin: string, command: string, config: object): number {
  const options = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
  // stdin is a file, because Node's stdin for a child is a socket. Runtimes do not use a socket, and VERSION is not prepared for one
  // (src/host/quickjs/version.h).
  writeFileSync(question, JSON.stringify(config));
  const stdin = openSync(question, "r");
  const { pid, status, stdout, stderr, error } = spawnSync("/usr/bin/valgrind", [...options, join(dir, plugin)], {
    env: environment(dir, command),
    stdio: [stdin, "pipe", "pipe"],
    encoding: "utf8",
  });
  closeSync(stdin);
  if (error !== undefined || status !== 0)
    throw new Error(`${plugin} ${command}: ${error?.message ?? `${stdout}${stderr}`}`);
  // A DEL may end before its child process, so look for the plugin's own process ID.
  const counted = new RegExp(`==${pid}== Collected : (\\d+)`).exec(stderr)?.[1];
  if (counted === undefined) throw new Error(`${plugin} ${command}: callgrind counted nothing: ${stderr}`);
  return Number(counted);
}

function countNetwork(dir: string, { name, plugin, keys }: Network): Counts {
  const config = { cniVersion: "1.0.0", name: `counted-${name.replace(" ", "-")}`, type: plugin, ...keys };
  // The first calls are not counted, because they create directories.
  for (const command of ["ADD", "DEL"]) {
    const options = { env: environment(dir, command), input: JSON.stringify(config), encoding: "utf8" } as const;
    const { status, stdout } = spawnSync(join(dir, plugin), options);
    if (status !== 0) throw new Error(`${name} ${command}: ${stdout}`);
  }
  return {
    [`${name} ADD`]: count(dir, plugin, "ADD", config),
    [`${name} DEL`]: count(dir, plugin, "DEL", config),
  };
}

function isAskedFor(name: string): boolean {
  return flags.only.split(",").some((start) => name.startsWith(start));
}

function countAll(dir: string, wanted: (name: string) => boolean = isAskedFor): Counts {
  const counts: Counts = wanted("VERSION")
    ? { VERSION: count(dir, "macvlan", "VERSION", { cniVersion: "1.0.0" }) }
    : {};
  for (const network of networks()) if (wanted(network.name)) Object.assign(counts, countNetwork(dir, network));
  return counts;
}

function table(counts: Counts, other: Counts, title: string): string {
  const row = (name: string): string => {
    const [now, then] = [counts[name]!, other[name]];
    const change = then === undefined ? "" : `${(100 * (now / then - 1)).toFixed(1)} %`;
    return `| ${name} | ${then?.toLocaleString("en") ?? ""} | ${now.toLocaleString("en")} | ${change} |`;
  };
  return [`| call | ${title} | now | change |`, "| --- | ---: | ---: | ---: |", ...Object.keys(counts).map(row)].join(
    "\n",
  );
}

/**
 * A DEL of macvlan reads the kernel's notifications in one packet or in two. The difference is 80,000 instructions (6 %). So the budget is the
 * largest count of several runs, and a call over the budget is counted again.
 */
function keep(counts: Counts, others: Counts, choose: (a: number, b: number) => number): void {
  for (const [name, other] of Object.entries(others)) counts[name] = choose(counts[name]!, other);
}

function main(): void {
  hideState();
  sh("ip", "netns", "add", "pod");
  for (const name of ["card", "wire"]) {
    sh("ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`);
    sh("ip", "link", "set", `${name}p`, "up");
  }
  sh("ip", "link", "set", "wire", "up");
  const bin = resolve(flags.bin);
  const counts = countAll(bin);
  if (flags.base !== undefined) {
    console.log(table(counts, countAll(resolve(flags.base)), "base"));
    return;
  }
  const budget = JSON.parse(readFileSync(budgetFile, "utf8")) as Counts;
  if (flags.record) for (let more = 0; more < 2; more++) keep(counts, countAll(bin), Math.max);
  const dear = () => Object.keys(counts).filter((name) => !(counts[name]! <= budget[name]! * tolerance + slack));
  for (let more = 0; more < 2 && !flags.record && dear().length > 0; more++) {
    keep(
      counts,
      countAll(bin, (name) => dear().some((call) => call.startsWith(name))),
      Math.min,
    );
  }
  console.log(table(counts, budget, "budget"));
  if (flags.record) {
    writeFileSync(budgetFile, `${JSON.stringify({ ...budget, ...counts }, null, 2)}\n`);
    return;
  }
  if (dear().length === 0) return;
  console.error(`More than the budget allows in ${relative(root, budgetFile)}: ${dear().join(", ")}`);
  process.exitCode = 1;
}

if (enterSandbox("scripts/bench/instructions.ts")) main();
