// Two calls at once, in every order that matters: see README.md and --help.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Random } from "../../src/testing/random.ts";
import { hasCard } from "../harness/card.ts";
import { NotRunnable } from "../harness/case.ts";
import { countOption, Exit, fileOption, numberOption, testProgram } from "../harness/options.ts";
import type { Pair } from "./calls.ts";
import { hopeless, untrue } from "./judge.ts";
import { pairs, seeded } from "./pairs.ts";
import { compileTools } from "./picture.ts";
import { chosenOf, isProgram, killsPeer, peersOf, refuse } from "./refusals.ts";
import {
  drawn,
  drawnOf,
  drawnOfMany,
  isKill,
  kills,
  type Length,
  type Lengths,
  oneChange,
  type Row,
  rowsOf,
  serialOrders,
  sizeOf,
  turnsOf,
  twoChanges,
  wholeRow,
} from "./schedule.ts";
import { type Outcome, World } from "./world.ts";

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
  /** It is wrong without any schedule: one call after the other. */
  readonly serial?: true;
  /** How often the fault was put in. */
  readonly spoiled?: number;
  /** Why it was not. */
  readonly notRun?: string;
  readonly seconds: number;
}

const several = (value: string, all: string[]): string[] => [...all, value];
const program = testProgram("interleave")
  .description(
    "Runs two calls at once, one system call at a time, under schedules with one and two changes and with kills. Each\n" +
      "must leave what one of the two serial orders leaves; after a DEL of all, nothing must be left.\n\n" +
      "Needs root, iproute2 and gcc. A schedule that fails is printed: --pair NAME --schedule TEXT repeats it.\n" +
      "Exits with 1 when something is wrong, 2 when the command line is, 3 when a pair that can run here had no schedule, no pair can run, or\n" +
      "a fault was never put in.",
  )
  .option("--bin <dir>", "directory of the plugins", "dist/cni")
  .option("--pair <text>", "only pairs whose name contains it (repeatable)", several, [])
  .option("--except <text>", "no pairs whose name contains it (repeatable)", several, [])
  .option("--one <n>", "schedules with one change, drawn (default: all)", countOption())
  .option("--two <n>", "schedules with two changes, drawn", countOption(), 200)
  .option("--kill <n>", "schedules with a kill, drawn", countOption(), 100)
  .option("--all", "all schedules with up to two changes and all with a kill, in an order drawn (of two calls)", false)
  .option("--minutes <n>", "end a pair after so many", numberOption, Number.POSITIVE_INFINITY)
  .option("--seed <n>", "draws others", countOption(), 1)
  .option("--schedule <text>", "only this one")
  .option("--fault <name>", "one of step.c's, such as flock (locks do not lock): the pairs must find it")
  .option("--seeded", "put each known fault in, and say after how many schedules its pair has found it", false)
  .option("--stop", "end a pair with the first schedule that is wrong", false)
  .option("--peer <dir>", "the Go plugins, for the pairs with one", "/usr/lib/cni")
  .option("--jobs <n>", "worlds at a time", countOption(1), 2)
  .option("--json <file>", "write the outcome there", fileOption);

function complain(text: string): never {
  console.error(`interleave: ${text}`);
  process.exit(Exit.refused);
}

const options = program.parse().opts<Options>();
if (process.getuid?.() !== 0) complain("needs root: it makes namespaces");
const tools = compileTools();
const faults = spawnSync(join(tools, "step"), ["-L"], { encoding: "utf8" }).stdout.trim().split("\n");
let chosen: Pair[] = [];
try {
  const given = (name: string): boolean => program.getOptionValueSource(name) === "cli";
  chosen = chosenOf(pairs, options);
  refuse(options, chosen, faults, given);
} catch (error) {
  complain((error as Error).message);
}

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

/** The pair's report, also when it comes to no schedule. */
async function runPair(pair: Pair): Promise<Report> {
  const began = Date.now();
  const none = { pair: pair.name, possible: 0, run: 0, whole: false, wrong: [] };
  let first: World | undefined;
  try {
    first = await World.open(pair, places, tools);
    const { serial, wrong } = await inSerial(pair, first);
    if (wrong.length === 0) return await runSchedules(pair, began, serial, first);
    for (const { schedule, found } of wrong) console.log(`  ${schedule}\n      ${found.slice(0, 8).join("\n      ")}`);
    return { ...none, possible: wrong.length, run: wrong.length, wrong, serial: true, seconds: secondsFrom(began) };
  } catch (error) {
    if (error instanceof NotRunnable) return { ...none, notRun: error.message, seconds: secondsFrom(began) };
    const { message } = error as Error;
    console.log(`  ${message}`);
    const wrong = [{ schedule: "", found: [message] }];
    return { ...none, possible: 1, run: 1, wrong, serial: true, seconds: secondsFrom(began) };
  } finally {
    await first?.close();
  }
}

