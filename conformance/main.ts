// Black-box conformance of any directory of CNI plugins. See --help.
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { isMainThread, workerData } from "node:worker_threads";
import { InvalidArgumentError } from "commander";
import { tables } from "./cases/index.ts";
import { coverage } from "./checklist.ts";
import { type BoundCase, bind, type Verdict } from "./harness/case.ts";
import { type Config, mainNames } from "./harness/mains.ts";
import { OLD_SHELL, onOldKernel } from "./harness/old-kernel.ts";
import { countOption, Exit, fileOption, numberOption, testProgram } from "./harness/options.ts";
import { runAll } from "./harness/pool.ts";
import { probe, unmet } from "./harness/probe.ts";
import {
  changes,
  compareKnown,
  type Known,
  printFailures,
  printTotals,
  readKnown,
  writeKnown,
  writeReport,
} from "./harness/report.ts";
import { SPEC_VERSIONS } from "./harness/result.ts";
import { sample } from "./harness/sample.ts";
import { CASE_LIMIT_MS, type Settings } from "./harness/sandbox.ts";
import { serve } from "./harness/worker.ts";

interface Options {
  bin: string;
  peer?: string;
  plugins?: string[];
  main?: string[];
  keys?: Config;
  spec: string;
  case?: string[];
  sample?: number;
  seed: string;
  jobs: number;
  limit: number;
  report: string[];
  known?: Known;
  learn?: string;
  list?: boolean;
  verbose?: boolean;
  oldKernel?: boolean;
}

const list = (value: string) => value.split(",").filter((part) => part !== "");

