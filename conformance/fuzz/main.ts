// Coverage-guided fuzzing: `npm run fuzz -- [TARGET …] [--seconds N]`. README.md says what the targets are and how it works.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BuildError, cache, root } from "../../scripts/build/paths.ts";
import { buildFuzzer, type Fuzzer, modulesOf } from "./build.ts";

const TARGETS = ["stdin", "netlink", "state", "delegate", "device-info", "yaml"];

const help = `Usage: npm run fuzz -- [TARGET ...] [options]

Targets: ${TARGETS.join(", ")}; all of them when none is named.

  --seconds N    how long each runs (60)
  --repeatable   the same inputs on every machine: one seed, and as many inputs as took about 20 seconds on a slow one
  --jobs N       so many side by side (1)
  --keep-going   go on after a fault, and report all at the end
  --minimise     afterwards replace conformance/fuzz/corpus/TARGET by the fewest inputs that reach as much
  --input FILE   only run this input (with one TARGET), and say what is wrong
  --known TEXT   pass over faults with these words in them
  --edges        also print how much of each module was reached

Inputs that reach something new are kept in .cache/fuzz/corpus/TARGET, faults in .cache/fuzz/faults/TARGET. The exit status is 1 when there
was a fault. A fault belongs into conformance/fuzz/regressions/TARGET, where npm run unit tries it.`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    repeatable: { type: "boolean", default: false },
    jobs: { type: "string", default: "1" },
    "keep-going": { type: "boolean", default: false },
    minimise: { type: "boolean", default: false },
    input: { type: "string" },
    known: { type: "string" },
    edges: { type: "boolean", default: false },
    report: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Longest inputs; YAML and configurations are what people and tenants write. */
const LONGEST: { [target: string]: number } = { stdin: 16_384, yaml: 16_384, state: 16_384 };

/** For --repeatable: CI decides on what is committed, not on chance. */
const REPEATABLE_INPUTS: { [target: string]: number } = {
  ...{ stdin: 5_000, netlink: 700, state: 800, delegate: 1_200, "device-info": 800, yaml: 700 },
};
const SEED = 1;

/** Faults after which a target is not gone on with. */
const ENOUGH = 30;

interface Outcome {
  target: string;
  executions: number;
  seconds: number;
  edges: number;
  allEdges: number;
  faults: string[];
}

const here = (kind: string, target: string) => join(cache, "fuzz", kind, target);
const corpusOf = (target: string) => join(root, "conformance/fuzz/corpus", target);

function environment(target: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PODNIC_FUZZ_TARGET: target,
    PODNIC_FUZZ_EDGES: here("edges", target),
    ...(options.known !== undefined && { PODNIC_FUZZ_KNOWN: options.known }),
    ASAN_SYMBOLIZER_PATH: "/usr/bin/llvm-symbolizer-14",
    ASAN_OPTIONS: "detect_leaks=0:allocator_may_return_null=1",
  };
}

function argumentsFor(target: string, seconds: number): string[] {
  const faults = here("faults", target);
  for (const dir of [faults, here("corpus", target), join(cache, "fuzz/edges")]) mkdirSync(dir, { recursive: true });
  const length = options.repeatable
    ? [`-runs=${REPEATABLE_INPUTS[target]!}`, `-seed=${SEED}`]
    : [`-max_total_time=${seconds}`];
  return [
    ...length,
    ...[`-max_len=${LONGEST[target] ?? 4096}`, "-timeout=120", "-rss_limit_mb=2048"],
    ...["-print_final_stats=1", `-dict=${join(root, "conformance/fuzz/words.dict")}`, `-artifact_prefix=${faults}/`],
    ...[here("corpus", target), corpusOf(target)].filter((dir) => existsSync(dir)),
  ];
}

/** Runs libFuzzer; what it printed. */
function runFuzzer({ program }: Fuzzer, target: string, args: string[]): Promise<string> {
  return new Promise((end) => {
    const child = spawn(program, args, { env: environment(target), stdio: ["ignore", "ignore", "pipe"] });
    let text = "";
    child.stderr.on("data", (piece: Buffer) => {
      text += piece.toString("latin1");
      // A long run prints much that nobody reads.
      if (text.length > 4 << 20) text = text.slice(-(1 << 20));
    });
    child.on("close", () => end(text));
  });
}

function lastNumber(text: string, pattern: RegExp): number {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

/** Edges that everything kept reaches together. */
function measure(fuzzer: Fuzzer, target: string): [edges: number, all: number] {
  const dirs = [here("corpus", target), corpusOf(target)].filter((dir) => existsSync(dir));
  const { stderr } = spawnSync(fuzzer.program, ["-runs=0", ...dirs], {
    env: environment(target),
    maxBuffer: 64 << 20,
  });
  const found = [...stderr.toString("latin1").matchAll(/podnic: (\d+) of (\d+) edges/g)].at(-1);
  return [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)];
}