const secondsFrom = (began: number): number => (Date.now() - began) / 1000;

/** What the orders leave that are no schedules, one call after the other: all else is compared with it. */
async function inSerial(pair: Pair, world: World): Promise<{ serial: Outcome[]; wrong: Wrong[] }> {
  const serial: Outcome[] = [];
  for (const order of serialOrders(pair.actors.length)) {
    let found: string[];
    try {
      const outcome = await world.run(order);
      serial.push(outcome);
      found = [
        ...untouched(pair, outcome).map((line) => `nobody cleans up: ${line}`),
        ...untrue(pair, outcome, []),
        ...(await world.clear()).map((line) => `one after the other: ${line}`),
      ];
    } catch (error) {
      found = [(error as Error).message];
    }
    // What comes after it would be wrong for its sake.
    if (found.length > 0) return { serial, wrong: [{ schedule: order, found }] };
  }
  const found = hopeless(pair.actors, serial);
  return { serial, wrong: found.length === 0 ? [] : [{ schedule: serialOrders(pair.actors.length)[0]!, found }] };
}

async function runSchedules(pair: Pair, began: number, serial: Outcome[], first: World): Promise<Report> {
  const orders = serialOrders(pair.actors.length);
  const lengths = pair.actors.map((_, actor) => ({
    first: serial[orders.findIndex((order) => order.startsWith(String(actor)))]!.calls[actor]!,
    most: Math.max(...serial.map(({ calls }) => calls[actor]!)),
  }));
  if (options.schedule !== undefined) return report(pair, began, 1, [just(options.schedule)], serial, first);
  if (options.all && pair.actors.length === 2) {
    const shapes = all(lengths as [Length, Length]);
    const order = drawn(rowsOf(shapes), Number.POSITIVE_INFINITY, new Random(options.seed));
    const rows = order.filter(({ shape, stop }) => !killsPeer(pair, turnsOf(shape.text(stop, 1))));
    return report(pair, began, sizeOf(shapes), rows, serial, first);
  }
  const { possible, drawn: some } =
    pair.actors.length === 2 ? ofTwo(lengths as [Length, Length]) : ofMany(lengths.map(({ most }) => most));
  const rows = some.filter((one) => !killsPeer(pair, turnsOf(one))).map(just);
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
  const { wrong, tried, ended, spoiled } = await runAll(pair, rows, serial, first, began + options.minutes * 60_000);
  const whole = options.all && options.schedule === undefined && pair.actors.length === 2 && ended;
  const faulty = options.fault === undefined ? {} : { spoiled };
  const counts = { possible: whole ? tried : possible, run: tried, whole, wrong, ...faulty };
  return { pair: pair.name, ...counts, seconds: secondsFrom(began) };
}

/** What is left of the dead pods: a pair whose clean-up finds nothing to do shows nothing. */
function untouched({ dead, given }: Pair, { left }: Outcome): string[] {
  const gone = given.flatMap((call) => ("config" in call && dead?.includes(call.pod!) ? [call.container!] : []));
  return left.filter((line) => gone.some((container) => line.includes(`${container}\\r`)));
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
  return { possible, drawn: drawnOfMany(lengths, options.two, options.kill, random) };
}

