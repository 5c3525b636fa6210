// Random pods for minutes or hours: see README.md and --help.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cache, root } from "../../scripts/build/paths.ts";
import { Random } from "../../src/testing/random.ts";
import { countOption, Exit, fileOption, numberOption, testProgram } from "../harness/options.ts";
import { compileTools, DELETE_BRIDGE, unlike } from "../interleave/picture.ts";
import { type Call, type Cost, type Hand, Node } from "./node.ts";
import { bridge, device, leasesOf, macvlan, networks } from "./pods.ts";
import { Runtime } from "./runtime.ts";
import { strays, unlikeModel } from "./strays.ts";

interface Options {
  bin: string;
  minutes: number;
  seed: number;
  jobs: number;
  least: number;
  most: number;
  forget: number;
  count: number;
  json?: string;
}

const program = testProgram("soak")
  .description(
    "Starts and ends random pods against a model of what must be there: kills of calls, deaths of namespaces, pods that the runtime\n" +
      "forgets, GC. At the end all is deleted and nothing may be left, and a call may cost no more than at the beginning.\n\n" +
      "Needs root, iproute2, gcc and valgrind.",
  )
  .option("--bin <dir>", "directory of the plugins", "dist/cni")
  .option("--minutes <n>", "how long pods come and go", numberOption, 10)
  .option("--seed <n>", "draws others", countOption(), 1)
  .option("--jobs <n>", "calls at a time", countOption(1), 4)
  .option("--least <n>", "pods alive, at least", countOption(), 100)
  .option("--most <n>", "pods alive, at most", countOption(1), 500)
  .option("--forget <n>", "delete so many pods without DEL at the end: must be found", countOption(), 0)
  .option("--count <n>", "calls whose instructions are counted at the beginning; 0 measures nothing", countOption(), 9)
  .option("--json <file>", "write the outcome there", fileOption);
const options = program.parse().opts<Options>();

function complain(text: string): never {
  console.error(`soak: ${text}`);
  process.exit(Exit.refused);
}

if (process.getuid?.() !== 0) complain("needs root: it makes namespaces");
for (const plugin of new Set([...networks.map(({ type }) => type), "host-local", "static"]))
  if (!existsSync(join(resolve(options.bin), plugin)))
    complain(`no ${plugin} in ${options.bin}: --bin is the plugins' directory; run npm run build`);
if (options.least > options.most) complain(`--least ${options.least} is more than --most ${options.most}`);
if (options.forget > options.least)
  complain(`--forget ${options.forget} is more than --least ${options.least}: so few pods are left then`);

function compileLaunch(): string {
  const dir = join(cache, "soak");
  mkdirSync(dir, { recursive: true });
  const to = join(dir, "launch");
  const run = spawnSync("gcc", ["-O1", "-static", "-o", to, join(root, "scripts/bench/launch.c")], {
    encoding: "utf8",
  });
  if (run.status !== 0) complain(`cannot compile launch.c: ${run.stderr}`);
  return to;
}

/** Runs `act` in all hands at once until it says false. */
async function all(hands: readonly Hand[], act: (hand: Hand) => Promise<boolean>): Promise<void> {
  await Promise.all(
    hands.map(async (hand) => {
      while (await act(hand)) {}
    }),
  );
}

