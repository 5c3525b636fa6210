// Two calls at once, in every order that matters: see README.md and --help.
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command as Program } from "commander";
import { cache, root } from "../../scripts/build/paths.ts";
import { Random } from "../../src/testing/random.ts";
import { type Pair, pairs } from "./pairs.ts";
import { drawn, isKill, kills, type Lengths, oneChange, twoChanges } from "./schedule.ts";
import { compileStep, type Outcome, World } from "./world.ts";

interface Options {
  bin: string;
  pair: string[];
  one?: number;
  two: number;
  kill: number;
  seed: number;
  schedule?: string;
  fault?: string;
  jobs: number;
  json?: string;
}

interface Wrong {
  readonly schedule: string;
  readonly found: readonly string[];
}
interface Report {
  readonly pair: string;
  /** Schedules there are, with up to two changes, and with a kill. */
  readonly possible: number;
  readonly run: number;
  readonly wrong: readonly Wrong[];
  readonly seconds: number;
}

const program = new Program("interleave")
  .description(
    "Runs two calls at once, one system call at a time, under schedules with one and two changes and with kills. Each\n" +
      "must leave what one of the two serial orders leaves; after a DEL of all, nothing must be left.\n\n" +
      "Needs root, iproute2 and gcc. A schedule that fails is printed: --pair NAME --schedule TEXT repeats it.",
  )
  .option("--bin <dir>", "directory of the plugins", "dist/cni")
  .option(
    "--pair <text>",
    "only pairs whose name contains it (repeatable)",
    (v: string, all: string[]) => [...all, v],
    [],
  )
  .option("--one <n>", "schedules with one change, drawn (default: all)", Number)
  .option("--two <n>", "schedules with two changes, drawn", Number, 200)
  .option("--kill <n>", "schedules with a kill, drawn", Number, 100)
  .option("--seed <n>", "draws others", Number, 1)
  .option("--schedule <text>", "only this one")
  .option("--fault <name>", "one of step.c's, such as flock (locks do not lock): the pairs must find it")
  .option("--jobs <n>", "worlds at a time", Number, 2)
  .option("--json <file>", "write the outcome there");

function complain(text: string): never {
  console.error(`interleave: ${text}`);
  process.exit(2);
}

const options = program.parse().opts<Options>();
if (process.getuid?.() !== 0) complain("needs root: it makes namespaces");
if (!existsSync(resolve(options.bin))) complain(`no ${options.bin}: run npm run build`);
const chosen = pairs.filter((one) => options.pair.length === 0 || options.pair.some((text) => one.name.includes(text)));
if (chosen.length === 0) complain(`no pair is called so; there are:\n  ${pairs.map((one) => one.name).join("\n  ")}`);
const step = compileStep(join(root, "conformance/interleave/step.c"), join(cache, "interleave"));

const text = (outcome: Outcome): string => [...outcome.said, ...outcome.left].join("\n");

/** What is wrong with one outcome; empty when nothing is. */
function judge(outcome: Outcome, serial: readonly Outcome[], schedule: string): string[] {
  if (isKill(schedule) || serial.some((one) => text(one) === text(outcome))) return [];
  const nearest = serial[0]!;
  const unlike = (now: readonly string[], then: readonly string[], word: string) =>
    now.filter((line) => !then.includes(line)).map((line) => `${word}: ${line}`);
  return [
    ...outcome.said.map((line, n) => `actor ${n} says: ${line}`),
    ...unlike(outcome.left, nearest.left, "more than in order 0, 1"),
    ...unlike(nearest.left, outcome.left, "less than in order 0, 1"),
  ];
}

async function tryOut(world: World, schedule: string, serial: readonly Outcome[]): Promise<string[]> {
  const outcome = await world.run(schedule, options.fault);
  return [...judge(outcome, serial, schedule), ...(await world.clear())];
}

async function runPair(pair: Pair): Promise<Report> {
  const began = Date.now();
  const first = await World.open(pair, options.bin, step);
  const serial: Outcome[] = [];
  for (const order of ["0,1", "1,0"]) {
    serial.push(await first.run(order));
    const left = await first.clear();
    if (left.length > 0) throw new Error(`${pair.name}: one after the other (${order}) leaves: ${left.join("; ")}`);
  }
  const lengths: Lengths = [serial[0]!.calls[0]!, serial[1]!.calls[1]!];
  const all = { one: oneChange(lengths), two: twoChanges(lengths), kill: kills(lengths) };
  const random = new Random(options.seed);
  const schedules =
    options.schedule !== undefined
      ? [options.schedule]
      : [
          ...drawn(all.one, options.one ?? all.one.length, random),
          ...drawn(all.two, options.two, random),
          ...drawn(all.kill, options.kill, random),
        ];
  const wrong = await runAll(pair, schedules, serial, first);
  const possible = all.one.length + all.two.length + all.kill.length;
  return { pair: pair.name, possible, run: schedules.length, wrong, seconds: (Date.now() - began) / 1000 };
}

async function runAll(pair: Pair, schedules: readonly string[], serial: Outcome[], first: World): Promise<Wrong[]> {
  const wrong: Wrong[] = [];
  let next = 0;
  const worker = async (given?: World): Promise<void> => {
    let world = given;
    for (let schedule = schedules[next++]; schedule !== undefined; schedule = schedules[next++]) {
      world ??= await World.open(pair, options.bin, step);
      const found = await tryOut(world, schedule, serial).catch((error: Error) => [error.message]);
      if (found.length === 0) continue;
      wrong.push({ schedule, found });
      if (wrong.length <= 5) console.log(`  ${schedule}\n      ${found.slice(0, 8).join("\n      ")}`);
      await world.close();
      world = undefined;
    }
    await world?.close();
  };
  await Promise.all([worker(first), ...Array.from({ length: options.jobs - 1 }, () => worker())]);
  return wrong;
}

const reports: Report[] = [];
for (const pair of chosen) {
  const report = await runPair(pair);
  reports.push(report);
  const counts = `${report.run} schedules of ${report.possible}, ${report.wrong.length} wrong`;
  console.log(`${report.pair}: ${counts} (${report.seconds.toFixed(1)} s)`);
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(reports, null, 1)}\n`);
const wrong = reports.reduce((sum, one) => sum + one.wrong.length, 0);
console.log(`${reports.reduce((sum, one) => sum + one.run, 0)} schedules, ${wrong} wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
