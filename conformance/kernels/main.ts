// The device cases on each of Debian's kernels: node scripts/ts.mjs conformance/kernels/main.ts [GUEST...]
// Boots a guest for each kernel, writes conformance/results/kernels.json and the table in docs/kernels.md. Guests that are not asked for keep
// their results. By hand only: a guest takes minutes.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";
import { tables } from "../cases/index.ts";
import { bind, type Verdict } from "../harness/case.ts";
import { countOption, Exit, testProgram } from "../harness/options.ts";
import {
  agrees,
  CARDS,
  caseNames,
  complaint,
  EVERY,
  exitOf,
  type KernelResult,
  type Results,
  resultsFile,
  settle,
  summary,
  withTable,
} from "./table.ts";

/** Debian's releases on x86-64, processors, and cards other than igb. */
const KERNELS = ["bullseye", "bookworm", "trixie", "sid"];
const PROCESSORS = ["arm64", "s390x", "riscv64"];
/** The kernel of every guest without a name, which behaves like an older one (old.c). */
const OLD = "4.18-like";
const GUESTS = [OLD, ...KERNELS, ...PROCESSORS, ...Object.keys(CARDS)];
/** Not without being asked for: docs/kernels.md says why. */
const SELDOM = ["riscv64"];
const CARD_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  virtio: ["--virtio", "4"],
  netdevsim: ["--netdevsim"],
};
const root = join(import.meta.dirname, "../..");
const out = join(root, ".cache/vm/out");

const program = testProgram("kernels")
  .description("Runs the device cases of each plugin on the kernels of Debian's releases, each in a guest of its own.")
  .argument("[guest...]", `kernels, processors and cards: ${GUESTS.join(", ")} (default: all but ${SELDOM.join(", ")})`)
  .option("--timeout <s>", "seconds a guest may take", countOption(1), 2400)
  .option("--case <ids>", "only cases whose id begins so (comma-separated); the table says which")
  .option("--every <n>", "on a card, kill sriov at each n-th system call only", countOption(1), EVERY)
  .parse();
const { timeout, case: only, every } = program.opts<{ timeout: number; case?: string; every: number }>();
// A guest takes minutes, so nothing starts before all that was asked for is known.
const asked = program.processedArgs[0] as string[];
const guests = asked.length > 0 ? asked : GUESTS.filter((guest) => !SELDOM.includes(guest));
const ids = bind(tables, ["macvlan"]).map((c) => c.id);
const wrong = complaint({ guests, cases: only?.split(",") ?? [] }, GUESTS, ids);
if (wrong !== undefined) program.error(`kernels: ${wrong}`, { exitCode: Exit.refused });
if (spawnSync(join(root, "scripts/setup"), ["full"], { stdio: "inherit" }).status !== 0) {
  console.error("kernels: scripts/setup full failed");
  process.exit(Exit.untested);
}

const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
// The last one that changed the executable; with a + when more was changed since then, which cannot be had again.
const built = ["src", "plugins", "scripts/build"];
const changed = git("status", "--porcelain", ...built) !== "";
const commit = git("log", "-1", "--format=%h", "--abbrev=10", "--", ...built) + (changed ? "+" : "");

/** A guest of another processor cannot run esbuild of this machine, which scripts/ts.mjs needs: the suite as one file for Node. */
async function bundled(): Promise<string> {
  const file = join(root, ".cache/ts/suite.mjs");
  const entry = join(root, "conformance/main.ts");
  await esbuild.build({
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    banner: { js: `process.argv[1] = ${JSON.stringify(entry)};` },
  });
  return `node ${file}`;
}

interface Report {
  kernel: string;
  cases: Verdict[];
  kills?: KernelResult["kills"];
}

const read = <T>(name: string): T => JSON.parse(readFileSync(join(out, name), "utf8")) as T;

interface Killed {
  points: number;
  command: string;
  notClean: { point: string; found: string[] }[];
}

function killsIn(outcomes: readonly Killed[]): KernelResult["kills"] {
  const points = outcomes.reduce((sum, one) => sum + one.points, 0);
  const words = (one: Killed) => one.notClean.map(({ point, found }) => `${one.command} ${point}: ${found[0] ?? ""}`);
  return { points, notClean: outcomes.flatMap(words), ...(every === EVERY ? {} : { every }) };
}

