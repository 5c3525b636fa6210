// Runs stages, two at a time unless a stage must run alone, and reads their reports.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { root } from "../build/paths.ts";
import type { Count } from "./count.ts";
import { guest, reportOf, type Stage } from "./stage.ts";

export interface StageResult {
  name: string;
  count: Count;
  seconds: number;
  /** The lines of the output that say what failed; empty if nothing did. */
  why: string[];
}

/** How many stages run at a time. The machine whose results count has two processors. */
const LANES = 2;
/** Exit status of the guest when the emulator failed, not the command. */
const GUEST_DIED = 125;

interface Run {
  /** -1 if the stage took too long or could not start. */
  status: number;
  /** What the stage printed; empty if it ran alone. */
  output: string;
}

/** Runs a stage. Prints its output in one piece at its end, unless it runs alone. */
function run({ name, command, limit, alone = false }: Stage): Promise<Run> {
  const title = `\n== ${name}: ${command.join(" ")}\n`;
  const output = alone ? "inherit" : "pipe";
  const printed: Uint8Array<ArrayBufferLike>[] = [Buffer.from(title)];
  if (alone) process.stdout.write(printed.pop()!);
  else console.log(`-- ${name} starts`);
  return new Promise((resolve) => {
    const child = spawn(command[0]!, command.slice(1), { cwd: root, stdio: ["ignore", output, output] });
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (piece: Buffer) => printed.push(piece));
    const timer = setTimeout(() => {
      printed.push(Buffer.from(`too slow: ended after ${limit} minutes\n`));
      child.kill("SIGTERM");
    }, limit * 60_000);
    const end = (status: number) => {
      clearTimeout(timer);
      const said = Buffer.concat(printed);
      process.stdout.write(said);
      resolve({ status, output: said.toString() });
    };
    child.on("error", () => end(-1));
    child.on("close", (status) => end(status ?? -1));
  });
}

/** The lines in which test runners report a failure: vitest's with the compared values, and a case's with the expected and actual results. */
const FAILURE =
  /FAIL|[×✗]|deviation|not clean:|wrong:|^not ok|too slow|rror:|^\s*(?:❯ \S+\.ts:|[-+] \S)|^\S+ +\[[SGH]\] |^ +(?:expected|got) /;
const failures = (output: string): string[] =>
  stripVTControlCharacters(output)
    .split("\n")
    .filter((line) => FAILURE.test(line));
const MOST_LINES = 40;

async function countOf(stage: Stage): Promise<Pick<StageResult, "count" | "why">> {
  const [path, maker] = stage.needs ?? [];
  if (path !== undefined && !existsSync(path)) {
    console.log(`${stage.name} is not run: there is no ${path}; ${maker} makes it`);
    return { count: { passed: 0, failed: 0, notRun: 1 }, why: [] };
  }
  const file = stage.report ?? reportOf(stage.name);
  rmSync(file, { force: true });
  let { status, output } = await run(stage);
  if (status === GUEST_DIED && stage.command[0] === guest) {
    console.log(`${stage.name}: the guest died or stood still; once more`);
    ({ status, output } = await run(stage));
  }
  const count = judge(stage, status, file);
  return { count, why: count.failed === 0 ? [] : failures(output).slice(0, MOST_LINES) };
}

function judge(stage: Stage, status: number, report: string): Count {
  if (stage.count === undefined) return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, notRun: 0 };
  if (!existsSync(report)) return { passed: 0, failed: 1, notRun: 0 };
  const counted = stage.count(JSON.parse(readFileSync(report, "utf8")));
  // The stage failed for a reason that no test reports.
  if (status !== 0 && counted.failed === 0) counted.failed = 1;
  return counted;
}

/** Runs the stages in order. Calls `done` when a stage ends. Returns the results in the order of the stages. */
export async function runStages(stages: Stage[], done: (result: StageResult) => void): Promise<StageResult[]> {
  const results = new Map<Stage, StageResult>();
  const runOne = async (stage: Stage): Promise<void> => {
    const start = Date.now();
    const result = { name: stage.name, ...(await countOf(stage)), seconds: Math.round((Date.now() - start) / 1000) };
    results.set(stage, result);
    done(result);
  };
  const waiting = [...stages];
  const lane = async (): Promise<void> => {
    while (waiting.length > 0 && waiting[0]!.alone !== true) await runOne(waiting.shift()!);
  };
  while (waiting.length > 0) {
    if (waiting[0]!.alone === true) await runOne(waiting.shift()!);
    else await Promise.all(Array.from({ length: LANES }, lane));
  }
  return stages.map((stage) => results.get(stage)!);
}
