// Bad input, answered by the Go plugins and by ours: node scripts/ts.mjs conformance/refusals/main.ts [--write]
// Fails when ours accepts something, leaves something behind or says too little, and when docs/errors.md is not what it found.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { openNamespaces } from "../harness/namespaces.ts";
import { Sandbox, type Settings } from "../harness/sandbox.ts";
import { differences } from "../harness/state.ts";
import { type Refusal, refusals } from "./cases.ts";

interface Options {
  bin: string;
  peer: string;
  write?: boolean;
  output: string;
}

interface Answer {
  status: number | null;
  stdout: string;
  code: number;
  message: string;
  details: string;
  cniVersion: string;
  /** What is not as before. */
  left: string[];
}

/** One JSON document, or undefined. */
function parse(text: string): { [key: string]: unknown } | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Asks a directory of plugins on a private host with one device (dev0), one uplink (up0) and one container (c1). */
async function ask(bin: string, { plugin, config, command = "ADD", env = {}, before }: Refusal): Promise<Answer> {
  const ns = await openNamespaces();
  try {
    const settings: Settings = { bin, root: process.cwd(), spec: "1.0.0", main: plugin, versions: {} };
    const sandbox = new Sandbox(ns, settings);
    sandbox.freshDevice();
    before?.(sandbox);
    const picture = sandbox.picture();
    const run = sandbox.call(command, config as string, { set: env, plugin });
    const said = parse(run.stdout) ?? {};
    const text = (key: string) => String(said[key] ?? "").replaceAll(bin, "/opt/cni/bin");
    return {
      status: run.status,
      stdout: run.stdout,
      code: typeof said.code === "number" ? said.code : -1,
      message: text("msg"),
      details: text("details"),
      cniVersion: text("cniVersion"),
      left: differences(picture, sandbox.picture()),
    };
  } finally {
    await ns.close();
  }
}

/** What is wrong with our refusal; empty when nothing is. */
function faults(ours: Answer): string[] {
  const wrong: string[] = [];
  if (ours.status !== 1) wrong.push(`exit status ${ours.status}`);
  if (parse(ours.stdout) === undefined) wrong.push(`stdout is not one document: ${ours.stdout}`);
  if (ours.code < 1) wrong.push(`code ${ours.code}`);
  if (ours.message === "") wrong.push("no message");
  if (ours.details === "") wrong.push("no details");
  if (ours.cniVersion === "") wrong.push("no cniVersion");
  return [...wrong, ...ours.left];
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ");
}

function reference(answer: Answer): string {
  const said =
    answer.status === 0
      ? "accepted"
      : `${answer.code}: ${answer.message}${answer.details === "" ? "" : ` (${answer.details})`}`;
  const left = answer.left.some(
    (line) => line.includes("new link") || line.includes("lost link") || line.includes("new file"),
  );
  return left ? `${said} **(and the host is changed)**` : said;
}

function document(rows: readonly { refusal: Refusal; ours: Answer; theirs: Answer }[]): string {
  const table = rows.map(({ refusal, ours, theirs }, at) =>
    [at + 1, `${refusal.mistake}: ${refusal.shown}`, reference(theirs), `${ours.code}: ${ours.message}`, ours.details]
      .map((text) => cell(String(text)))
      .join(" | "),
  );
  return `# Refusals

This page shows how podnic and the Go plugins (1.1.1, as shipped by Debian 12) respond to invalid input.
\`node scripts/ts.mjs conformance/refusals/main.ts --write\` generates this page. The command runs podnic and the Go plugins in private namespaces, and
checks that podnic leaves links, addresses and files unchanged. Without \`--write\`, it fails if this page is out of date.

The number before each message is the error code: 1 for an incompatible version, 4 for an invalid environment variable, 5 for an I/O error,
6 for input that cannot be decoded, 7 for an invalid configuration, 11 for a temporary failure, 50 for a plugin that cannot work at the moment,
and 999 for all other errors. The Go plugins use 999 for nearly all errors.

| # | input | Go plugins | podnic | podnic's details |
| --- | --- | --- | --- | --- |
${table.map((row) => `| ${row} |`).join("\n")}
`;
}

async function main(): Promise<void> {
  const options = new Command("refusals")
    .option("--bin <dir>", "our plugins", "dist/cni")
    .option("--peer <dir>", "the Go plugins", "/usr/lib/cni")
    .option("--output <file>", "the page", "docs/errors.md")
    .option("--write", "write the page instead of comparing it")
    .parse()
    .opts<Options>();
  const rows = [];
  let failed = 0;
  for (const refusal of refusals) {
    const ours = await ask(resolve(options.bin), refusal);
    rows.push({ refusal, ours, theirs: await ask(resolve(options.peer), refusal) });
    const wrong = faults(ours);
    if (wrong.length === 0) continue;
    failed++;
    console.error(`${refusal.mistake} (${refusal.shown}): ${wrong.join("; ")}`);
  }
  const page = document(rows);
  const file = join(process.cwd(), options.output);
  if (options.write) writeFileSync(file, page);
  else if (readFileSync(file, "utf8") !== page) {
    failed++;
    console.error(`${options.output} is out of date: run this with --write and read what has changed`);
    const known = new Set(readFileSync(file, "utf8").split("\n"));
    for (const line of page.split("\n").filter((each) => !known.has(each))) console.error(`now: ${line}`);
  }
  console.log(`${refusals.length} refusals, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
