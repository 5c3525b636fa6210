// `npm run mutate`: makes one change (a mutant) in the sources, runs the tests that import the changed file, and checks whether one fails. A mutant
// that survives shows behaviour that no unit or kernel test checks; the black-box suite may check it. Works on a copy below .cache. Options:
//   --count 100      number of mutants, a random sample of all that are possible
//   --seed 1         seed of the sample
//   --near 8         maximum number of tests of each kind for a mutant: those that reach its file through the fewest imports
//   --minutes 30     start no mutant after this time
//   --only PATH      only files whose path begins with PATH
//   --record FILE    write the page of results
// A mutant survives if no test imports its file, directly or indirectly. A test that fails must pass without the mutation. Kernel tests need root.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import ts from "typescript";
import { Random } from "../src/testing/random.ts";
import { cache, root } from "./build/paths.ts";

const { values: flags } = parseArgs({
  options: {
    count: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    near: { type: "string", default: "8" },
    minutes: { type: "string", default: "600" },
    only: { type: "string", default: "" },
    record: { type: "string" },
  },
});

const tree = join(cache, "mutate");

interface Mutant {
  file: string;
  line: number;
  /** The kind of change: `negate`, `swap <`, … */
  operator: string;
  start: number;
  end: number;
  text: string;
}

/** The kinds of tests, in the order in which they run. */
const projects = ["unit", "process", "kernel"] as const;
type Project = (typeof projects)[number];
type Verdict = `killed by ${Project} tests` | "does not end" | "survived";

const swapped: { [operator: string]: string } = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "===": "!==",
  "!==": "===",
  "&&": "||",
  "||": "&&",
  "+": "-",
  "-": "+",
};

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
}

/** The sources to mutate. Leaves out tests, and files without behaviour of their own: types, tables of numbers and entry points. */
function sources(): string[] {
  const isOut = /\.test\.ts$|\/tests\/|\/testing\/|\.d\.ts$|\.schema\.ts$|constants\.ts$|^src\/entry\//;
  const files = git("ls-files", "src/*.ts", "plugins/*.ts").split("\n");
  return files.filter((file) => !isOut.test(file) && file.startsWith(flags.only));
}

function mutantsOf(file: string): Mutant[] {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), "utf8"), ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const replace = (node: ts.Node, operator: string, text: string): void => {
    const start = node.getStart(source);
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    found.push({ file, line, operator, start, end: node.getEnd(), text });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node) || ts.isWhileStatement(node))
      replace(node.expression, "negate", `!(${node.expression.getText(source)})`);
    if (ts.isConditionalExpression(node)) replace(node.condition, "negate", `!(${node.condition.getText(source)})`);
    if (ts.isBinaryExpression(node)) {
      const { operatorToken: token } = node;
      const other = swapped[token.getText(source)];
      if (other !== undefined) replace(token, `swap ${token.getText(source)}`, other);
    }
    // Only in a block: elsewhere, this would leave an incomplete statement.
    if (ts.isExpressionStatement(node) && ts.isBlock(node.parent)) replace(node, "drop", ";");
    if (ts.isThrowStatement(node) && ts.isBlock(node.parent)) replace(node, "drop throw", ";");
    if (ts.isIfStatement(node.parent) && ts.isThrowStatement(node)) replace(node, "drop throw", ";");
    if (node.kind === ts.SyntaxKind.TrueKeyword && !ts.isLiteralTypeNode(node.parent)) replace(node, "flip", "false");
    if (node.kind === ts.SyntaxKind.FalseKeyword && !ts.isLiteralTypeNode(node.parent)) replace(node, "flip", "true");
    ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
  return found;
}

function sample<T>(from: T[], count: number, random: Random): T[] {
  const rest = [...from];
  const drawn: T[] = [];
  while (drawn.length < count && rest.length > 0) drawn.push(...rest.splice(random.below(rest.length), 1));
  return drawn;
}

function copyTree(): void {
  rmSync(tree, { recursive: true, force: true });
  for (const file of git("ls-files").split("\n")) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    cpSync(join(root, file), join(tree, file), { verbatimSymlinks: true });
  }
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
}