/** In that guest; undefined when there is no report, or the guest did not end as it says. */
async function runIn(
  guest: string,
  cases: readonly string[],
  jobs: number,
  kill: boolean,
): Promise<Report | undefined> {
  mkdirSync(out, { recursive: true });
  for (const name of ["kernels.json", "kills.json"]) rmSync(join(out, name), { force: true });
  const foreign = PROCESSORS.includes(guest);
  const suite = foreign ? await bundled() : "node scripts/ts.mjs conformance/main.ts";
  const bin = foreign ? `dist/linux-${guest}/cni` : "dist/cni";
  const old = guest === OLD ? " --old-kernel" : "";
  const options = `--bin ${bin}${old} --main macvlan --jobs ${jobs} --limit 180 --verbose --case ${cases.join(",")}`;
  const faults = `node scripts/ts.mjs conformance/faults/main.ts --plugin sriov --ipam none --mode kill --every ${every}`;
  const command = [
    `uname -r >"$PODNIC_VM_OUT/kernel"; ${suite} ${options} --report "$PODNIC_VM_OUT/kernels.json"`,
    ...(kill ? [`${faults} --json "$PODNIC_VM_OUT/kills.json"`] : []),
  ].join("; ");
  const kind = CARD_OPTIONS[guest] ?? (guest === OLD ? [] : [foreign ? "--processor" : "--kernel", guest]);
  const igb = CARD_OPTIONS[guest] === undefined ? "1" : "0";
  const all = [...kind, "--igb", igb, "--timeout", String(timeout), "--", "sh", "-c", command];
  const { status } = spawnSync(join(root, "conformance/vm/run"), all, { cwd: root, stdio: "inherit" });
  try {
    const release = readFileSync(join(out, "kernel"), "utf8").trim();
    const kernel = guest === OLD ? `4.18-like (${release})` : release;
    const { cases } = read<{ cases: Verdict[] }>("kernels.json");
    const kills = kill ? killsIn(read<Killed[]>("kills.json")) : undefined;
    if (!agrees(status, cases, kills)) throw new Error(`its reports do not explain the status ${status}`);
    return { kernel, cases, ...(kills === undefined ? {} : { kills }) };
  } catch (error) {
    console.error(`kernels: ${guest}: no results: ${(error as Error).message}`);
    return undefined;
  }
}

const results = JSON.parse(readFileSync(join(root, resultsFile), "utf8")) as Results;
const page = join(root, "docs/kernels.md");
const exits: number[] = [];
for (const guest of guests) {
  const target = PROCESSORS.includes(guest) ? `linux-${guest}` : "linux-x64";
  const build = ["scripts/ts.mjs", "scripts/build.ts", "--target", target];
  if (spawnSync("node", build, { cwd: root, stdio: "inherit" }).status !== 0) {
    console.error(`kernels: ${guest}: cannot build ${target}`);
    exits.push(Exit.untested);
    continue;
  }
  const began = Date.now();
  const isCard = CARDS[guest] !== undefined;
  // A card has room for one case.
  const first = await runIn(guest, only?.split(",") ?? caseNames(guest), isCard ? 1 : 2, isCard);
  if (first === undefined) {
    exits.push(Exit.untested);
    continue;
  }
  const failed = first.cases.filter((c) => c.outcome === "failed").map((c) => c.id);
  // On a busy machine a guest may stand still for longer than a case allows: what fails is what fails alone as well.
  const second = failed.length === 0 ? [] : ((await runIn(guest, failed, 1, false))?.cases ?? []);
  const verdicts = settle(first.cases, second);
  const result: KernelResult = {
    kernel: first.kernel,
    commit,
    date: new Date().toISOString().slice(0, 10),
    minutes: Math.ceil((Date.now() - began) / 60_000),
    ...summary(verdicts),
    ...(only === undefined ? {} : { only: verdicts.map((c) => c.id) }),
    ...(first.kills === undefined ? {} : { kills: first.kills }),
    again: verdicts.filter((c) => failed.includes(c.id) && c.outcome === "passed").map((c) => c.id),
  };
  exits.push(exitOf(result));
  if (exits.at(-1) === Exit.untested) {
    console.error(`kernels: ${guest}: nothing ran, so the table keeps what it has`);
    continue;
  }
  results[guest] = result;
  writeFileSync(join(root, resultsFile), JSON.stringify(results));
  spawnSync("npx", ["biome", "format", "--write", resultsFile], { cwd: root });
  writeFileSync(page, withTable(readFileSync(page, "utf8"), results));
}
process.exitCode = exits.includes(Exit.wrong) ? Exit.wrong : Math.max(...exits);
