// The device cases on each of Debian's kernels: node scripts/ts.mjs conformance/kernels/main.ts [SUITE...]
// Boots a guest for each kernel, writes conformance/results/kernels.json and the table in docs/kernels.md. Kernels that are not asked for keep
// their results. By hand only: a guest takes minutes.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Verdict } from "../harness/case.ts";
import { caseNames, type Results, resultsFile, summary, withTable } from "./table.ts";

const SUITES = ["bullseye", "bookworm", "trixie", "sid"];
const root = join(import.meta.dirname, "../..");
const out = join(root, ".cache/vm/out");

const program = new Command("kernels")
  .description("Runs the device cases of each plugin on the kernels of Debian's releases, each in a guest of its own.")
  .argument("[suite...]", `kernels: ${SUITES.join(", ")}`, SUITES)
  .option("--bin <dir>", "directory of the plugins under test", "dist/cni")
  .option("--timeout <s>", "seconds a guest may take", "2400")
  .parse();
const { bin, timeout } = program.opts<{ bin: string; timeout: string }>();

const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
// The result of a build that is not in the repository could not be had again.
const commit =
  git("rev-parse", "--short=10", "HEAD") + (git("status", "--porcelain", "src", "plugins") === "" ? "" : "+");

/** In a guest with that kernel; undefined when there is no report, because the guest did not get that far. */
function runIn(
  suite: string,
  cases: readonly string[],
  jobs: number,
): { kernel: string; cases: Verdict[] } | undefined {
  const report = join(out, "kernels.json");
  mkdirSync(out, { recursive: true });
  rmSync(report, { force: true });
  const suiteOf = `node scripts/ts.mjs conformance/main.ts --bin ${bin} --main macvlan --jobs ${jobs} --limit 180 --verbose`;
  const command = `uname -r >"$PODNIC_VM_OUT/kernel"; ${suiteOf} --case ${cases.join(",")} --report "$PODNIC_VM_OUT/kernels.json"`;
  const guest = ["--kernel", suite, "--igb", "1", "--timeout", timeout, "--", "sh", "-c", command];
  spawnSync(join(root, "conformance/vm/run"), guest, { cwd: root, stdio: "inherit" });
  try {
    const kernel = readFileSync(join(out, "kernel"), "utf8").trim();
    return { kernel, cases: (JSON.parse(readFileSync(report, "utf8")) as { cases: Verdict[] }).cases };
  } catch {
    return undefined;
  }
}

const results = JSON.parse(readFileSync(join(root, resultsFile), "utf8")) as Results;
const page = join(root, "docs/kernels.md");
let good = true;
for (const suite of program.processedArgs[0] as string[]) {
  if (!SUITES.includes(suite)) program.error(`no kernel called ${suite}: ${SUITES.join(", ")}`);
  const began = Date.now();
  const first = runIn(suite, caseNames(), 2);
  if (first === undefined) {
    console.error(`kernels: ${suite}: the guest gave no results`);
    good = false;
    continue;
  }
  const failed = first.cases.filter((c) => c.outcome === "failed").map((c) => c.id);
  // On a busy machine a guest may stand still for longer than a case allows: what fails is what fails alone as well.
  const second = failed.length === 0 ? [] : (runIn(suite, failed, 1)?.cases ?? []);
  const settled = new Map(second.filter((c) => failed.includes(c.id)).map((c) => [c.id, c]));
  const verdicts = first.cases.map((c) => settled.get(c.id) ?? c);
  results[suite] = {
    kernel: first.kernel,
    commit,
    date: new Date().toISOString().slice(0, 10),
    minutes: Math.ceil((Date.now() - began) / 60_000),
    ...summary(verdicts),
    again: verdicts.filter((c) => failed.includes(c.id) && c.outcome === "passed").map((c) => c.id),
  };
  writeFileSync(join(root, resultsFile), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(page, withTable(readFileSync(page, "utf8"), results));
  good &&= Object.keys(results[suite]!.failed).length === 0;
}
process.exitCode = good ? 0 : 1;