/** @param until milliseconds, when it is too late for another schedule */
async function runAll(
  pair: Pair,
  rows: readonly Row[],
  serial: Outcome[],
  first: World,
  until: number,
): Promise<{ wrong: Wrong[]; tried: number; ended: boolean; spoiled: number }> {
  const wrong: Wrong[] = [];
  let spoiled = 0;
  let next = 0;
  let tried = 0;
  let ended = true;
  const worker = async (given?: World): Promise<void> => {
    let world = given;
    const run = async (schedule: string): Promise<string | undefined> => {
      if (Date.now() > until || (options.stop && wrong.length > 0)) return undefined;
      world ??= await World.open(pair, places, tools);
      const { found, turns, spoiled: times } = await tryOut(world, pair, schedule, serial);
      tried++;
      spoiled += times;
      if (options.schedule !== undefined) tellShort(schedule, turns);
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
  return { wrong, tried, ended, spoiled };
}

async function tryOut(
  world: World,
  pair: Pair,
  schedule: string,
  serial: readonly Outcome[],
): Promise<{ found: string[]; turns: string; spoiled: number }> {
  let turns = "";
  let spoiled = 0;
  try {
    const outcome = await world.run(schedule, options.fault);
    ({ turns, spoiled } = outcome);
    return { found: [...judge(pair, outcome, serial, schedule), ...(await world.clear())], turns, spoiled };
  } catch (error) {
    return { found: [(error as Error).message], turns, spoiled };
  }
}

/** Whoever repeats a schedule wants to know when it is another one. */
function tellShort(schedule: string, turns: string): void {
  for (const [n, { actor, calls }] of turnsOf(schedule).entries())
    if (calls !== undefined && turns[n] !== undefined && turns[n] !== "c")
      console.log(
        `  turn ${n} of ${schedule}: call ${actor} ${turns[n] === "e" ? "ended" : "slept"} before it had made ${calls} system calls`,
      );
}

/** What this machine lacks for the pair. */
function missing(pair: Pair): string | undefined {
  const lacks = peersOf(pair, options.peer).find((path) => !isProgram(path));
  if (lacks !== undefined) return `no ${lacks}`;
  if (pair.card && !hasCard()) return "no card to lend outside conformance/vm";
  if (pair.needs === undefined) return undefined;
  const made = spawnSync("unshare", ["-n", "sh", "-ec", pair.needs], { stdio: "ignore" }).status === 0;
  return made ? undefined : "this kernel does not have what it needs; conformance/vm does";
}

/** @return what the program exits with */
async function findSeeded(): Promise<number> {
  let exit: number = Exit.passed;
  options.stop = true;
  for (const { fault, pair: name } of seeded) {
    options.fault = fault;
    const { run, possible, wrong, serial, notRun } = await runPair(pairs.find((pair) => pair.name === name)!);
    const where = serial ? "NOT FOUND: wrong already without it" : `found at ${wrong[0]?.schedule}`;
    const none = notRun ?? (run === 0 ? "no schedule was run" : "NOT FOUND");
    console.log(`${fault}: ${name}: ${wrong.length === 0 ? none : where}, ${run} schedules of ${possible}`);
    if (run === 0) exit = exit === Exit.wrong ? exit : Exit.untested;
    else if (wrong.length === 0 || serial) exit = Exit.wrong;
  }
  return exit;
}

/** What its line says besides its counts; nothing has been shown then. */
function unshown({ run, wrong, spoiled, notRun }: Report): string | undefined {
  if (notRun !== undefined || wrong.length > 0) return undefined;
  if (run === 0) return "no schedule was run";
  return spoiled === 0
    ? `the fault ${options.fault} was never put in: no call of the pair makes such a system call`
    : undefined;
}

async function main(): Promise<number> {
  if (options.seeded) return findSeeded();
  const reports: Report[] = [];
  for (const pair of chosen) {
    const lacking = missing(pair);
    const none = { pair: pair.name, possible: 0, run: 0, whole: false, wrong: [], seconds: 0 };
    const report: Report = lacking === undefined ? await runPair(pair) : { ...none, notRun: lacking };
    reports.push(report);
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(reports, null, 1)}\n`);
    const counts = `${report.run} schedules of ${report.possible}${report.whole ? ", all there are" : ""}, ${report.wrong.length} wrong`;
    const verdict = report.serial ? "wrong already when one call comes after the other" : counts;
    console.log(
      `${report.pair}: ${report.notRun ? `not run: ${report.notRun}` : `${verdict} (${report.seconds.toFixed(1)} s)`}`,
    );
    const nothing = unshown(report);
    if (nothing !== undefined) console.log(`  ${nothing}`);
  }
  const wrong = reports.reduce((sum, one) => sum + one.wrong.length, 0);
  console.log(`${reports.reduce((sum, one) => sum + one.run, 0)} schedules, ${wrong} wrong`);
  if (wrong > 0) return Exit.wrong;
  const ran = reports.filter(({ notRun }) => notRun === undefined);
  if (ran.length > 0 && ran.every((report) => unshown(report) === undefined)) return Exit.passed;
  console.log("That shows nothing.");
  return Exit.untested;
}

process.exitCode = await main();
