// Two calls at once, in every order that matters: see README.md and --help.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command as Program } from "commander";
import { cache, root } from "../../scripts/build/paths.ts";
import { Random } from "../../src/testing/random.ts";
import { hasCard } from "../harness/card.ts";
import { numberOption } from "../harness/number-option.ts";
import type { Pair } from "./calls.ts";
import { untrue } from "./judge.ts";
import { pairs, seeded } from "./pairs.ts";
import {
  drawn,
  drawnOf,
  isKill,
  kills,
  type Lengths,
  manyActors,
  oneChange,
  type Row,
  rowsOf,
  serialOrders,
  sizeOf,
  twoChanges,
  wholeRow,
} from "./schedule.ts";
import { compileTools, type Outcome, World } from "./world.ts";

interface Options {
  bin: string;
  pair: string[];
  except: string[];
  one?: number;
  two: number;
  kill: number;
  all: boolean;
  minutes: number;
  seed: number;
  schedule?: string;
  fault?: string;
  peer: string;
  stop: boolean;
  seeded: boolean;
  jobs: number;
  json?: string;
}

interface Wrong {
  readonly schedule: string;
  readonly found: readonly string[];
}
interface Report {
  readonly pair: string;
  /** Schedules there are, with up to two changes, and with a kill: at most so many, unless all were run. */
  readonly possible: number;
  readonly run: number;
  /** All there are were run. */
  readonly whole: boolean;
  readonly wrong: readonly Wrong[];
  /** Why it was not. */
  readonly notRun?: string;
  readonly seconds: number;
}

const several = (value: string, all: string[]): string[] => [...all, value];
const program = new Program("interleave")
  .description(
    "Runs two calls at once, one system call at a time, under schedules with one and two changes and with kills. Each\n" +
      "must leave what one of the two serial orders leaves; after a DEL of all, nothing must be left.\n\n" +
      "Needs root, iproute2 and gcc. A schedule that fails is printed: --pair NAME --schedule TEXT repeats it.",
  )
  .option("--bin <dir>", "directory of the plugins", "dist/cni")
  .option("--pair <text>", "only pairs whose name contains it (repeatable)", several, [])
  .option("--except <text>", "no pairs whose name contains it (repeatable)", several, [])
  .option("--one <n>", "schedules with one change, drawn (default: all)", numberOption)
  .option("--two <n>", "schedules with two changes, drawn", numberOption, 200)
  .option("--kill <n>", "schedules with a kill, drawn", numberOption, 100)
  .option("--all", "all schedules with up to two changes and all with a kill, in an order drawn (of two calls)", false)
  .option("--minutes <n>", "end a pair after so many", numberOption, Number.POSITIVE_INFINITY)
  .option("--seed <n>", "draws others", numberOption, 1)
  .option("--schedule <text>", "only this one")
  .option("--fault <name>", "one of step.c's, such as flock (locks do not lock): the pairs must find it")
  .option("--seeded", "put each known fault in, and say after how many schedules its pair has found it", false)
  .option("--stop", "end a pair with the first schedule that is wrong", false)
  .option("--peer <dir>", "the Go plugins, for the pairs with one", "/usr/lib/cni")
  .option("--jobs <n>", "worlds at a time", numberOption, 2)
  .option("--json <file>", "write the outcome there");

function complain(text: string): never {
  console.error(`interleave: ${text}`);
  process.exit(2);
}

const options = program.parse().opts<Options>();
if (process.getuid?.() !== 0) complain("needs root: it makes namespaces");
if (!existsSync(resolve(options.bin))) complain(`no ${options.bin}: run npm run build`);
const isNamed = (one: Pair, texts: readonly string[]): boolean => texts.some((text) => one.name.includes(text));
const chosen = pairs.filter(
  (one) => (options.pair.length === 0 || isNamed(one, options.pair)) && !isNamed(one, options.except),
);
if (chosen.length === 0) complain(`no pair is called so; there are:\n  ${pairs.map((one) => one.name).join("\n  ")}`);
const tools = compileTools(join(root, "conformance/interleave"), join(cache, "interleave"));

const places = { bin: options.bin, peer: options.peer };
const text = (outcome: Outcome): string => [...outcome.said, ...outcome.left].join("\n");

