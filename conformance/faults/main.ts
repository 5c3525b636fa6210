// The fault matrix: kills a plugin at each of its syscalls, or makes the syscall fail, and demands that nothing is lost. See --help.
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { countOption, Exit, fileOption, testProgram } from "../harness/options.ts";
import { type Command, type Fault, faults, judge, NOT_REACHED, record } from "./judge.ts";
import { Sandbox, type Settings } from "./sandbox.ts";
import { IPAMS, type IpamName, PLUGINS, type PluginName, scenario } from "./scenario.ts";

interface Options {
  bin: string;
  plugin: PluginName[];
  ipam: IpamName[];
  command: Command[];
  mode: ("kill" | "error")[];
  errors?: string[];
  spec: string;
  jobs: number;
  json?: string;
  ignore: string[];
  every: number;
  from: number;
}

interface Outcome {
  readonly plugin: string;
  readonly ipam: string;
  readonly command: Command;
  readonly mode: string;
  /** Points tested. */
  readonly points: number;
  /** Points that the call did not come to again, such as the fifth look at what the kernel is still busy with. */
  readonly notReached: readonly string[];
  readonly seconds: number;
  readonly notClean: readonly { point: string; fault: string; found: readonly string[] }[];
}

function complain(text: string): never {
  console.error(`faults: ${text}`);
  process.exit(Exit.refused);
}

function among<T extends string>(allowed: readonly T[]) {
  return (value: string): T[] => {
    const values = value.split(",");
    for (const v of values)
      if (!(allowed as readonly string[]).includes(v)) complain(`${v} is none of ${allowed.join(", ")}`);
    return values as T[];
  };
}

const list = (value: string) => value.split(",");

function parse(): Options {
  const program = testProgram("faults")
    .description(
      "Kills a CNI plugin at each syscall of ADD and of DEL, or makes that syscall fail. After it, one DEL must exit 0\n" +
        "and leave links, names, addresses, routes and state as before ADD; a new ADD and DEL must work. After an error,\n" +
        "the call says one JSON document, and a failed ADD is clean even before DEL. Needs root, iproute2 and strace.",
    )
    .option("--bin <dir>", "directory of the plugins under test", "dist/cni")
    .option("--plugin <names>", PLUGINS.join(", "), among(PLUGINS), ["host-device"])
    .option("--ipam <names>", IPAMS.join(", "), among(IPAMS), [...IPAMS])
    .option("--command <names>", "ADD, DEL", among<Command>(["ADD", "DEL"]), ["ADD", "DEL"])
    .option("--mode <names>", "kill, error", among(["kill", "error"] as const), ["kill", "error"])
    .option("--errors <names>", "errors to inject instead of each syscall's likeliest, for example EIO,EPERM", list)
    .option("--spec <version>", "cniVersion of the configuration", "1.0.0")
    .option("--jobs <n>", "points at a time", countOption(1), 2)
    .option("--every <n>", "only each n-th point", countOption(1), 1)
    .option(
      "--from <n>",
      "of these, beginning with another one than the first: 1 for the second, and so on",
      countOption(),
      0,
    )
    .option(
      "--ignore <properties>",
      "do not compare them; the Go plugins lose up and ifalias without any fault",
      (v: string) => v.split(","),
      [],
    )
    .option("--json <file>", "write the outcome there", fileOption);
  return program.parse().opts<Options>();
}

async function runMatrix(options: Options, plugin: PluginName, ipam: IpamName, command: Command): Promise<Outcome[]> {
  const world = scenario(plugin, ipam, options.spec);
  const settings: Settings = {
    bin: resolve(options.bin),
    scenario: world,
    ignore: new Set([...options.ignore, ...(world.driven ?? [])]),
  };
  const first = await Sandbox.open(settings);
  const idle: Sandbox[] = [first];
  try {
    const { points, made } = await record(first, command);
    const outcomes: Outcome[] = [];
    for (const mode of options.mode) {
      const start = Date.now();
      const wanted = faults(points, mode, options.errors).filter(
        (_, n) => n % options.every === options.from % options.every,
      );
      const bad = await runFaults(wanted, Math.min(options.jobs, world.copies), idle, settings, command, made);
      const isReached = ([, found]: [Fault, string[]]) => !found.includes(NOT_REACHED);
      const notClean = bad
        .filter(isReached)
        .map(([fault, found]) => ({ point: fault.point.seen, fault: name(fault), found }));
      const notReached = bad.filter((one) => !isReached(one)).map(([fault]) => name(fault));
      const seconds = (Date.now() - start) / 1000;
      outcomes.push({
        plugin,
        ipam,
        command,
        mode,
        points: wanted.length - notReached.length,
        notReached,
        seconds,
        notClean,
      });
      print(outcomes.at(-1)!);
    }
    return outcomes;
  } finally {
    for (const sandbox of idle) await sandbox.close();
  }
}

const name = (fault: Fault) => `${fault.what} at ${fault.point.syscall} ${fault.point.nth}`;

/** Runs all faults, some at a time, in sandboxes taken from `idle` and put back there while they are clean. */
async function runFaults(
  wanted: readonly Fault[],
  jobs: number,
  idle: Sandbox[],
  settings: Settings,
  command: Command,
  made: string,
): Promise<[Fault, string[]][]> {
  const bad: [Fault, string[]][] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    let sandbox = idle.pop();
    for (let fault = wanted[next++]; fault !== undefined; fault = wanted[next++]) {
      sandbox ??= await Sandbox.open(settings);

      const found = await judge(sandbox, command, fault, made).catch((error: Error) => [error.message]);
      found.push(...sandbox.strangeNames());
      if (found.length === 0) continue;
      bad.push([fault, found]);
      printFinding(fault, found); // at once: a run that is stopped has still said what it knows
      await sandbox.close();
      sandbox = undefined;
    }
    if (sandbox !== undefined) idle.push(sandbox);
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return bad.sort(([a], [b]) => wanted.indexOf(a) - wanted.indexOf(b));
}

function print(o: Outcome): void {
  const missed = o.notReached.length === 0 ? "" : `, ${o.notReached.length} not reached`;
  const counts = `${o.points} points, ${o.notClean.length} not clean${missed}`;
  console.log(`${o.plugin} ${o.ipam} ${o.command} ${o.mode}: ${counts} (${o.seconds.toFixed(1)} s)`);
}

function printFinding(fault: Fault, found: readonly string[]): void {
  console.log(`  ${name(fault)}: ${fault.point.seen}`);
  for (const text of found.slice(0, 4)) console.log(`      ${text}`);
}

const options = parse();
if (process.getuid?.() !== 0) complain("needs root (it makes network namespaces); run it with sudo");
if (!existsSync("/usr/bin/strace")) complain("needs strace: apt-get install strace");
for (const plugin of options.plugin)
  if (!existsSync(resolve(options.bin, plugin))) complain(`no ${plugin} in ${options.bin}`);

const outcomes: Outcome[] = [];
for (const plugin of options.plugin)
  for (const ipam of options.ipam)
    for (const command of options.command) outcomes.push(...(await runMatrix(options, plugin, ipam, command)));
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(outcomes, null, 1)}\n`);
const total = outcomes.reduce((sum, o) => sum + o.points, 0);
const bad = outcomes.reduce((sum, o) => sum + o.notClean.length, 0);
console.log(`${total} points, ${bad} not clean`);
process.exitCode = bad > 0 ? Exit.wrong : total > 0 ? Exit.passed : Exit.untested;