/** What `read` makes of the text that follows an option. */
const parsed =
  <T>(read: (text: string) => T) =>
  (text: string): T => {
    try {
      return read(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };

function parse(): Options {
  const program = testProgram("conformance")
    .description(
      "Runs the CNI conformance cases against a directory of plugins, whoever wrote them, each case in namespaces of its own.\n" +
        "Needs root, Node 20, util-linux and iproute2. What cannot run here is not-run, with its reason, and never passed.",
    )
    .requiredOption("--bin <dir>", "directory of the plugins under test")
    .option("--plugins <names>", `run only cases of these plugins; interface plugins: ${mainNames.join(", ")}`, list)
    .option(
      "--main <names>",
      "interface plugins the cases of the contract run with (default: macvlan, else host-device)",
      list,
    )
    .option(
      "--keys <json>",
      "configuration of a --main that the suite does not know; the host has the link up0",
      parsed<Config>(JSON.parse),
    )
    .option("--spec <version>", "cniVersion of the baseline configuration", "1.0.0")
    .option("--case <ids>", "only cases whose id begins so (comma-separated)", list)
    .option("--sample <n>", "besides those of --case, n of the other cases, drawn by lot", countOption())
    .option("--seed <text>", "of the lot: the same seed draws the same cases", "1")
    .option("--peer <dir>", "another directory of plugins, for the cases of mixed use")
    .option("--old-kernel", "let the kernel behave like Linux 4.18 to the plugins (x86-64; needs gcc)")
    .option("--jobs <n>", "cases at a time", countOption(1), 4)
    .option("--limit <s>", "seconds a case may take", numberOption, CASE_LIMIT_MS / 1000)
    .option(
      "--report <file>",
      "write JUnit (.xml) or JSON (repeatable)",
      (file, all: string[]) => [...all, fileOption(file)],
      [],
    )
    .option(
      "--known <file>",
      "list of known deviations: fail when one disappears or a new one appears",
      parsed(readKnown),
    )
    .option("--learn <file>", "write the deviations of this run as such a list", fileOption)
    .option("--list", "print the cases and stop")
    .option("--verbose", "print every verdict")
    .addHelpText(
      "after",
      `
Tags: S the specification asks for it, G the Go plugins do it and runtimes rely on it, H hardening where the specification is
silent. A plugin that is new should have no failures of S, then of G; what to do about H is up to its author.

Exit status: 0 every case that ran passed (or is as listed in --known), 1 some did not, 2 wrong usage, or no gcc for --old-kernel, 3 none could run.

Examples:
  npm run conformance -- --bin /opt/cni/bin                                everything these plugins can be asked
  npm run conformance -- --bin /opt/cni/bin --plugins host-device,static   only cases of these
  npm run conformance -- --bin /opt/cni/bin --main mine --keys '{"dev":"up0"}'  a plugin of yours called mine
  npm run conformance -- --bin /opt/cni/bin --case DEL-07 --verbose        one case
  npm run conformance -- --bin /opt/cni/bin --spec 1.1.0 --report r.xml    another version, and a report for CI
  npm run conformance -- --bin /opt/cni/bin --learn known.json             what it does not do yet, written down ...
  npm run conformance -- --bin /opt/cni/bin --known known.json             ... and held against: only changes fail
  npm run conformance -- --bin /opt/cni/bin --list                         what the cases are and which rows of the checklist they cover
`,
    );
  return program.parse().opts<Options>();
}

function complain(text: string): never {
  console.error(`conformance: ${text}`);
  process.exit(Exit.refused);
}

function oldKernel(bin: string): string {
  try {
    return onOldKernel(bin);
  } catch (error) {
    return complain(`--old-kernel: ${(error as Error).message}`);
  }
}

/** The cases that --case names, and as many of the others as --sample says. */
function chosen(cases: readonly BoundCase[], { case: prefixes, sample: size, seed }: Options): BoundCase[] {
  const named = ({ id }: BoundCase) => prefixes?.some((prefix) => id.startsWith(prefix)) ?? size === undefined;
  const drawn = sample(
    cases.filter((c) => !named(c)),
    size ?? 0,
    seed,
  );
  return cases.filter((c) => named(c) || drawn.includes(c));
}

/** Whether a case belongs to the plugins asked for. */
function wanted(c: BoundCase, options: Options): boolean {
  if (options.plugins === undefined) return true;
  const needed = (c.needs ?? []).filter((n) => n.startsWith("plugin:")).map((n) => n.slice("plugin:".length));
  return c.main !== undefined || needed.length === 0 || needed.some((name) => options.plugins!.includes(name));
}

async function main(): Promise<void> {
  const options = parse();
  // Of any main: a run may have none.
  const ids = bind(tables, [...new Set([...mainNames, ...(options.main ?? [])])]).map((c) => c.id);
  const strangers = (options.case ?? []).filter((prefix) => !ids.some((id) => id.startsWith(prefix)));
  if (strangers.length > 0) complain(`no case begins with ${strangers.join(", ")}`);
  if (process.getuid?.() !== 0) complain("needs root (it makes network namespaces); run it with sudo");
  if (!existsSync(options.bin) || !statSync(options.bin).isDirectory())
    complain(`--bin ${options.bin} is no directory`);
  if (!(SPEC_VERSIONS as readonly string[]).includes(options.spec))
    complain(`--spec is one of ${SPEC_VERSIONS.join(", ")}`);
  // Most cases' networks have no addresses, and results of these versions have nothing else. What holds for them the cases VER say.
  if (options.spec === "0.1.0" || options.spec === "0.2.0")
    complain(`--spec ${options.spec} has results without interfaces: run --case VER, which covers it`);
  if (resolve(options.bin).startsWith("/run/"))
    complain("--bin below /run cannot be seen from the cases' namespaces; copy it elsewhere");
  const old = options.oldKernel === true;
  const bin = old ? oldKernel(resolve(options.bin)) : resolve(options.bin);
  const peer = options.peer === undefined ? undefined : resolve(options.peer);
  const offer = await probe(bin, peer, old ? join(bin, OLD_SHELL) : undefined);
  const present = mainNames.filter((name) => offer.versions[name] !== undefined);
  const preferred = ["macvlan", "host-device", "ipvlan"].find((name) => present.includes(name));
  const mains =
    options.main ?? options.plugins?.filter((name) => mainNames.includes(name)) ?? (preferred ? [preferred] : []);
  const cases = chosen(
    bind(tables, mains).filter((c) => wanted(c, options)),
    options,
  );
  if (cases.length === 0) complain("no case matches");
  if (options.list) {
    for (const c of cases) console.log(`${c.id.padEnd(24)} [${c.tag}] ${c.requirement}: ${c.expected}`);
    printCoverage(cases);
    return;
  }
  const skipped = new Map<string, Verdict>();
  for (const c of cases) {
    const isTraced = old && c.needs?.includes("program:strace") === true;
    const traced = isTraced ? "strace cannot trace a plugin that --old-kernel already traces" : undefined;
    const reason = unmet(c.needs ?? [], c.main, offer, options.spec) ?? traced;
    if (reason !== undefined) skipped.set(c.id, { ...pick(c), outcome: "not-run", got: reason, ms: 0 });
  }
  const root = resolve(process.argv[1] ?? "", "../..");
  const settings: Settings = {
    root,
    bin,
    spec: options.spec,
    main: undefined,
    mains,
    versions: offer.versions,
    limitMs: options.limit * 1000,
    ...(options.keys && { keys: options.keys }),
    ...(peer ? { peer } : {}),
  };
  const runnable = cases.filter((c) => !skipped.has(c.id));
  console.log(
    `${cases.length} cases, ${runnable.length} can run here (kernel ${offer.kernel}${old ? ", like 4.18" : ""}), MAIN ${mains.join(", ") || "none"}`,
  );
  const start = Date.now();
  const done = await runAll(runnable, settings, options.jobs, new URL(import.meta.url), (v) => {
    if (options.verbose)
      console.log(`${v.outcome.padEnd(7)} ${v.id} ${v.ms} ms${v.outcome === "passed" ? "" : `: ${v.got}`}`);
  });
  const { known } = options;
  // Some deviations are races of the plugins under test: a change is one that shows twice, the second time with the machine to itself.
  const changed = known === undefined ? [] : changes(done, known).map(([id]) => id);
  const again = runnable.filter((c) => changed.includes(c.id));
  const second = again.length === 0 ? [] : await runAll(again, settings, 1, new URL(import.meta.url), () => {});
  const settled = known === undefined ? [] : second.filter((v) => changes([v], known).length === 0);
  for (const v of settled) console.log(`differed from the list once in two runs: ${v.id}`);
  const seconds = (Date.now() - start) / 1000;
  const byId = new Map([...done, ...settled].map((v) => [v.id, v]));
  const verdicts = cases.map((c) => byId.get(c.id) ?? skipped.get(c.id)!);
  for (const file of options.report) writeReport(file, verdicts, seconds);
  if (options.learn !== undefined) writeKnown(options.learn, bin, verdicts);
  printFailures(verdicts, known);
  printTotals(verdicts, seconds);
  const good = known === undefined ? verdicts.every((v) => v.outcome !== "failed") : compareKnown(verdicts, known);
  const ran = verdicts.some((v) => v.outcome !== "not-run");
  process.exitCode = !good ? Exit.wrong : ran ? Exit.passed : Exit.untested;
}

function printCoverage(cases: readonly BoundCase[]): void {
  const { rows, own, elsewhere, missing } = coverage(cases.map((c) => c.id));
  console.log(`\n${cases.length} cases; checklist: ${own} of ${rows} rows have cases of their own here`);
  for (const [row, where] of Object.entries(elsewhere)) console.log(`${row}: ${where}`);
  if (missing.length > 0) console.log(`not among these cases: ${missing.join(" ")}`);
}

function pick(c: BoundCase): Pick<Verdict, "id" | "tag" | "requirement" | "expected"> {
  return { id: c.id, tag: c.tag, requirement: c.requirement, expected: c.expected };
}

if (isMainThread) await main();
else serve(new Map(bind(tables, (workerData as Settings).mains ?? []).map((c) => [c.id, c])));
