// Runs every test, goes on after failures and adds it all up: `scripts/test [STAGE …]`. The last line is `N passed, N failed`.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache, root } from "./build/paths.ts";

interface Count {
  passed: number;
  failed: number;
  notRun: number;
}

interface Stage {
  name: string;
  command: string[];
  /** Reads what the stage reported into its file; without it the stage is one test, which its exit status decides. */
  count?: (report: unknown) => Count;
  /** That file, when it is not reportOf(name). */
  report?: string;
  /** Minutes; then it has failed. */
  limit: number;
  /** A path without which it is not run, and what would make it. */
  needs?: [path: string, maker: string];
  /** Uses one processor only: runs beside the next stage that says so too, and prints what it has to say at its end. */
  beside?: boolean;
}

const reports = join(cache, "reports");
const ts = (...args: string[]) => ["node", "scripts/ts.mjs", ...args];
const reportOf = (name: string) => join(reports, `${name.replaceAll(/\W+/g, "-")}.json`);

function vitestCount(report: unknown): Count {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites } = report as Record<
    string,
    number
  >;
  // A file that could not be loaded has no tests that fail.
  const failed = Math.max(numFailedTests!, Math.min(numFailedTestSuites!, 1));
  return { passed: numPassedTests!, failed, notRun: numPendingTests! + numTodoTests! };
}

function conformanceCount(report: unknown): Count {
  const { cases } = report as { cases: { outcome: string }[] };
  const count = (outcome: string) => cases.filter((c) => c.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), notRun: count("not-run") };
}

function faultsCount(report: unknown): Count {
  const outcomes = report as { points: number; notReached: unknown[]; notClean: unknown[] }[];
  const sum = (of: (outcome: (typeof outcomes)[number]) => number) => outcomes.reduce((n, o) => n + of(o), 0);
  const failed = sum((o) => o.notClean.length);
  return { passed: sum((o) => o.points) - failed, failed, notRun: sum((o) => o.notReached.length) };
}

function differentialCount(report: unknown): Count {
  const { configurations, differing } = report as { configurations: number; differing: number };
  return { passed: configurations - differing, failed: differing, notRun: 0 };
}

function conformance(name: string, bin: string, more: string[], limit: number): Stage {
  const command = ts("conformance/main.ts", "--bin", bin, "--report", reportOf(name), ...more);
  return { name, command, count: conformanceCount, limit };
}

/** The suite on plugins whose deviations are listed: one test, which fails when they are no longer as listed. */
function deviations(version: string, bin: string, needs?: Stage["needs"]): Stage {
  const known = `conformance/results/go-${version}.json`;
  const command = ts("conformance/main.ts", "--bin", bin, "--main", "macvlan", "--known", known);
  return { name: `conformance of Go ${version}`, command, limit: 15, ...(needs && { needs }) };
}

const debianPlugins = "/usr/lib/cni";
const currentPlugins = join(cache, "go-plugins/1.9.1");
const peer = ["--peer", debianPlugins];
/** Cases that reach each plugin, delegates, input and output; the rest are refusals that take the same ways through the native layer. */
const nativePaths = ["--case", "ADD,CHK,DEL,DLG,GC,HD,HL,IN,IO,KEY,MV,SEC,ST"];
/** Builds that take their time. */
const slow = ["--limit", "120"];
/** A call takes seconds when every allocation collects. */
const fewPaths = ["--case", "HDX,HLX,STX,MVX-0,DEL"];
/** Node takes 0.1 s to start: cases of every plugin instead of all. The whole suite: conformance/README.md. */
const onNode = ["--case", "ADD,DEL,GC,HDX,MVX,HLX,STX,SEC"];
/** qemu-user knows no ioctl on namespaces: cases without one, of what does not need the kernel's network. */
const emulated = ["--main", ",", "--case", "ADD,GC,STA,SEC,HL-,HLX,ST-,STX"];
/** What this machine's kernel may lack: ipvlan; 100 ADDs at once take minutes. The whole: `npm run conformance:vm`. */
const guestCases = "--main ipvlan --case IV-,IVX,VRT-2,VRT-3,VRT-4,VSN,GDE-04";
const guestSuite = `node scripts/ts.mjs conformance/main.ts --bin dist/cni --jobs 2 --limit 300 ${guestCases} --report "$PODNIC_VM_OUT/suite.json"`;
/** Each 40th point; the whole: conformance/faults/README.md. */
const guestFaults = `node scripts/ts.mjs conformance/faults/main.ts --plugin ipvlan --mode kill --every 40 --json "$PODNIC_VM_OUT/faults.json"`;
/** Clients that need ipvlan or vrf. */
const guestClients = "CNITOOL-ipvlan,CHAIN-vrf-macvlan-1.9.1,CHAIN-sbr-ipvlan-1.9.1,CHAIN-tuning-ipvlan-1.9.1";
const clientsInGuest = `node scripts/ts.mjs conformance/clients/main.ts --bin dist/cni --case ${guestClients} --report "$PODNIC_VM_OUT/clients.json"`;
/** sriov on real functions: some cases. The rest, and its kill matrix: docs/sriov-cases.md. */
const sriovInGuest = `node scripts/ts.mjs conformance/main.ts --bin dist/cni --jobs 2 --limit 120 --case SRV-01,SRV-02,SRV-03,SRV-04,SRV-06,SRV-08,SRV-09,SRV-10,SRB-01,SRB-06 --report "$PODNIC_VM_OUT/sriov.json"`;

