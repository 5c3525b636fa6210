// Running one program and keeping everything it said.
import { spawnSync } from "node:child_process";
import type { Namespaces } from "./namespaces.ts";

export interface Run {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  readonly timedOut: boolean;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** Then it is killed. Not limited when absent. */
  readonly timeoutMs?: number;
}

const NSENTER = "/usr/bin/nsenter";

/** Runs argv inside the namespaces with exactly the given environment. Never throws for what the program does. */
export function runIn(ns: Namespaces, argv: readonly string[], options: RunOptions = {}): Run {
  const start = process.hrtime.bigint();
  const result = spawnSync(NSENTER, [...ns.enter, "--", ...argv], {
    env: options.env ?? { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
    input: options.input ?? "",
    timeout: options.timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: 64 << 20,
  });
  const code = (result.error as NodeJS.ErrnoException | undefined)?.code;
  // EPIPE only says that the program did not read all its input.
  if (result.error !== undefined && code !== "ETIMEDOUT" && code !== "EPIPE") throw result.error;
  return {
    status: result.status,
    signal: result.signal,
    stdout: result.stdout.toString(),
    stderr: result.stderr.toString(),
    ms: Number(process.hrtime.bigint() - start) / 1e6,
    timedOut: code === "ETIMEDOUT",
  };
}

export function describeRun(run: Run): string {
  const end = run.timedOut ? `no end in ${Math.round(run.ms)} ms` : (run.signal ?? `exit ${run.status}`);
  const out = run.stdout.trim();
  const err = run.stderr.trim();
  return `${end}, stdout ${brief(out)}${out === "" && err !== "" ? `, stderr ${brief(err)}` : ""}`;
}

export function brief(value: string): string {
  if (value === "") return "empty";
  let flat = value.replace(/\s+/g, " ");
  try {
    flat = JSON.stringify(JSON.parse(value));
  } catch {
    // Not JSON: shown as it is.
  }
  return flat.length > 300 ? `${flat.slice(0, 300)}…` : flat;
}
