// Makes docs/operations.md, or says what has changed: node scripts/ts.mjs conformance/operations/main.ts [--write]
// The commands run in the QEMU guest (node.ts), which has a card with virtual functions and a kernel that is the same everywhere.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { cache, root } from "../../scripts/build/paths.ts";
import { type Shown, shown } from "./commands.ts";

interface Said {
  stdout: string;
  stderr: string;
  status: number;
}

function runInGuest(): Said[] {
  const output = join(cache, "vm/out/operations.json");
  rmSync(output, { force: true });
  const inside = ["sh", "-c", 'node scripts/ts.mjs conformance/operations/node.ts "$PODNIC_VM_OUT/operations.json"'];
  mkdirSync(join(cache, "vm/out"), { recursive: true });
  const { status } = spawnSync("conformance/vm/run", ["--timeout", "430", "--", ...inside], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) throw new Error(`the guest ended with ${status}`);
  return JSON.parse(readFileSync(output, "utf8"));
}

/** What differs from run to run, or from checkout to checkout. */
function normal(text: string): string {
  return text
    .replaceAll(root, "/root/podnic")
    .replaceAll(/\b6\.\d+\.\d+[\w.+~-]*/g, "6.12")
    .replaceAll(/\(net:\[\d+\]\)/g, "(net:[4026532000])");
}

function section({ title, text, command }: Shown, { stdout, stderr, status }: Said): string {
  const end = status === 0 ? "" : `\nExit status ${status}.\n`;
  const lines = `$ ${command}\n${normal(stdout + stderr)}`.trimEnd();
  return `## ${title}\n\n${text}\n\n\`\`\`console\n${lines}\n\`\`\`\n${end}`;
}

function page(said: Said[]): string {
  return `# Operating podnic

What each command says on a node with one card of four virtual functions: pod blue has one of them through \`sriov\`, pod green another one
through \`host-device\`; the namespace of pod grey is gone and nobody called DEL for it; one lease is left over from before the last boot; and
one configuration is broken. Every command has \`--help\` with examples, and \`--json\` where a program may want to read it. Exit status: 0
all is well, 1 it could not be done or is not as it should be, 2 the command line makes no sense. Why it could not is said on stderr; with
\`--json\` it is also the one document on stdout, with \`code\`, \`msg\` and \`details\` as plugins print them.

This page is written by \`node scripts/ts.mjs conformance/operations/main.ts --write\`, which makes that node in a virtual machine. Without
\`--write\` it fails when a command says something else.

${shown.map((one, i) => section(one, said[i]!)).join("\n")}`;
}

function main(): void {
  const { write } = new Command("operations")
    .option("--write", "write the page instead of comparing it")
    .parse()
    .opts();
  const found = page(runInGuest());
  const file = join(root, "docs/operations.md");
  if (write === true) {
    writeFileSync(file, found);
    return;
  }
  if (readFileSync(file, "utf8") === found) return;
  const other = join(cache, "operations.md");
  writeFileSync(other, found);
  spawnSync("diff", ["-u", file, other], { stdio: "inherit" });
  console.error("docs/operations.md is out of date: run this with --write and read what has changed");
  process.exitCode = 1;
}

main();