/** While nothing runs: what the disk and the kernel have, against the model. */
async function compare(node: Node, runtime: Runtime, hand: Hand, bare: readonly string[]): Promise<string[]> {
  await runtime.collect(hand);
  const wrong: string[] = [];
  const found = node.leases();
  const expected = leasesOf(runtime.alive.values());
  for (const [key, owner] of expected)
    if (found.get(key) !== owner)
      wrong.push(`lease ${key} is ${JSON.stringify(found.get(key))}, not ${JSON.stringify(owner)}`);
  for (const [key, owner] of found)
    if (!expected.has(key)) wrong.push(`lease ${key} of ${JSON.stringify(owner)} is left over`);
  const lent = [...runtime.alive.values()].flatMap((pod) =>
    pod.attachments.filter(({ network }) => network === device),
  );
  const records = node.records();
  if (records.length !== lent.length)
    wrong.push(`${lent.length} devices are lent, and there are the records ${records.join(", ")}`);
  const attachments = (type: string) =>
    [...runtime.alive.values()].flatMap((pod) => pod.attachments.filter(({ network }) => network.type === type)).length;
  const ports = Number(await hand.run("ip -o link show master br0 2>/dev/null | wc -l"));
  if (ports !== attachments("bridge"))
    wrong.push(`the bridge has ${ports} ports for ${attachments("bridge")} attachments`);
  // What a namespace had that was deleted goes when the kernel has time.
  let others: string[];
  for (const end = Date.now() + 5000; ; ) {
    others = unlikeNode(runtime, bare, await node.lines(hand));
    if (others.length === 0 || Date.now() > end) return [...wrong, ...others];
    await hand.run("sleep 0.1");
  }
}

function unlikeNode(runtime: Runtime, bare: readonly string[], now: readonly string[]): string[] {
  const pods = [...runtime.alive.values()];
  const all = pods.flatMap(({ attachments }) => attachments);
  const masqueraded = all
    .filter(({ network }) => network === bridge)
    .flatMap(({ result }) => result?.ips?.map(({ address }) => address.split("/")[0]!) ?? []);
  const lent = all.flatMap(({ device }) => device ?? []);
  return [...strays(bare, now, lent, masqueraded), ...unlikeModel(pods, now, bare)];
}

function measured(command: string): Call {
  const config = { cniVersion: "1.1.0", name: macvlan.name, type: "macvlan", ...macvlan.config };
  return { command, config, container: "measured", ifName: "eth0", netns: "/run/netns/measured" };
}

/** How much a call may have grown: the pool is as full as it was. The kernel counts a process's memory in steps of 188 KiB. */
const MORE = { instructions: 1.05, peak: 1.15 };

interface Costs {
  readonly add: Cost;
  readonly del: Cost;
}

/** @param first those of the beginning, where there are any: when a call is not much dearer, the others need not be counted. */
async function costs(hand: Hand, first?: Costs): Promise<Costs | undefined> {
  if (options.count === 0) return undefined;
  const enough = (of: "add" | "del") => (first?.[of].instructions ?? 0) * MORE.instructions;
  await hand.run("ip netns add measured");
  const add = await hand.cost(measured("ADD"), measured("DEL"), 11, options.count, enough("add"));
  await hand.call(measured("ADD"));
  const del = await hand.cost(measured("DEL"), measured("ADD"), 11, options.count, enough("del"));
  await hand.call(measured("DEL"));
  await hand.run("ip netns del measured");
  return { add, del };
}

/** Processes of the node: they may not grow. What announces an address in the background takes a second or two. */
async function surroundings(hand: Hand): Promise<{ processes: number; zombies: number }> {
  await hand.run("sleep 5");
  const processes = Number(await hand.run("ls -d /proc/[0-9]* | wc -l"));
  const zombies = Number(await hand.run("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '; true"));
  return { processes, zombies };
}

/** So many that more would say nothing new: a plugin that always fails would not come to an end. */
const ENOUGH = 50;

async function reach(runtime: Runtime, hands: readonly Hand[], count: number): Promise<void> {
  const most = runtime.wrong.length + ENOUGH;
  await all(hands, async (hand) => {
    if (runtime.wrong.length > most) return false;
    if (runtime.alive.size < count) await runtime.start(hand);
    else {
      const pod = [...runtime.alive.values()].find(({ busy, lost }) => !busy && !lost);
      if (runtime.alive.size <= count || pod === undefined) return false;
      await runtime.stop(hand, pod, false);
    }
    return runtime.alive.size !== count;
  });
}