async function fuzz(fuzzer: Fuzzer, target: string): Promise<Outcome> {
  const faults = here("faults", target);
  rmSync(faults, { recursive: true, force: true });
  const begin = Date.now();
  let executions = 0;
  let found: string[] = [];
  for (let left = Number(options.seconds); left > 0; left = Number(options.seconds) - (Date.now() - begin) / 1000) {
    const text = await runFuzzer(fuzzer, target, argumentsFor(target, Math.ceil(left)));
    executions += lastNumber(text, /(?:number_of_executed_units: +|^#)(\d+)/gm);
    const before = found.length;
    found = readdirSync(faults).map((name) => join(faults, name));
    if (found.length > before) console.log(`${target}: ${explain(text)}`);
    if (executions === 0) throw new BuildError(`${target}: nothing was executed:\n${text.slice(-2000)}`);
    if (options.repeatable) break;
    if (found.length > 0 && (!options["keep-going"] || found.length >= ENOUGH)) break;
  }
  const seconds = (Date.now() - begin) / 1000;
  const [edges, allEdges] = measure(fuzzer, target);
  return { target, executions, seconds, edges, allEdges, faults: found };
}

/** What is worth reading of a report. */
function explain(text: string): string {
  const at = text.search(/podnic: FAULT|ERROR: AddressSanitizer|runtime error:|ERROR: libFuzzer/);
  return text.slice(at < 0 ? -2000 : at).slice(0, 4000);
}

function say({ target, executions, seconds, edges, allEdges, faults }: Outcome): void {
  const rate = (executions / seconds).toFixed(0);
  const reached = `${edges} of ${allEdges} edges (${((100 * edges) / allEdges).toFixed(0)} %)`;
  console.log(
    `${target}: ${executions} executions in ${seconds.toFixed(0)} s (${rate}/s), ${reached}, ${faults.length} faults`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
}

/** Edges reached by module, least known first. */
function sayEdges({ bundle }: Fuzzer, target: string): void {
  const modules = modulesOf(bundle);
  const sums = new Map<string, [some: number, all: number]>();
  for (const row of readFileSync(here("edges", target), "utf8").trim().split("\n")) {
    const [line = 0, some = 0, all = 0] = row.split("\t").map(Number);
    const path = modules.filter(([from]) => from <= line).at(-1)?.[1] ?? "";
    const [before, allBefore] = sums.get(path) ?? [0, 0];
    sums.set(path, [before + some, allBefore + all]);
  }
  const own = [...sums].filter(([path]) => !path.startsWith("node_modules/") && !path.startsWith("generated/"));
  own.sort(([, [a, allA]], [, [b, allB]]) => b / allB - a / allA);
  for (const [path, [some, all]] of own) {
    if (some > 0)
      console.log(`  ${((100 * some) / all).toFixed(0).padStart(3)} % of ${String(all).padStart(4)} ${path}`);
  }
}

function minimise({ program }: Fuzzer, target: string): void {
  const less = here("less", target);
  rmSync(less, { recursive: true, force: true });
  mkdirSync(less, { recursive: true });
  const args = ["-merge=1", less, here("corpus", target), corpusOf(target)].filter(
    (arg) => arg.startsWith("-") || existsSync(arg),
  );
  spawnSync(program, args, { env: environment(target), stdio: "ignore" });
  rmSync(corpusOf(target), { recursive: true, force: true });
  mkdirSync(corpusOf(target), { recursive: true });
  for (const name of readdirSync(less)) {
    writeFileSync(join(corpusOf(target), basename(name).slice(0, 12)), readFileSync(join(less, name)));
  }
}

async function main(): Promise<void> {
  if (options.help) return console.log(help);
  const unknown = positionals.filter((name) => !TARGETS.includes(name));
  if (unknown.length > 0) throw new BuildError(`no target ${unknown.join(", ")}; there are: ${TARGETS.join(", ")}`);
  const fuzzer = await buildFuzzer();
  const wanted = positionals.length > 0 ? positionals : TARGETS;
  if (options.input !== undefined) {
    const { status } = spawnSync(fuzzer.program, [resolve(options.input)], {
      env: environment(wanted[0]!),
      stdio: "inherit",
    });
    process.exitCode = status ?? 1;
    return;
  }
  const waiting = [...wanted];
  const outcomes: Outcome[] = [];
  const lane = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const outcome = await fuzz(fuzzer, target);
      outcomes.push(outcome);
      say(outcome);
      if (options.edges) sayEdges(fuzzer, target);
      if (options.minimise) minimise(fuzzer, target);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(options.jobs)) }, lane));
  if (options.report !== undefined) writeFileSync(options.report, JSON.stringify(outcomes, undefined, 2));
  if (outcomes.some(({ faults }) => faults.length > 0)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  console.error(`fuzz: ${error.message}`);
  process.exitCode = 2;
});