/** What is wrong with one outcome; empty when nothing is. */
function judge(pair: Pair, outcome: Outcome, serial: readonly Outcome[], schedule: string): string[] {
  if (isKill(schedule)) return untrue(pair, outcome, serial);
  if (serial.some((one) => text(one) === text(outcome))) return untrue(pair, outcome, []);
  const nearest = serial[0]!;
  const unlike = (now: readonly string[], then: readonly string[], word: string) =>
    now.filter((line) => !then.includes(line)).map((line) => `${word}: ${line}`);
  return [
    ...outcome.said.map((line, n) => `actor ${n} says: ${line}`),
    ...outcome.logged.flatMap((line, n) => (line === "" ? [] : [`actor ${n} logs: ${line}`])),
    ...unlike(outcome.left, nearest.left, "more than in order 0, 1"),
    ...unlike(nearest.left, outcome.left, "less than in order 0, 1"),
  ];
}

async function runPair(pair: Pair): Promise<Report> {
  const began = Date.now();
  const first = await World.open(pair, places, tools);
  const serial: Outcome[] = [];
  const lengths: number[] = [];
  for (const order of serialOrders(pair.actors.length)) {
    const outcome = await first.run(order);
    serial.push(outcome);
    const stays = untouched(pair, outcome);
    if (stays.length > 0) throw new Error(`${pair.name}: nobody cleans up: ${stays.join("; ")}`);
    const leader = Number(order[0]);
    lengths[leader] ??= outcome.calls[leader]!;
    const left = await first.clear();
    if (left.length > 0) throw new Error(`${pair.name}: one after the other (${order}) leaves: ${left.join("; ")}`);
  }
  if (options.schedule !== undefined) return report(pair, began, 1, [just(options.schedule)], serial, first);
  if (options.all && pair.actors.length === 2) {
    const shapes = all(lengths as [number, number]);
    const order = drawn(rowsOf(shapes), Number.POSITIVE_INFINITY, new Random(options.seed));
    const rows = order.filter(({ shape, stop }) => !killsPeer(pair, shape.text(stop, 1)));
    return report(pair, began, sizeOf(shapes), rows, serial, first);
  }
  const { possible, drawn: some } = pair.actors.length === 2 ? ofTwo(lengths as [number, number]) : ofMany(lengths);
  const rows = some.filter((one) => !killsPeer(pair, one)).map(just);
  return report(pair, began, possible, rows, serial, first);
}

/** A single schedule. */
const just = (schedule: string): Row => ({ shape: { first: 1, second: 1, text: () => schedule }, stop: 1 });

async function report(
  pair: Pair,
  began: number,
  possible: number,
  rows: readonly Row[],
  serial: Outcome[],
  first: World,
): Promise<Report> {
  const { wrong, tried, ended } = await runAll(pair, rows, serial, first, began + options.minutes * 60_000);
  const whole = options.all && options.schedule === undefined && pair.actors.length === 2 && ended;
  const seconds = (Date.now() - began) / 1000;
  return { pair: pair.name, possible: whole ? tried : possible, run: tried, whole, wrong, seconds };
}

/** What is left of the dead pods: a pair whose clean-up finds nothing to do shows nothing. */
function untouched({ dead, given }: Pair, { left }: Outcome): string[] {
  const gone = given.flatMap((call) => ("config" in call && dead?.includes(call.pod!) ? [call.container!] : []));
  return left.filter((line) => gone.some((container) => line.includes(`${container}\\r`)));
}

/** What the Go plugins leave when they are killed, such as a lease without an owner, is not ours to judge. With `installs` it may be one of them. */
function killsPeer(pair: Pair, schedule: string): boolean {
  const killed = /(\d):\d+k/.exec(schedule)?.[1];
  const actor = killed === undefined ? undefined : pair.actors[Number(killed)];
  return actor !== undefined && "config" in actor && (actor.peer ?? pair.installs) === true;
}

interface Draw {
  readonly possible: number;
  readonly drawn: string[];
}

const all = (lengths: Lengths) => [...oneChange(lengths), ...twoChanges(lengths), ...kills(lengths)];

function ofTwo(lengths: Lengths): Draw {
  const random = new Random(options.seed);
  const some = [
    ...drawnOf(oneChange(lengths), options.one ?? Number.POSITIVE_INFINITY, random),
    ...drawnOf(twoChanges(lengths), options.two, random),
    ...drawnOf(kills(lengths), options.kill, random),
  ];
  // --minutes may end them early.
  return { possible: sizeOf(all(lengths)), drawn: drawn(some, some.length, random) };
}

