// node scripts/ts.mjs conformance/fuzz/page.ts --report FILE [--write]
// Fills conformance/fuzz/results.md from the report of a run (`npm run fuzz -- --seconds 3600 --report FILE`), so that no figure on it is
// typed by hand. Without --write it fails when the page is not what the report says.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { root } from "../../scripts/build/paths.ts";

/** What main.ts reports of a target. */
interface Outcome {
  target: string;
  seconds: number;
  executions: number;
  edges: number;
  allEdges: number;
  faults: string[];
}

const namesIn = (directory: string): string[] =>
  existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith(".")) : [];

const grouped = (number: number): string => number.toLocaleString("en-US");

function row({ target, seconds, executions, edges, allEdges, faults }: Outcome): string {
  const inputs = namesIn(join(root, "conformance/fuzz/regressions", target));
  const share = allEdges === 0 ? "?" : `${Math.round((100 * edges) / allEdges)} %`;
  const kept = namesIn(join(root, "conformance/fuzz/corpus", target)).length;
  const tests = inputs.map((name) => `\`${name}\``).join(", ") || "-";
  const cells = [`\`${target}\``, Math.round(seconds / 60), grouped(executions), `${grouped(edges)} (${share})`];
  return `| ${[...cells, grouped(kept), faults.length, inputs.length, tests].join(" | ")} |`;
}

function page(outcomes: Outcome[]): string {
  const sorted = [...outcomes].sort((a, b) => a.target.localeCompare(b.target));
  return `# Fuzzing: results

\`conformance/fuzz/page.ts\` writes this page from the report of a run. Executions are of the build with AddressSanitizer and
UndefinedBehaviorSanitizer. An edge is an outcome of a jump, a call or a handler in the bytecode ([how it works](README.md#how-it-works)). "Fixed" counts the
inputs that once caused a fault: they are kept in \`regressions/\`, and \`npx vitest run conformance/fuzz\` runs them.

| target | minutes | executions | edges reached | inputs kept | faults in this run | fixed | inputs kept as tests |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
${sorted.map(row).join("\n")}
`;
}

function main(): void {
  const options = new Command()
    .requiredOption("--report <file>", "what main.ts reported")
    .option("--write", "write the page instead of comparing it")
    .parse()
    .opts<{ report: string; write?: boolean }>();
  const wanted = page(JSON.parse(readFileSync(options.report, "utf8")) as Outcome[]);
  const file = join(root, "conformance/fuzz/results.md");
  if (options.write) writeFileSync(file, wanted);
  else if (!existsSync(file) || readFileSync(file, "utf8") !== wanted) {
    console.error("conformance/fuzz/results.md is out of date: run this with --write");
    process.exitCode = 1;
  }
}

main();
