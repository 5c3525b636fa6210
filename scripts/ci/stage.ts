// What a stage is, and how stages are made.
import { join } from "node:path";
import { cache } from "../build/paths.ts";
import { type Count, conformanceCount } from "./count.ts";

/** Goals: quick, for a contributor at work, five minutes; push 40 minutes (45 when last run, beside other work); full, matrices and long runs, hours. */
export type Tier = "quick" | "push" | "full";

export interface Stage {
  name: string;
  tiers: Tier[];
  command: string[];
  /** Reads the report that the stage wrote; without it the stage is one test, which its exit status decides. */
  count?: (report: unknown) => Count;
  /** Path of that report, when it is not reportOf(name). */
  report?: string;
  /** Minutes after which the stage is ended and has failed. */
  limit: number;
  /** A path without which the stage is not run, and what makes it. */
  needs?: [path: string, maker: string];
  /** Starts when all stages before it have ended, and the next ones start when it has: it makes what they use, or needs the whole machine. */
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

/** Cases on plugins whose deviations are listed: one test, which fails when they are no longer as listed. */
export function deviations(version: string, bin: string, tiers: Tier[], more: string[], needs?: Stage["needs"]): Stage {
  // They are slower: cases with hundreds of calls take more than their 20 s on a loaded machine.
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

/** A command in the QEMU guest, which writes its report to $PODNIC_VM_OUT/FILE. */
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
