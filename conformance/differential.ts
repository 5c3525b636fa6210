// The same random configuration and kernel state through two implementations.
//   node scripts/ts.mjs conformance/differential.ts --bin OURS --peer GO [--count N] [--seed S]
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Random } from "../src/testing/random.ts";
import { allowance, type Difference, undocumented } from "./harness/allowances.ts";
import { openNamespaces } from "./harness/namespaces.ts";
import { observe, type Step } from "./harness/observe.ts";
import { countOption, Exit, fileOption, numberOption, testProgram } from "./harness/options.ts";
import { probe } from "./harness/probe.ts";
import { SPEC_VERSIONS } from "./harness/result.ts";
import { CASE_LIMIT_MS } from "./harness/sandbox.ts";
import { type Scenario, scenario } from "./harness/scenario.ts";
import { Trial } from "./harness/trial.ts";

interface Options {
  readonly bin: string;
  readonly peer: string;
  readonly count: number;
  readonly seed: number;
  readonly only?: number;
  readonly plugins: readonly string[];
  readonly jobs: number;
  readonly limit: number;
  readonly report?: string;
}

interface Report {
  readonly n: number;
  readonly ours: readonly Step[];
  readonly theirs: readonly Step[];
}

async function runOne(s: Scenario, bin: string, limitMs: number): Promise<Step[]> {
  const ns = await openNamespaces();
  try {
    return observe(new Trial(ns, { bin, root: "", spec: "1.0.0", main: undefined, versions: {}, limitMs }), s);
  } finally {
    await ns.close();
  }
}

/** Every difference between two runs of a scenario, up to the first step after which they cannot be compared. */
function differences(s: Scenario, ours: readonly Step[], theirs: readonly Step[]): Difference[] {
  const found: Difference[] = [];
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    const [a, b] = [ours[i]!, theirs[i]!];
    const start = ours[0]!.world;
    const say = (what: string, us: string, them: string) =>
      found.push({ scenario: s, step: a.command, what, ours: us, theirs: them, a, b, start });
    if (a.ok !== b.ok) {
      say("exit status", a.ok ? "OK" : a.said, b.ok ? "OK" : b.said);
      break;
    }
    if (a.ok && a.said !== b.said) say("result", a.said, b.said);
    for (const key of new Set([...Object.keys(a.world), ...Object.keys(b.world)])) {
      if (a.world[key] !== b.world[key]) say(key, a.world[key] ?? "absent", b.world[key] ?? "absent");
    }
  }
  return found;
}

const PLUGINS = ["host-device", "macvlan", "ipvlan", "bridge", "static", "host-local"];

function parse(): Options {
  const program = testProgram("differential")
    .description(
      "Compares two directories of plugins on random configurations; exit 0 when every difference is allowed.",
    )
    .requiredOption("--bin <dir>", "plugins under test")
    .requiredOption("--peer <dir>", "plugins to compare with")
    .option("--count <n>", "configurations", countOption(1), 500)
    .option("--seed <n>", "seed of the generator", countOption(), Date.now() % 1_000_000)
    .option("--plugins <names>", "plugins to compare", (value) => value.split(","), PLUGINS)
    .option("--only <n>", "only this scenario, in full", countOption())
    .option(
      "--jobs <n>",
      "scenarios at a time; most of their time is waiting for duplicate address detection",
      countOption(1),
      10,
    )
    .option("--limit <s>", "seconds a scenario may take with one implementation", numberOption, CASE_LIMIT_MS / 1000)
    .option("--report <file>", "write the counts as JSON", fileOption);
  const options = program.parse().opts<Options>();
  const { only, count } = options;
  if (only !== undefined && only >= count) program.error(`differential: --only ${only} of --count ${count}`);
  return options;
}

