// Defines a stage, and makes the usual kinds of stages.
import { join } from "node:path";
import { cache } from "../build/paths.ts";
import { type Count, conformanceCount } from "./count.ts";

/**
 * Target times: quick takes five minutes, for a contributor at work. push takes 40 minutes (the last run took 45, beside other work). full, with
 * matrices and long runs, takes hours.
 */
export type Tier = "quick" | "push" | "full";

export interface Stage {
  name: string;
  tiers: Tier[];
  command: string[];
  /** Reads the report that the stage wrote. Without this, the stage counts as one test, and its exit status decides. */
  count?: (report: unknown) => Count;
  /** The path of this report, if it is not reportOf(name). */
  report?: string;
  /** After this many minutes, the stage is stopped and has failed. */
  limit: number;
  /** A path without which the stage does not run, and the command that creates it. */
  needs?: [path: string, maker: string];
  /** The stage starts after all earlier stages have ended, and later stages wait for it: it makes what they use, or needs the whole machine. */
  alone?: boolean;
}

const reports = join(cache, "reports");
export const reportOf = (name: string) => join(reports, `${name.replaceAll(/\W+/g, "-")}.json`);
export const ts = (...args: string[]) => ["node", "scripts/ts.mjs", ...args];

export function vitest(
  name: string,
  projects: string[],
  tiers: Tier[],
  limit: number,
  count: Stage["count"],
  ...environment: string[]
): Stage {
  const selected = projects.flatMap((project) => ["--project", project]);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportOf(name)}`];
  return {
    name,
    tiers,
    command: ["env", ...environment, "npx", "vitest", "run", ...selected, ...reporters],
    count: count!,
    limit,
  };
}

export function conformance(name: string, bin: string, more: string[], tiers: Tier[], limit: number): Stage {
  const command = ts("conformance/main.ts", "--bin", bin, "--report", reportOf(name), ...more);
  return { name, tiers, command, count: conformanceCount, limit };
}

/** Cases for plugins whose deviations are listed. They count as one test, which fails if the deviations differ from the list. */
export function deviations(version: string, bin: string, tiers: Tier[], more: string[], needs?: Stage["needs"]): Stage {
  // These plugins are slower: cases with hundreds of calls need more than the usual 20 s on a loaded machine.
  const known = `conformance/results/go-${version}.json`;
  const command = ts(
    "conformance/main.ts",
    "--bin",
    bin,
    "--main",
    "macvlan",
    "--limit",
    "60",
    "--known",
    known,
    ...more,
  );
  const name = `conformance of Go ${version}`;
  return { name, tiers, command, limit: 15, ...(needs && { needs }) };
}

export const guest = "conformance/vm/run";

/** Runs a command in the QEMU guest. The command writes its report to $PODNIC_VM_OUT/FILE. */
export function inGuest(
  name: string,
  file: string,
  count: NonNullable<Stage["count"]>,
  command: string,
  tiers: Tier[],
  limit: number,
  cards = "0",
): Stage {
  return {
    name,
    tiers,
    command: [guest, "--timeout", String(limit * 60), "--igb", cards, "--", "sh", "-c", command],
    count,
    report: join(cache, "vm/out", file),
    limit,
  };
}
