// podnic status: shows a summary of this node, with the problems first.
import type { Command } from "commander";
import { oneLine } from "../log.ts";
import { podnicVersion } from "../version.ts";
import { command } from "./command.ts";
import { type Examination, examine, unseen } from "./doctor/examine.ts";
import { type Finding, type Level, levelColours } from "./doctor/finding.ts";
import { Exit, Status } from "./exit.ts";
import { countInWords } from "./leases.ts";
import { paint, plural, print, printJson } from "./terminal.ts";

const epilogue = `Lists the problems (errors, then warnings), and then each part of the node on one line. podnic doctor checks the same parts, and lists
all findings. podnic devices and podnic leases show which pod has which device or address. Only root can see the devices and leases.

  podnic status
  podnic status --json | jq '.errors'

Exit status: 0 no problems, 1 there are errors or warnings, 2 wrong command line.`;

/** Maximum number of problems to list, so that the output fits on a screen. podnic doctor lists all of them. */
const MOST = 8;

/** One part of the node. */
interface Part {
  about: string;
  errors: number;
  warnings: number;
  /** False if the user is not allowed to see this part. */
  examined: boolean;
  /** A summary in words. */
  summary: string;
}

interface Overview {
  version: string;
  errors: number;
  warnings: number;
  parts: Part[];
  /** The errors, followed by the warnings. */
  findings: Finding[];
}

export function overview({ findings, seen }: Examination): Overview {
  const of = (level: Level, about?: string): Finding[] =>
    findings.filter((one) => one !== unseen && one.level === level && (about === undefined || one.about === about));
  const parts = [...new Set(findings.map(({ about }) => about))].map((about): Part => {
    const good = findings.filter((one) => one.about === about && one.level === "ok").length;
    const summary = about === "state" ? stateInWords(seen) : (summaries[about]?.(good) ?? "");
    const counts = { errors: of("error", about).length, warnings: of("warning", about).length };
    return { about, ...counts, examined: about !== "state" || seen !== undefined, summary };
  });
  const [errors, warnings] = [of("error"), of("warning")];
  const counts = { errors: errors.length, warnings: warnings.length };
  return { version: podnicVersion, ...counts, parts, findings: [...errors, ...warnings] };
}

const summaries: { [about: string]: ((good: number) => string) | undefined } = {
  plugins: (good) => `${plural(good, "plugin")} in place`,
  configurations: (good) => plural(good, "valid network"),
};

function stateInWords(seen: Examination["seen"]): string {
  if (seen === undefined) return "not examined: run podnic as root";
  const { node, pools } = seen;
  const alive = node.holders.filter(({ life }) => life === "alive").length;
  const used = pools.reduce((sum, pool) => sum + pool.used, 0);
  const size = pools.some((pool) => pool.size === undefined)
    ? "?"
    : countInWords(pools.reduce((sum, pool) => sum + pool.size!, 0));
  return `${plural(alive, "device")} in pods; ${plural(pools.length, "pool")}, ${used} of ${size} addresses used`;
}

function show({ version, errors, warnings, parts, findings }: Overview): void {
  const verdict = errors > 0 ? "error" : warnings > 0 ? "warning" : "ok";
  const counts = `${plural(errors, "error")}, ${plural(warnings, "warning")}`;
  print(`podnic ${version}: ${paint(verdict === "ok" ? "good" : counts, levelColours[verdict])}\n\n`);
  for (const { about, level, found, cure } of findings.slice(0, MOST)) {
    print(`${paint(level.padEnd(8), levelColours[level])} ${about}: ${oneLine(found)}\n`);
    if (cure !== "") print(`         ${oneLine(cure)}\n`);
  }
  if (findings.length > MOST) print(`         and ${findings.length - MOST} more: podnic doctor\n`);
  if (findings.length > 0) print("\n");
  for (const part of parts) print(`${oneLine(`${part.about.padEnd(15)} ${partInWords(part)}`.trimEnd())}\n`);
}

function partInWords({ errors, warnings, examined, summary }: Part): string {
  const counts = [
    ...(errors > 0 ? [plural(errors, "error")] : []),
    ...(warnings > 0 ? [plural(warnings, "warning")] : []),
  ];
  const state = counts.length === 0 ? (examined ? "ok" : "?") : counts.join(", ");
  return `${state.padEnd(22)} ${summary}`;
}

export const statusCommand = (): Command =>
  command("status", "show a summary of this node's state", epilogue)
    .option("--json", "as JSON")
    .action(({ json }: { json?: boolean }) => {
      const seen = overview(examine());
      if (json === true) printJson(seen);
      else show(seen);
      if (seen.findings.length > 0) throw new Exit(Status.failed);
    });