async function run(node: Node): Promise<number> {
  const random = new Random(options.seed);
  const hands = Array.from({ length: options.jobs }, (_, n) => node.hand(String(n)));
  const hand = hands[0]!;
  const runtime = new Runtime(random);
  const bare = await node.lines(hand);
  const around = await surroundings(hand);
  await reach(runtime, hands, options.least);
  const early = runtime.wrong.length > ENOUGH ? undefined : await costs(hand);
  const end = Date.now() + options.minutes * 60_000;
  let told = 0;
  while (Date.now() < end) {
    const target = options.least + random.below(options.most - options.least + 1);
    const until = Math.min(end, Date.now() + 20_000);
    await all(hands, async (one) => {
      await runtime.act(one, target);
      return Date.now() < until;
    });
    runtime.wrong.push(...(await compare(node, runtime, hand, bare)));
    const { adds, dels, kills, deaths } = runtime.counts;
    console.log(
      `${runtime.alive.size} pods alive; ${adds} ADDs, ${dels} DELs, ${kills} kills, ${deaths} deaths; ${runtime.wrong.length} wrong`,
    );
    for (; told < runtime.wrong.length; told++) console.log(`wrong: ${runtime.wrong[told]}`);
    if (told > ENOUGH) break;
  }
  await reach(runtime, hands, options.least);
  const late = early === undefined ? undefined : await costs(hand, early);
  const forgotten = [...runtime.alive.values()].slice(0, options.forget);
  for (const pod of forgotten) runtime.alive.delete(pod.id);
  await reach(runtime, hands, 0);
  await runtime.collect(hand).catch((error: Error) => runtime.wrong.push(error.message));
  await hand.run(DELETE_BRIDGE);
  const left = unlike(bare, await node.lines(hand)).map((line) => line.replace(/^left over: /, ""));
  const now = await surroundings(hand);
  if (now.processes > around.processes) left.push(`${now.processes} processes, ${around.processes} at the beginning`);
  if (now.zombies > 0) left.push(`${now.zombies} zombies`);
  for (const one of hands) one.close();
  return report(runtime, left, early, late);
}

/** At most 60 different lines, and how many more there are. */
function tell(what: string, lines: readonly string[]): void {
  const different = [...new Set(lines)];
  for (const line of different.slice(0, 60)) console.log(`${what}: ${line}`);
  if (different.length > 60) console.log(`${what}: ${different.length - 60} more lines`);
}

function report(runtime: Runtime, left: string[], early: Costs | undefined, late: Costs | undefined): number {
  const { counts, wrong } = runtime;
  console.log(JSON.stringify(counts));
  tell("wrong", wrong);
  tell("left over", left);
  const grown: string[] = [];
  for (const command of early === undefined || late === undefined ? [] : (["add", "del"] as const))
    for (const what of ["instructions", "peak", "cpu"] as const) {
      const ratio = late![command][what] / early![command][what];
      console.log(
        `${command} ${what}: ${early![command][what]} at the beginning, ${late![command][what]} at the end (${ratio.toFixed(3)})`,
      );
      // CPU time is as good as the machine is idle: told, not judged.
      if (what !== "cpu" && !(ratio <= MORE[what])) grown.push(`${command} ${what}: ${ratio.toFixed(3)}`);
    }
  console.log(`${wrong.length} wrong, ${left.length} left over, ${grown.length} grown`);
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify({ counts, wrong, left, grown, early, late }, null, 1)}\n`);
  if (wrong.length + left.length + grown.length > 0) return Exit.wrong;
  if (counts.adds > 0) return Exit.passed;
  console.log("No pod was started: that shows nothing.");
  return Exit.untested;
}

const node = await Node.open(options.bin, compileLaunch(), join(compileTools(), "picture"));
try {
  process.exitCode = await run(node);
} finally {
  await node.close();
}
