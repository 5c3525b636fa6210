// `npm run mutate`: changes one thing in the sources, runs the tests that import the file, and asks whether one fails. What survives is behaviour
// that no unit or kernel test holds; the black-box suite may. Works on a copy below .cache. Options:
//   --count 100      mutants, drawn from all that are possible
//   --seed 1         another sample
//   --minutes 30     begin no mutant later
//   --only PATH      files whose path begins so
//   --record FILE    write the page of results
// A mutant without a test that imports it, directly or not, counts as surviving. Kernel tests need root.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import ts from "typescript";
import { Random } from "../src/testing/random.ts";
import { cache, root } from "./build/paths.ts";

const { values: flags } = parseArgs({
  options: {
    count: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "600" },
    only: { type: "string", default: "" },
    record: { type: "string" },
  },
});

const tree = join(cache, "mutate");

interface Mutant {
  file: string;
  line: number;
  /** What was done: `negate`, `swap <`, … */
  operator: string;
  start: number;
  end: number;
  text: string;
}

type Verdict = "killed by unit tests" | "killed by kernel tests" | "survived";

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

/** Not those of the tests, nor what has no behaviour of its own: types, tables of numbers, entries. */
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
    // In a block only: elsewhere it would leave half a statement.
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

/** True when a test fails, also by going on without end. */
function fails(file: string, projects: string[]): boolean {
  const options = projects.flatMap((project) => ["--project", project]);
  const args = ["vitest", "related", file, "--run", "--bail", "1", "--passWithNoTests", "--silent", ...options];
  const { status } = spawnSync("npx", args, { cwd: tree, stdio: "ignore", timeout: 180_000, killSignal: "SIGKILL" });
  return status !== 0;
}

const sound = new Set<string>();

/** Without a mutation the tests near the file must pass: else each mutant would count as killed. */
function checkTests(file: string): void {
  if (sound.has(file)) return;
  if (fails(file, ["unit", "process", "kernel"])) throw new Error(`the tests near ${file} fail without a mutation`);
  sound.add(file);
}

function tryOut({ file, start, end, text }: Mutant): Verdict {
  checkTests(file);
  const original = readFileSync(join(tree, file), "utf8");
  writeFileSync(join(tree, file), original.slice(0, start) + text + original.slice(end));
  try {
    if (fails(file, ["unit", "process"])) return "killed by unit tests";
    return fails(file, ["kernel"]) ? "killed by kernel tests" : "survived";
  } finally {
    writeFileSync(join(tree, file), original);
  }
}

function page(tried: [Mutant, Verdict][], possible: number): string {
  const count = (verdict: Verdict) => tried.filter(([, got]) => got === verdict).length;
  const killed = tried.length - count("survived");
  const rows = tried
    .filter(([, verdict]) => verdict === "survived")
    .map(([mutant]) => `| ${place(mutant)} | ${mutant.operator} |`);
  return `# Mutations

Commit ${git("rev-parse", "--short", "HEAD")}, ${new Date().toISOString().slice(0, 10)}: \`npm run mutate -- --count ${flags.count} --seed ${flags.seed}${flags.only === "" ? "" : ` --only ${flags.only}`} --record FILE\`.

Of ${possible} possible mutants of \`src/\` and \`plugins/\`, ${tried.length} were drawn and tried: **${Math.round((100 * killed) / tried.length)} % killed**
(${count("killed by unit tests")} by unit tests, ${count("killed by kernel tests")} by kernel tests). These survived; the black-box suite and the tests of the executable, which
a mutant would need a build for, were not asked, and some mutants change nothing that anybody could see.

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
    const verdict = tryOut(mutant);
    tried.push([mutant, verdict]);
    console.log(`${tried.length}/${drawn.length} ${place(mutant)} ${mutant.operator}: ${verdict}`);
  }
  const text = page(tried, all.length);
  if (flags.record === undefined) console.log(`\n${text}`);
  else writeFileSync(flags.record, text);
  rmSync(tree, { recursive: true, force: true });
}

main();
