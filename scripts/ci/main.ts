// Runs the stages of a tier, continues after failures and adds up the results. The last line is `N passed, N failed`.
//   scripts/test [--tier quick|push|full] [--list] [--record FILE] [STAGE …]
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../build/paths.ts";
import { runStages, type StageResult } from "./run.ts";
import { reportOf, type Stage, type Tier } from "./stage.ts";
import { stages } from "./stages.ts";

const tiers: string[] = ["quick", "push", "full"] satisfies Tier[];

function select(tier: string, names: string[]): Stage[] {
  const all = stages.filter((stage) => stage.tiers.includes(tier as Tier));
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (!tiers.includes(tier)) fail(`no tier ${tier}; there are: ${tiers.join(", ")}`);
  if (unknown.length > 0)
    fail(`no stage ${unknown.join(", ")}; there are: ${stages.map(({ name }) => name).join(", ")}`);
  if (names.length === 0) return all;
  return names.map((name) => all.find((stage) => stage.name === name) ?? stages.find((stage) => stage.name === name)!);
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

const lineOf = ({ name, count, seconds }: StageResult): string =>
  `${name.padEnd(30)} ${count.passed} passed, ${count.failed} failed, ${count.notRun} not run, ${seconds} s`;

/** A page for the docs: what ran, when and on which commit. */
function page(tier: string, results: StageResult[], last: string): string {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
  const rows = results.map(
    ({ name, count, seconds }) => `| ${name} | ${count.passed} | ${count.failed} | ${count.notRun} | ${seconds} |`,
  );
  return `# The last run of the ${tier} tier

Commit ${commit}, ${new Date().toISOString().slice(0, 10)}. Made by \`scripts/test --tier ${tier} --record FILE\`. ${last}.

| stage | passed | failed | not run | seconds |
| --- | ---: | ---: | ---: | ---: |
${rows.join("\n")}
`;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      tier: { type: "string", default: "push" },
      list: { type: "boolean", default: false },
      record: { type: "string" },
    },
  });
  const selected = select(values.tier, positionals);
  if (values.list) {
    for (const { name, tiers, limit, command } of selected)
      console.log(`${name}\n  ${tiers.join(", ")}; at most ${limit} minutes\n  ${command.join(" ")}`);
    return;
  }
  mkdirSync(dirname(reportOf("")), { recursive: true });
  const start = Date.now();
  const results = await runStages(selected, (result) => console.log(`== ${lineOf(result)}`));
  const sum = (of: (result: StageResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  const passed = sum(({ count }) => count.passed);
  const failed = sum(({ count }) => count.failed);
  const notRun = sum(({ count }) => count.notRun);
  console.log(`\n${results.map(lineOf).join("\n")}`);
  for (const { name, why } of results) for (const line of why) console.log(`${name}: ${line.trim().slice(0, 300)}`);
  console.log(`all in ${Math.round((Date.now() - start) / 1000)} s`);
  if (notRun > 0) console.log(`${notRun} not run: each stage says why`);
  const last = `${passed} passed, ${failed} failed`;
  if (values.record !== undefined) writeFileSync(values.record, page(values.tier, results, last));
  console.log(last);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

await main();