/** Hands scenarios to threads, each of which runs both implementations. */
function runAll(scenarios: readonly Scenario[], options: Options, done: (report: Report) => void): Promise<unknown> {
  const queue = [...scenarios];
  const thread = () =>
    new Promise<void>((finish, reject) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { bin: resolve(options.bin), peer: resolve(options.peer), limitMs: options.limit * 1000 },
      });
      const next = () => {
        const s = queue.shift();
        if (s === undefined) worker.terminate().then(() => finish(), reject);
        else worker.postMessage(s);
      };
      worker.on("error", reject);
      worker.on("message", (report: Report) => {
        done(report);
        next();
      });
      next();
    });
  return Promise.all(Array.from({ length: options.jobs }, thread));
}

async function main(): Promise<void> {
  const options = parse();
  const documented = readFileSync(resolve(process.argv[1] ?? "", "../../docs/differences.md"), "utf8");
  for (const entry of undocumented(documented)) {
    console.error(`differential: docs/differences.md has no item "${entry}"`);
    process.exit(Exit.refused);
  }
  const offer = await probe(resolve(options.bin), resolve(options.peer));
  const both = (name: string) => offer.versions[name] !== undefined && offer.peerVersions[name] !== undefined;
  const usable = options.plugins.filter((name) => both(name) && (!name.endsWith("vlan") || offer.kinds.includes(name)));
  const missing = options.plugins.filter((name) => !usable.includes(name));
  if (missing.length > 0)
    console.log(`not compared, for want of the plugin or of the kernel's link kind: ${missing.join(", ")}`);
  if (usable.length === 0) process.exit(Exit.untested);
  const versions = SPEC_VERSIONS.filter((v) =>
    [...usable, "static", "host-local"].every(
      (name) => offer.versions[name]?.includes(v) === true && offer.peerVersions[name]?.includes(v) === true,
    ),
  );
  const random = new Random(options.seed);
  const all = Array.from({ length: options.count }, (_, n) => scenario(random, n, usable, versions));
  const chosen = options.only === undefined ? all : [all[options.only]!];
  console.log(
    `seed ${options.seed}: ${chosen.length} configurations of ${usable.join(", ")} in ${versions.join(", ")}`,
  );
  const allowed = new Map<string, number>();
  let bad = 0;
  let same = 0;
  await runAll(chosen, options, ({ n, ours, theirs }) => {
    const s = all[n]!;
    const found = differences(s, ours, theirs);
    if (options.only !== undefined) console.log(JSON.stringify({ scenario: s, ours, theirs }, null, 1));
    if (found.length === 0) same++;
    const unexplained = found.filter((d) => {
      const reason = allowance(d);
      if (reason !== undefined) allowed.set(reason, (allowed.get(reason) ?? 0) + 1);
      return reason === undefined;
    });
    if (unexplained.length === 0) return;
    bad++;
    console.log(`\n#${n} ${s.plugin} ${s.ifname} ${s.args ?? ""} ${JSON.stringify(s.conf)}`);
    for (const d of unexplained)
      console.log(`  ${d.step}: ${d.what}\n    ours   ${d.ours.slice(0, 300)}\n    theirs ${d.theirs.slice(0, 300)}`);
  });
  console.log(
    `\nseed ${options.seed}: ${chosen.length} configurations, ${same} alike, ${bad} with differences outside docs/differences.md`,
  );
  for (const [reason, count] of [...allowed].sort((a, b) => b[1] - a[1]))
    console.log(`${String(count).padStart(5)} ${reason}`);
  const counts = { seed: options.seed, configurations: chosen.length, alike: same, differing: bad };
  if (options.report !== undefined) writeFileSync(options.report, `${JSON.stringify(counts)}\n`);
  process.exitCode = bad === 0 ? Exit.passed : Exit.wrong;
}

if (isMainThread) await main();
else {
  const { bin, peer, limitMs } = workerData as { bin: string; peer: string; limitMs: number };
  parentPort!.on("message", async (s: Scenario) => {
    const ours = await runOne(s, bin, limitMs);
    const theirs = await runOne(s, peer, limitMs);
    parentPort!.postMessage({ n: s.n, ours, theirs } satisfies Report);
  });
}
