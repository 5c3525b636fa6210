// The table a person reads, the JUnit and JSON files a CI reads, and the comparison with a list of known deviations.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { levelOf } from "../requirements.ts";
import type { Verdict } from "./case.ts";

export interface Known {
  readonly plugins: string;
  /** Case id to what the plugins do instead; these must fail. */
  readonly deviations: Readonly<Record<string, string>>;
  /** Deviations that depend on chance; these may fail. */
  readonly sometimes?: Readonly<Record<string, string>>;
}

export function printFailures(verdicts: readonly Verdict[], known: Known | undefined): void {
  const listed = { ...known?.deviations, ...known?.sometimes };
  const failed = verdicts.filter((v) => v.outcome === "failed" && listed[v.id] === undefined);
  if (failed.length === 0) return;
  console.log(`\n${"case".padEnd(24)} requirement / expected / got`);
  for (const v of failed) {
    console.log(`${v.id.padEnd(24)} [${v.tag}] ${v.requirement}`);
    console.log(`${"".padEnd(24)} expected ${v.expected}`);
    console.log(`${"".padEnd(24)} got      ${v.got}`);
  }
}

const TAGS = { S: "S (the spec asks for it)", G: "G (runtimes rely on it)", H: "H (hardening)" };
const LEVELS = {
  M: "must",
  S: "should",
  m: "may",
  i: "implied",
  none: "none of the spec",
};

export function printTotals(verdicts: readonly Verdict[], seconds: number): void {
  const cell = (value: string | number, width: number) => String(value).padStart(width);
  const line = (label: string, of: readonly Verdict[]) => {
    if (of.length === 0) return;
    const count = (outcome: string) => of.filter((v) => v.outcome === outcome).length;
    console.log(
      `${label.padEnd(32)} ${cell(count("passed"), 6)} ${cell(count("failed"), 7)} ${cell(count("not-run"), 8)}`,
    );
  };
  console.log(`\n${"".padEnd(32)} passed  failed  not run`);
  for (const [tag, label] of Object.entries(TAGS)) {
    line(
      label,
      verdicts.filter((v) => v.tag === tag),
    );
  }
  for (const [level, label] of Object.entries(LEVELS)) {
    line(
      `requirement: ${label}`,
      verdicts.filter((v) => (levelOf(v.requirement) ?? "none") === level),
    );
  }
  line("all", verdicts);
  const reasons = new Map<string, number>();
  for (const v of verdicts) if (v.outcome === "not-run") reasons.set(v.got, (reasons.get(v.got) ?? 0) + 1);
  for (const [reason, n] of reasons) console.log(`not run: ${n} because ${reason}`);
  console.log(`${seconds.toFixed(1)} s`);
}

export function readKnown(file: string): Known {
  return JSON.parse(readFileSync(file, "utf8")) as Known;
}

/** Writes the failures as a list of known deviations, keeping entries of cases that did not run. */
export function writeKnown(file: string, plugins: string, verdicts: readonly Verdict[]): void {
  const old: Known = existsSync(file) ? readKnown(file) : { plugins: basename(plugins), deviations: {}, sometimes: {} };
  const deviations: Record<string, string> = { ...old.deviations };
  for (const v of verdicts) {
    if (v.outcome === "passed") delete deviations[v.id];
    if (v.outcome === "failed" && old.sometimes?.[v.id] === undefined)
      deviations[v.id] ??= timeless(v.got.replaceAll(plugins, "BIN"));
  }
  const sorted = Object.fromEntries(Object.entries(deviations).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify({ ...old, deviations: sorted }, null, 2)}\n`);
}

/** Without what differs from run to run. */
function timeless(got: string): string {
  return got
    .replace(/\n +at [\s\S]*/, "")
    .replace(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi, "MAC")
    .replace(/\bveth[0-9a-f]{8}\b/g, "TEMPORARY")
    .replace(/\b[0-9.]+ ms\b/g, "N ms")
    .replace(/\/proc\/\d+\/root/g, "")
    .slice(0, 240);
}

/** How the verdicts differ from the list: the case's id, and what to say. */
export function changes(verdicts: readonly Verdict[], known: Known): [id: string, text: string][] {
  return verdicts.flatMap((v): [string, string][] => {
    const listed = known.deviations[v.id];
    if (v.outcome === "failed" && listed === undefined && known.sometimes?.[v.id] === undefined)
      return [[v.id, `new deviation: ${v.id}: ${v.got}`]];
    if (v.outcome === "passed" && listed !== undefined) return [[v.id, `deviation is gone: ${v.id} (${listed})`]];
    return [];
  });
}

/** Prints how the verdicts differ from the list; true when they do not. */
export function compareKnown(verdicts: readonly Verdict[], known: Known): boolean {
  const changed = changes(verdicts, known);
  for (const [, text] of changed) console.log(text);
  const ids = new Set(verdicts.map((v) => v.id));
  const count = Object.keys(known.deviations).filter((id) => ids.has(id)).length;
  console.log(`${changed.length === 0 ? "as listed" : "NOT as listed"}: ${count} known deviations of ${known.plugins}`);
  return changed.length === 0;
}

/** Writes JUnit when the name ends in .xml, else JSON: {"cases": [{id, tag, requirement, outcome, expected, got}]}. */
export function writeReport(file: string, verdicts: readonly Verdict[], seconds: number): void {
  const cases = verdicts.map(({ ms: _, ...verdict }) => verdict);
  const text = file.endsWith(".xml") ? junit(verdicts, seconds) : `${JSON.stringify({ cases }, null, 1)}\n`;
  writeFileSync(file, text);
}

function junit(verdicts: readonly Verdict[], seconds: number): string {
  const count = (outcome: string) => verdicts.filter((v) => v.outcome === outcome).length;
  const lines = verdicts.map((v) => {
    const head = `  <testcase classname="conformance.${v.tag}" name="${xml(`${v.id} ${v.requirement}`)}" time="${v.ms / 1000}"`;
    if (v.outcome === "passed") return `${head}/>`;
    if (v.outcome === "not-run") return `${head}><skipped message="${xml(v.got)}"/></testcase>`;
    return `${head}><failure message="${xml(v.expected)}">${xml(v.got)}</failure></testcase>`;
  });
  const attributes = `tests="${verdicts.length}" failures="${count("failed")}" skipped="${count("not-run")}" time="${seconds}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="CNI conformance" ${attributes}>\n${lines.join("\n")}\n</testsuite>\n`;
}

function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\x20-\ufffd]/g, "?")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
