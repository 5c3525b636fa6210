// One point of the matrix: do the fault, then demand that one DEL makes everything as it was and that the node still works.
import { happened, injection, likelyErrors, mayStayMute, type Point, parsePoints } from "./points.ts";
import type { Call, Sandbox } from "./sandbox.ts";

export type Command = "ADD" | "DEL";

export interface Fault {
  readonly point: Point;
  /** strace's words: "signal=KILL" or "error=EIO". */
  readonly what: string;
}

export const KILL = "signal=KILL";

/** The points of an undisturbed call, and what it has made. @throws when the call fails undisturbed. */
export async function record(sandbox: Sandbox, command: Command): Promise<{ points: Point[]; made: string }> {
  await sandbox.forget();
  if (command === "DEL") demand(await sandbox.call("ADD"), "ADD", 0);
  const run = await sandbox.call(command, "");
  demand(run, command, 0);
  const made = await sandbox.made();
  if (command === "ADD") demand(await sandbox.call("DEL"), "DEL", 0);
  const changes = await sandbox.changes();
  if (changes.length > 0) throw new Error(`ADD and DEL without any fault leave traces: ${changes.join("; ")}`);
  return { points: parsePoints(run.trace), made };
}

/** @param errors what to inject at each point instead of the likely ones, in mode "error" */
export function faults(points: readonly Point[], mode: "kill" | "error", errors?: readonly string[]): Fault[] {
  if (mode === "kill") return points.map((point) => ({ point, what: KILL }));
  return points.flatMap((point) => {
    const likely = likelyErrors(point);
    return (likely.length > 0 ? (errors ?? likely) : []).map((error) => ({ point, what: `error=${error}` }));
  });
}

const ATTEMPTS = 5;

/** The only finding of a point that no attempt came to: it says nothing about the plugin, good or bad. */
export const NOT_REACHED = "the call did not come to this point: not tested";

/** What is wrong after the fault; empty when nothing is. */
export async function judge(sandbox: Sandbox, command: Command, fault: Fault, made: string): Promise<string[]> {
  let run: Call;
  for (let attempt = 1; ; attempt++) {
    await sandbox.forget();
    if (command === "DEL") demand(await sandbox.call("ADD"), "ADD", 0);
    run = await sandbox.call(command, injection(fault.point, fault.what));
    if (happened(run.trace, fault.what)) break;
    // How often a call looks and waits depends on the kernel's other work.
    await sandbox.call("DEL");
    if (attempt === ATTEMPTS) return [NOT_REACHED];
  }
  const found = fault.what === KILL ? [] : await judgeError(sandbox, command, fault, run, made);
  found.push(...(await judgeRecovery(sandbox)));
  return found;
}

/** A call that met an error says so in one document and has undone everything, or it has done its work all the same. */
async function judgeError(s: Sandbox, command: Command, fault: Fault, run: Call, made: string): Promise<string[]> {
  return judgeAnswer(s, command, mayStayMute(fault.point), run, made);
}

/** `mayBeMute`: the failure may be one that leaves no way to say so. */
async function judgeAnswer(
  s: Sandbox,
  command: Command,
  mayBeMute: boolean,
  run: Call,
  made: string,
): Promise<string[]> {
  const documents = parseDocuments(run.stdout);
  if (run.status === 0) {
    if (command === "DEL") {
      if (run.stdout !== "") return [`DEL succeeded and said ${brief(run.stdout)}`];
      return prefix("DEL said success", await s.changes());
    }
    if (documents?.length !== 1 || "code" in documents[0]!) return [`ADD succeeded and said ${brief(run.stdout)}`];
    const now = await s.made();
    return now === made ? [] : [`ADD said success, but there is ${brief(now)} instead of ${brief(made)}`];
  }
  const found: string[] = [];
  if (run.status !== 1) found.push(`exit ${run.status}, stderr ${brief(run.stderr)}`);
  const mute = mayBeMute && (run.stdout === "" || documents === undefined);
  if (!mute && (documents?.length !== 1 || typeof documents[0]!.code !== "number"))
    found.push(`failed and said ${brief(run.stdout)}`);
  if (command === "ADD") found.push(...prefix("after the failed ADD", await s.changes()));
  return found;
}

const REFUSED = "refused\n";

/** What is wrong after the n-th allocation was refused; undefined when there is no such one. */
export async function judgeRefusal(
  sandbox: Sandbox,
  command: Command,
  n: number,
  made: string,
): Promise<string[] | undefined> {
  await sandbox.forget();
  if (command === "DEL") demand(await sandbox.call("ADD"), "ADD", 0);
  const run = await sandbox.call(command, undefined, `PODNIC_REFUSE=${n}`);
  const isRefused = run.stderr.includes(REFUSED);
  const found = isRefused ? await judgeAnswer(sandbox, command, false, run, made) : [];
  found.push(...(await judgeRecovery(sandbox)));
  return isRefused ? found : undefined;
}

async function judgeRecovery(sandbox: Sandbox): Promise<string[]> {
  for (const [round, calls] of [
    ["after one DEL", ["DEL"]],
    ["after a new ADD and DEL", ["ADD", "DEL"]],
  ] as const) {
    for (const command of calls) {
      const run = await sandbox.call(command);
      if (run.status !== 0) return [`${command} ${round}: exit ${run.status}, ${brief(run.stdout + run.stderr)}`];
    }
    const changes = await sandbox.changes();
    if (changes.length > 0) return prefix(round, changes);
  }
  return [];
}

const prefix = (what: string, texts: readonly string[]) => texts.map((text) => `${what}: ${text}`);

function demand(run: Call, command: string, status: number): void {
  if (run.status !== status)
    throw new Error(`${command} without any fault: exit ${run.status}, ${brief(run.stdout)} ${brief(run.stderr)}`);
}

/** The JSON objects of a text, one after the other; undefined when it is anything else. */
export function parseDocuments(text: string): Record<string, unknown>[] | undefined {
  const documents: Record<string, unknown>[] = [];
  for (let rest = text.trim(); rest !== ""; ) {
    const end = objectEnd(rest);
    try {
      documents.push(JSON.parse(rest.slice(0, end)));
    } catch {
      return undefined;
    }
    rest = rest.slice(end).trim();
  }
  return documents;
}

function objectEnd(text: string): number {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c === "\\") i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "{") depth++;
    else if (c === "}" && --depth === 0) return i + 1;
  }
  return text.length;
}

function brief(text: string): string {
  const flat = text.trim().replace(/\s+/g, " ");
  if (flat === "") return "nothing";
  return flat.length > 300 ? `${flat.slice(0, 300)}…` : flat;
}