const guest = "conformance/vm/run";
/** Its exit status when the emulator failed, not the command. */
const GUEST_DIED = 125;

/** Guests emulate their processors in turn, on one of this machine's. */
function inGuest(
  name: string,
  file: string,
  count: NonNullable<Stage["count"]>,
  command: string,
  limit: number,
  cards = "0",
): Stage {
  return {
    name,
    command: [guest, "--igb", cards, "--", "sh", "-c", command],
    count,
    report: join(cache, "vm/out", file),
    limit,
    beside: true,
  };
}

const stages: Stage[] = [
  { name: "check", command: ["npm", "run", "-s", "check"], limit: 5 },
  { name: "build", command: ts("scripts/build.ts", "--variants"), limit: 10 },
  { name: "build arm64", command: ts("scripts/build.ts", "--target", "linux-arm64"), limit: 5 },
  { name: "build podnic-node", command: ts("scripts/build-pkg.ts"), limit: 3 },
  {
    name: "unit",
    command: ["npx", "vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${reportOf("unit")}`],
    count: vitestCount,
    limit: 10,
  },
  conformance("conformance", "dist/cni", peer, 10),
  conformance("conformance no-snapshot", "dist/variants/no-snapshot/cni", [...peer, ...slow, ...nativePaths], 10),
  conformance("conformance sanitize", "dist/variants/sanitize/cni", [...peer, ...slow, ...nativePaths], 15),
  conformance("conformance gc-stress", "dist/variants/gc-stress/cni", [...peer, ...slow, ...fewPaths], 15),
  deviations("1.1.1", debianPlugins),
  deviations("1.9.1", currentPlugins, [currentPlugins, "scripts/go-plugins"]),
  {
    name: "differential",
    command: ts(
      // One seed, so that two runs of one commit agree; without --seed each run draws its own.
      ...["conformance/differential.ts", "--bin", "dist/cni", "--seed", "729182", "--report", reportOf("differential")],
      ...["--peer", existsSync(currentPlugins) ? currentPlugins : debianPlugins],
    ),
    count: differentialCount,
    limit: 15,
  },
  {
    name: "honesty",
    command: ts("conformance/honesty.ts", "--bin", "dist/cni", "--report", reportOf("honesty")),
    count: conformanceCount,
    limit: 8,
  },
  conformance("conformance podnic-node", "dist/pkg/cni", [...peer, ...slow, ...onNode], 5),
  conformance("conformance arm64", "dist/linux-arm64/emulated", [...slow, ...emulated], 5),
  {
    name: "clients",
    command: ts("conformance/clients/main.ts", "--bin", "dist/cni", "--report", reportOf("clients")),
    count: conformanceCount,
    limit: 8,
  },
  {
    name: "faults",
    command: ts(
      ...["conformance/faults/main.ts", "--bin", "dist/cni", "--plugin", "host-device,macvlan", "--mode", "kill"],
      ...["--json", reportOf("faults")],
    ),
    count: faultsCount,
    limit: 15,
  },
  {
    // Each fifth point; the whole: conformance/faults/README.md.
    name: "errors",
    command: ts(
      ...["conformance/faults/main.ts", "--bin", "dist/cni", "--plugin", "host-device,macvlan", "--ipam", "host-local"],
      ...["--mode", "error", "--every", "5", "--json", reportOf("errors")],
    ),
    count: faultsCount,
    limit: 8,
  },
  { name: "refusals", command: ts("conformance/refusals/main.ts"), limit: 3 },
  { name: "guest", command: [guest, "--", "conformance/vm/selftest"], limit: 5 },
  inGuest("conformance in the guest", "suite.json", conformanceCount, guestSuite, 15),
  inGuest("sriov in the guest", "sriov.json", conformanceCount, sriovInGuest, 15, "2"),
  inGuest("faults in the guest", "faults.json", faultsCount, guestFaults, 10),
  inGuest("clients in the guest", "clients.json", conformanceCount, clientsInGuest, 10),
  { name: "install", command: ts("conformance/install/main.ts", "--rounds", "60"), limit: 4 },
  { name: "operations", command: ts("conformance/operations/main.ts"), limit: 8 },
  { name: "demo", command: ["scripts/demo"], limit: 3 },
];

/** Exit status; -1 when it took too long or could not start. Its output is ours, or, of one beside another, comes at its end. */
function run({ name, command, limit, beside = false }: Stage): Promise<number> {
  const output = beside ? "pipe" : "inherit";
  const said: Uint8Array<ArrayBufferLike>[] = [Buffer.from(`\n== ${name}: ${command.join(" ")}\n`)];
  if (!beside) process.stdout.write(said.pop()!);
  return new Promise((resolve) => {
    const child = spawn(command[0]!, command.slice(1), { cwd: root, stdio: ["ignore", output, output] });
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (piece: Buffer) => said.push(piece));
    const timer = setTimeout(() => {
      said.push(Buffer.from(`too slow: ended after ${limit} minutes\n`));
      child.kill("SIGTERM");
    }, limit * 60_000);
    const end = (status: number) => {
      clearTimeout(timer);
      process.stdout.write(Buffer.concat(said));
      resolve(status);
    };
    child.on("error", () => end(-1));
    child.on("close", (status) => end(status ?? -1));
  });
}

