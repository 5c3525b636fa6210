// The matrix's own honesty: plugins of a few lines of shell, one good, the others each with one fault that it must find.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Command, faults, judge, record } from "./judge.ts";
import { Sandbox } from "./sandbox.ts";

const S = "/var/lib/cni";
const RESULT = `echo '{"cniVersion":"1.0.0"}'`;
const ADD = `echo ours >${S}/lease || { echo '{"code":5,"msg":"no lease"}'; exit 1; }; ${RESULT}`;
const DEL = `rm -f ${S}/lease ${S}/new`;

let bin: string;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), "podnic-honesty-"));
});
afterEach(() => rmSync(bin, { recursive: true, force: true }));

/**
 * What the matrix finds at the points of the plugin's own work; the start of the shell and of rm is left out.
 * It ends with the first finding that begins as `wanted` says.
 */
async function find(command: Command, mode: "kill" | "error", add: string, del: string, wanted?: string) {
  writeFileSync(`${bin}/fake`, `#!/bin/sh\nread -r config\ncase $CNI_COMMAND in\nADD) ${add};;\nDEL) ${del};;\nesac\n`);
  chmodSync(`${bin}/fake`, 0o755);
  const scenario = { config: { type: "fake" }, inside: ":", outside: "", after: "", copies: 1 };
  const settings = { bin, scenario, ignore: new Set<string>() };
  let sandbox = await Sandbox.open(settings);
  try {
    const { points, made } = await record(sandbox, command);
    const own = points.filter((p) =>
      /\/var\/lib\/cni|^write\(1|^(dup2|close|vfork|clone|exit_group|unlinkat)/.test(p.seen),
    );
    expect(own.length).toBeGreaterThan(2);
    const found: string[] = [];
    for (const fault of faults(own, mode)) {
      const here = await judge(sandbox, command, fault, made);
      found.push(...here);
      if (wanted !== undefined && here.some((text) => text.startsWith(wanted))) break;
      if (here.length > 0) {
        await sandbox.close();
        sandbox = await Sandbox.open(settings);
      }
    }
    return found;
  } finally {
    await sandbox.close();
  }
}

const LIMIT = 120_000;

test("a good plugin is clean at every point", { timeout: LIMIT }, async () => {
  expect(await find("ADD", "kill", ADD, DEL)).toEqual([]);
  expect(await find("DEL", "kill", ADD, DEL)).toEqual([]);
});

/** Demands that the matrix has a finding that begins so. */
async function expectFound(wanted: string, command: Command, mode: "kill" | "error", add: string, del = DEL) {
  const found = await find(command, mode, add, del, wanted);
  expect(found.filter((text) => text.startsWith(wanted))).not.toEqual([]);
}

test("a temporary file that DEL does not know is found", { timeout: LIMIT }, async () => {
  const add = `echo ours >${S}/new.tmp; ${ADD}; rm ${S}/new.tmp`;
  await expectFound(`after one DEL: new file ${S}/new.tmp`, "ADD", "kill", add);
});

test("a DEL that trusts that the first half tells about the second is found", { timeout: LIMIT }, async () => {
  const del = `[ -e ${S}/new ] || exit 0; rm -f ${S}/new; rm -f ${S}/lease`;
  await expectFound(`after one DEL: new file ${S}/lease`, "DEL", "kill", `echo 1 >${S}/new; ${ADD}`, del);
});

test("a link left in the pod is found", { timeout: LIMIT }, async () => {
  const add = `ip -n c1 link add tmp0 type veth; ${ADD}; ip -n c1 link del tmp0`;
  await expectFound("after one DEL: new pod link tmp0", "ADD", "kill", add);
});

test("an ADD that says success without its work is found", { timeout: LIMIT }, async () => {
  await expectFound("ADD said success, but there is", "ADD", "error", `echo ours >${S}/lease; ${RESULT}`);
});

test("a failed ADD that leaves something, and one that says two documents, are found", { timeout: LIMIT }, async () => {
  const error = `echo '{"code":5,"msg":"x"}'`;
  const leaves = `echo early >${S}/new; echo ours >${S}/lease || { ${error}; exit 1; }; ${RESULT}`;
  await expectFound(`after the failed ADD: new file ${S}/new`, "ADD", "error", leaves);
  const twice = `echo ours >${S}/lease || { ${error}; ${error}; exit 1; }; ${RESULT}`;
  await expectFound("failed and said", "ADD", "error", twice);
});