const isImport = /^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"(\.[^"]+)";|\bimport\("(\.[^"]+)"\)/gm;
const imported = new Map<string, string[]>();

function importsOf(file: string): string[] {
  let found = imported.get(file);
  if (found === undefined) {
    const text = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : "";
    found = [...text.matchAll(isImport)].map(([, a, b]) => join(dirname(file), (a ?? b)!));
    imported.set(file, found);
  }
  return found;
}

/** The files that a file imports, directly or indirectly, and the number of steps to each. */
function reached(file: string): Map<string, number> {
  const steps = new Map([[file, 0]]);
  for (const [each, step] of steps) for (const next of importsOf(each)) if (!steps.has(next)) steps.set(next, step + 1);
  return steps;
}

const projectOf = (test: string): string => /\.(process|kernel|built)\.test\.ts$/.exec(test)?.[1] ?? "unit";
const tests = git("ls-files", "*.test.ts").split("\n");
const byAll = reached("src/testing/install-host.ts");

/** Those of the tests that import the file that reach it in the fewest steps. All of them would take minutes for each mutant. */
function testsOf(file: string, project: Project): string[] {
  const isBeside = (test: string): boolean => dirname(test).startsWith(dirname(file));
  return tests
    .filter((test) => projectOf(test) === project)
    .map((test) => ({
      test,
      steps: (reached(test).get(file) ?? byAll.get(file) ?? Infinity) - (isBeside(test) ? 1 : 0),
    }))
    .filter(({ steps }) => steps < Infinity)
    .sort((a, b) => a.steps - b.steps)
    .slice(0, Number(flags.near))
    .map(({ test }) => test);
}

type Outcome = "pass" | "no end" | string[];

/** Runs the test files and returns those that fail. */
function run(files: string[], project: Project): Outcome {
  const report = join(tree, "report.json");
  rmSync(report, { force: true });
  const args = ["vitest", "run", "--bail", "1", "--silent", "--project", project, "--maxWorkers", "1"];
  const { status } = spawnSync("npx", [...args, "--reporter=json", `--outputFile=${report}`, ...files], {
    cwd: tree,
    stdio: "ignore",
    timeout: 300_000,
    killSignal: "SIGKILL",
  });
  if (status === 0) return "pass";
  if (status === null) return "no end";
  if (!existsSync(report)) return files;
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
    testResults: { name: string; status: string }[];
  };
  const failed = testResults.filter((result) => result.status === "failed").map(({ name }) => relative(tree, name));
  return failed.length > 0 ? failed : files;
}

const sound = new Set<string>();

/** Throws unless the failed tests pass without a mutation. Otherwise each mutant would count as killed. */
function checkSound(failed: string[], project: Project): void {
  const unknown = failed.filter((test) => !sound.has(test));
  if (unknown.length === 0) return;
  if (run(unknown, project) !== "pass") throw new Error(`${unknown.join(", ")}: fails without a mutation`);
  for (const test of unknown) sound.add(test);
}

function tryOut({ file, start, end, text }: Mutant): Verdict {
  const original = readFileSync(join(tree, file), "utf8");
  const mutated = original.slice(0, start) + text + original.slice(end);
  for (const project of projects) {
    const near = testsOf(file, project);
    if (near.length === 0) continue;
    writeFileSync(join(tree, file), mutated);
    const outcome = run(near, project);
    writeFileSync(join(tree, file), original);
    if (outcome === "no end") return "does not end";
    if (outcome === "pass") continue;
    checkSound(outcome, project);
    return `killed by ${project} tests`;
  }
  return "survived";
}

function page(tried: [Mutant, Verdict][], possible: number): string {
  const count = (verdict: Verdict) => tried.filter(([, got]) => got === verdict).length;
  const killed = tried.length - count("survived");
  const rows = tried
    .filter(([, verdict]) => verdict === "survived")
    .map(([mutant]) => `| ${place(mutant)} | ${mutant.operator} |`);
  return `# Mutations

Commit ${git("rev-parse", "--short", "HEAD")}, ${new Date().toISOString().slice(0, 10)}: \`npm run mutate -- --count ${flags.count} --seed ${flags.seed}${flags.only === "" ? "" : ` --only ${flags.only}`} --record FILE\`.

There are ${possible} possible mutants of \`src/\` and \`plugins/\`. The run tried ${tried.length} of them, and the tests killed **${Math.round((100 * killed) / tried.length)} %** of these
(${projects.map((project) => `${count(`killed by ${project} tests`)} by ${project} tests`).join(", ")}, and ${count("does not end")} because the tests did not finish).
For each mutant, at most ${flags.near} tests of each kind ran. They were the tests that import the file most directly. The black-box suite and the tests of the executable did not run, because they would have needed a build for each mutant. The table lists the mutants that survived.
Some mutants change nothing that can be observed.

| place | mutation |
| --- | --- |
${rows.sort().join("\n")}
`;
}

const place = ({ file, line }: Mutant): string => `${file}:${line}`;

function main(): void {
  const all = sources().flatMap(mutantsOf);
  const drawn = sample(all, Number(flags.count), new Random(Number(flags.seed)));
  copyTree();
  const deadline = Date.now() + Number(flags.minutes) * 60_000;
  const tried: [Mutant, Verdict][] = [];
  for (const mutant of drawn) {
    if (Date.now() > deadline) break;
    const begin = Date.now();
    const verdict = tryOut(mutant);
    tried.push([mutant, verdict]);
    console.log(
      `${tried.length}/${drawn.length} ${place(mutant)} ${mutant.operator}: ${verdict} (${Math.round((Date.now() - begin) / 1000)} s)`,
    );
  }
  const text = page(tried, all.length);
  if (flags.record === undefined) console.log(`\n${text}`);
  else writeFileSync(flags.record, text);
  rmSync(tree, { recursive: true, force: true });
}

main();