async function runStage(stage: Stage): Promise<Count> {
  const [path, maker] = stage.needs ?? [];
  if (path !== undefined && !existsSync(path)) {
    console.log(`not run: there is no ${path}; ${maker} makes it`);
    return { passed: 0, failed: 0, notRun: 1 };
  }
  const file = stage.report ?? reportOf(stage.name);
  rmSync(file, { force: true });
  let status = await run(stage);
  if (status === GUEST_DIED && stage.command[0] === guest) {
    console.log(`${stage.name}: the guest died or stood still; once more`);
    status = await run(stage);
  }
  const alone = { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, notRun: 0 };
  if (stage.count === undefined) return alone;
  if (!existsSync(file)) return { passed: 0, failed: 1, notRun: 0 };
  const counted = stage.count(JSON.parse(readFileSync(file, "utf8")));
  // It failed for a reason that none of its tests shows.
  if (status !== 0 && counted.failed === 0) counted.failed = 1;
  return counted;
}

/** Runs the stages in order, two at a time where both are `beside`. */
async function runAll(waiting: Stage[], take: (stage: Stage) => Promise<void>): Promise<void> {
  const lane = async () => {
    while (waiting[0]?.beside === true) await take(waiting.shift()!);
  };
  while (waiting.length > 0) {
    if (waiting[0]!.beside === true) await Promise.all([lane(), lane()]);
    else await take(waiting.shift()!);
  }
}

async function main(names: string[]): Promise<void> {
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length > 0) {
    console.error(`no stage ${unknown.join(", ")}; there are: ${stages.map((stage) => stage.name).join(", ")}`);
    process.exit(2);
  }
  mkdirSync(reports, { recursive: true });
  const lines: string[] = [];
  const total = { passed: 0, failed: 0, notRun: 0 };
  const take = async (stage: Stage) => {
    const start = Date.now();
    const count = await runStage(stage);
    for (const key of ["passed", "failed", "notRun"] as const) total[key] += count[key];
    const seconds = ((Date.now() - start) / 1000).toFixed(0);
    lines.push(
      `${stage.name.padEnd(24)} ${count.passed} passed, ${count.failed} failed, ${count.notRun} not run, ${seconds} s`,
    );
    console.log(`== ${lines.at(-1)}`);
  };
  await runAll(
    stages.filter(({ name }) => names.length === 0 || names.includes(name)),
    take,
  );
  console.log(`\n${lines.join("\n")}`);
  if (total.notRun > 0) console.log(`${total.notRun} not run: each stage says why`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
}

await main(process.argv.slice(2));
