// The device cases on each of Debian's kernels: node scripts/ts.mjs conformance/kernels/main.ts [GUEST...]
// Boots a guest for each kernel, writes conformance/results/kernels.json and the table in docs/kernels.md. Guests that are not asked for keep
// their results. By hand only: a guest takes minutes.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import * as esbuild from "esbuild";
import type { Verdict } from "../harness/case.ts";
import { caseNames, type Results, resultsFile, summary, withTable } from "./table.ts";

/** Debian's releases on x86-64, and processors. */
const KERNELS = ["bullseye", "bookworm", "trixie", "sid"];
const PROCESSORS = ["arm64", "s390x"];
const GUESTS = [...KERNELS, ...PROCESSORS];
const root = join(import.meta.dirname, "../..");
const out = join(root, ".cache/vm/out");

const program = new Command("kernels")
  .description("Runs the device cases of each plugin on the kernels of Debian's releases, each in a guest of its own.")
  .argument("[guest...]", `kernels and processors: ${GUESTS.join(", ")}`, GUESTS)
  .option("--timeout <s>", "seconds a guest may take", "2400")
  .option("--case <ids>", "only cases whose id begins so (comma-separated); the table says which")
  .parse();
const { timeout, case: only } = program.opts<{ timeout: string; case?: string }>();

const git = (...args: string[]) => spawnSync("git", args, { cwd: root, encoding: "utf8" }).stdout.trim();
// The last one that changed the executable; with a + when more was changed since then, which cannot be had again.
const built = ["src", "plugins", "scripts/build"];
const changed = git("status", "--porcelain", ...built) !== "";
const commit = git("log", "-1", "--format=%h", "--abbrev=10", "--", ...built) + (changed ? "+" : "");

/** A guest of another processor cannot run esbuild of this machine, which scripts/ts.mjs needs: the suite as one file for Node. */
async function bundled(): Promise<string> {
  const file = join(root, ".cache/ts/suite.mjs");
  const entry = join(root, "conformance/main.ts");
  await esbuild.build({
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    banner: { js: `process.argv[1] = ${JSON.stringify(entry)};` },
  });
  return `node ${file}`;
}

interface Report {
  kernel: string;
  cases: Verdict[];
}

/** In that guest; undefined when there is no report, because the guest did not get that far. */
async function runIn(guest: string, cases: readonly string[], jobs: number): Promise<Report | undefined> {
  const report = join(out, "kernels.json");
  mkdirSync(out, { recursive: true });
  rmSync(report, { force: true });
  const foreign = PROCESSORS.includes(guest);
  const suite = foreign ? await bundled() : "node scripts/ts.mjs conformance/main.ts";
  const bin = foreign ? `dist/linux-${guest}/cni` : "dist/cni";
  const options = `--bin ${bin} --main macvlan --jobs ${jobs} --limit 180 --verbose --case ${cases.join(",")}`;
  const command = `uname -r >"$PODNIC_VM_OUT/kernel"; ${suite} ${options} --report "$PODNIC_VM_OUT/kernels.json"`;
  const kind = [foreign ? "--processor" : "--kernel", guest];
  const all = [...kind, "--igb", "1", "--timeout", timeout, "--", "sh", "-c", command];
  spawnSync(join(root, "conformance/vm/run"), all, { cwd: root, stdio: "inherit" });
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
for (const guest of program.processedArgs[0] as string[]) {
  if (!GUESTS.includes(guest)) program.error(`no guest called ${guest}: ${GUESTS.join(", ")}`);
  const target = PROCESSORS.includes(guest) ? `linux-${guest}` : "linux-x64";
  const build = ["scripts/ts.mjs", "scripts/build.ts", "--target", target];
  if (spawnSync("node", build, { cwd: root, stdio: "inherit" }).status !== 0) program.error(`cannot build ${target}`);
  const began = Date.now();
  const first = await runIn(guest, only?.split(",") ?? caseNames(), 2);
  if (first === undefined) {
    console.error(`kernels: ${guest}: the guest gave no results`);
    good = false;
    continue;
  }
  const failed = first.cases.filter((c) => c.outcome === "failed").map((c) => c.id);
  // On a busy machine a guest may stand still for longer than a case allows: what fails is what fails alone as well.
  const second = failed.length === 0 ? [] : ((await runIn(guest, failed, 1))?.cases ?? []);
  const settled = new Map(second.filter((c) => failed.includes(c.id)).map((c) => [c.id, c]));
  const verdicts = first.cases.map((c) => settled.get(c.id) ?? c);
  results[guest] = {
    kernel: first.kernel,
    commit,
    date: new Date().toISOString().slice(0, 10),
    minutes: Math.ceil((Date.now() - began) / 60_000),
    ...summary(verdicts),
    ...(only === undefined ? {} : { only: verdicts.map((c) => c.id) }),
    again: verdicts.filter((c) => failed.includes(c.id) && c.outcome === "passed").map((c) => c.id),
  };
  writeFileSync(join(root, resultsFile), JSON.stringify(results));
  spawnSync("npx", ["biome", "format", "--write", resultsFile], { cwd: root });
  writeFileSync(page, withTable(readFileSync(page, "utf8"), results));
  good &&= Object.keys(results[guest]!.failed).length === 0;
}
process.exitCode = good ? 0 : 1;