/** Far too many to list: two that stop, in each order, and as many that are killed instead. */
function ofMany(lengths: readonly number[]): Draw {
  const random = new Random(options.seed);
  const product = (n: number) => lengths.reduce((sum, length, at) => (at === n ? sum : sum * length), 1);
  const possible = lengths.reduce((sum, _, n) => sum + product(n) * 6, 0);
  const some = (count: number, kill: boolean) => Array.from({ length: count }, () => manyActors(lengths, kill, random));
  return { possible, drawn: [...some(options.two, false), ...some(options.kill, true)] };
}

/** @param until milliseconds, when it is too late for another schedule */
async function runAll(
  pair: Pair,
  rows: readonly Row[],
  serial: Outcome[],
  first: World,
  until: number,
): Promise<{ wrong: Wrong[]; tried: number; ended: boolean }> {
  const wrong: Wrong[] = [];
  let next = 0;
  let tried = 0;
  let ended = true;
  const worker = async (given?: World): Promise<void> => {
    let world = given;
    const run = async (schedule: string): Promise<string | undefined> => {
      if (Date.now() > until || (options.stop && wrong.length > 0)) return undefined;
      world ??= await World.open(pair, places, tools);
      const { found, turns } = await tryOut(world, pair, schedule, serial);
      tried++;
      if (found.length === 0) return turns;
      wrong.push({ schedule, found });
      if (wrong.length <= 5) console.log(`  ${schedule}\n      ${found.slice(0, 8).join("\n      ")}`);
      await world.close();
      world = undefined;
      return turns;
    };
    for (let row = rows[next++]; row !== undefined; row = rows[next++]) if (!(await wholeRow(row, run))) ended = false;
    await world?.close();
  };
  await Promise.all([worker(first), ...Array.from({ length: pair.card ? 0 : options.jobs - 1 }, () => worker())]);
  return { wrong, tried, ended };
}

async function tryOut(
  world: World,
  pair: Pair,
  schedule: string,
  serial: readonly Outcome[],
): Promise<{ found: string[]; turns: string }> {
  let turns = "";
  try {
    const outcome = await world.run(schedule, options.fault);
    turns = outcome.turns;
    return { found: [...judge(pair, outcome, serial, schedule), ...(await world.clear())], turns };
  } catch (error) {
    return { found: [(error as Error).message], turns };
  }
}

/** What this machine lacks for the pair. */
function missing(pair: Pair): string | undefined {
  const peer = pair.installs || pair.actors.some((actor) => "config" in actor && actor.peer);
  if (peer && !existsSync(resolve(options.peer))) return `no ${options.peer}`;
  if (pair.card && !hasCard()) return "no card to lend outside conformance/vm";
  if (pair.needs === undefined) return undefined;
  const made = spawnSync("unshare", ["-n", "sh", "-ec", pair.needs], { stdio: "ignore" }).status === 0;
  return made ? undefined : "this kernel does not have what it needs; conformance/vm does";
}

/** @return whether each fault was found */
async function findSeeded(): Promise<boolean> {
  let all = true;
  options.stop = true;
  for (const { fault, pair: name } of seeded) {
    options.fault = fault;
    const { run, possible, wrong } = await runPair(pairs.find((pair) => pair.name === name)!);
    const what = wrong[0] === undefined ? "NOT FOUND" : `found at ${wrong[0].schedule}`;
    console.log(`${fault}: ${name}: ${what}, ${run} schedules of ${possible}`);
    all &&= wrong.length > 0;
  }
  return all;
}

if (options.seeded) process.exit((await findSeeded()) ? 0 : 1);

const reports: Report[] = [];
for (const pair of chosen) {
  const lacking = missing(pair);
  if (lacking !== undefined) {
    console.log(`${pair.name}: not run: ${lacking}`);
    reports.push({ pair: pair.name, possible: 0, run: 0, whole: false, wrong: [], notRun: lacking, seconds: 0 });
    continue;
  }
  const report = await runPair(pair);
  reports.push(report);
  const counts = `${report.run} schedules of ${report.possible}${report.whole ? ", all there are" : ""}, ${report.wrong.length} wrong`;
  console.log(`${report.pair}: ${counts} (${report.seconds.toFixed(1)} s)`);
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(reports, null, 1)}\n`);
const wrong = reports.reduce((sum, one) => sum + one.wrong.length, 0);
console.log(`${reports.reduce((sum, one) => sum + one.run, 0)} schedules, ${wrong} wrong`);
process.exitCode = wrong === 0 ? 0 : 1;
