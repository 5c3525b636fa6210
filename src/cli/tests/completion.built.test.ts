// Runs the completions in the shells themselves.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formats } from "../../config/formats.ts";
import { run } from "./run.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-completion-"));
const verbs = ["install", "validate", "explain", "add", "check", "del", "schema", "completion", "version"];

beforeAll(() => {
  for (const shell of ["bash", "zsh", "fish"]) writeFileSync(join(dir, shell), run(["completion", shell]).stdout);
  mkdirSync(join(dir, "files/sub"), { recursive: true });
  for (const name of ["net one.conf", "net.yaml"]) writeFileSync(join(dir, "files", name), "");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The lines that a shell script prints. */
function ask(shell: string, script: string): string[] {
  const { stdout, stderr } = spawnSync(shell, ["-c", script], { cwd: join(dir, "files"), encoding: "utf8" });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "");
}

describe("bash", () => {
  const complete = (...words: string[]) =>
    ask(
      "bash",
      `source ${dir}/bash; COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
      _podnic; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );

  test.each([
    ["commands", ["podnic", "va"], ["validate"]],
    ["options", ["podnic", "validate", "--s"], ["--strict"]],
    ["files, with spaces", ["podnic", "validate", "net"], ["net one.conf", "net.yaml"]],
    ["the second file too", ["podnic", "validate", "net.yaml", "net.y"], ["net.yaml"]],
    ["directories", ["podnic", "add", "--conf-dir", "s"], ["sub"]],
    ["behind an option with a value", ["podnic", "schema", "mac"], ["macvlan"]],
    ["schemas that are no plugins'", ["podnic", "schema", "con"], ["conflist"]],
    ["shells", ["podnic", "completion", "f"], ["fish"]],
    ["nothing where anything may stand", ["podnic", "add", "-i", "x"], []],
    ["plugins", ["podnic", "install", "--only", "sr"], ["sriov"]],
  ])("%s", (_, words, expected) => {
    expect(complete(...words).sort()).toEqual(expected);
  });

  test("all commands", () => expect(complete("podnic", "")).toEqual(expect.arrayContaining(verbs)));
});

describe("fish", () => {
  const complete = (line: string) =>
    ask("fish", `source ${dir}/fish; complete -C '${line}'`).map((candidate) => candidate.split("\t")[0]);

  test.each([
    ["podnic va", ["validate"]],
    ["podnic validate --s", ["--strict"]],
    ["podnic schema mac", ["macvlan"]],
    ["podnic completion z", ["zsh"]],
    ["podnic validate net.y", ["net.yaml"]],
  ])("%s", (line, expected) => expect(complete(line)).toEqual(expected));

  test("all commands", () => expect(complete("podnic ")).toEqual(expect.arrayContaining(verbs)));
});

/** zsh completes only on a terminal, which zpty provides. */
test.each([
  ["podnic valid", "podnic validate"],
  ["podnic schema macv", "podnic schema macvlan"],
  ["podnic validate --stri", "podnic validate --strict"],
  ["podnic validate net.ya", "podnic validate net.yaml"],
])("zsh: %s", (typed, completed) => {
  const script = `zmodload zsh/zpty
    zpty shell zsh -fi
    zpty -w shell 'PS1= PS2= RPS1=; cd ${dir}/files; autoload -U compinit; compinit -D; source ${dir}/zsh; echo rea""dy'
    until [[ $line == *ready* ]]; do zpty -r shell line || exit 1; done
    zpty -w -n shell ${JSON.stringify(typed)}$'\\t'
    seen=
    repeat 100; do zpty -rt shell part && seen+=$part; [[ $seen == *${JSON.stringify(completed)}* ]] && break; sleep 0.05; done
    print -r -- $seen`;
  const { stdout } = spawnSync("zsh", ["-f", "-c", script], { encoding: "utf8", timeout: 20_000 });
  expect(stdout).toContain(completed);
});

describe("schemas", () => {
  const names = Object.keys(JSON.parse(run(["schema", "--json"]).stdout));

  /** Compiles a schema as an editor does: from one document, without other files. */
  function compile(name: string) {
    const ajv = new Ajv({ strict: false, logger: false });
    for (const [format, check] of Object.entries(formats)) ajv.addFormat(format, check);
    return ajv.compile(JSON.parse(run(["schema", name]).stdout));
  }

  test.each(names)("%s stands alone", (name) => {
    expect(run(["schema", name]).stdout).not.toContain("defs.schema.json");
    expect(compile(name)({ name: "a", plugins: [{ type: "macvlan" }], type: name })).toBe(true);
  });

  test("a plugin's says what its IPAM plugin reads; a list's what its plugins do", () => {
    const macvlan = compile("macvlan");
    const ipam = { type: "host-local", ranges: [[{ subnet: "10.0.0.0/24" }]] };
    expect(macvlan({ type: "macvlan", ipam })).toBe(true);
    expect(macvlan({ type: "macvlan", ipam: { ...ipam, ranges: [{ subnet: "10.0.0.0/24" }] } })).toBe(false);
    expect(macvlan({ type: "macvlan", ipam: { type: "whereabouts", ranges: 5 } })).toBe(true);
    expect(macvlan({ type: "ipvlan" })).toBe(false);
    const list = compile("conflist");
    const plugins = (plugin: object) => ({ name: "a", cniVersion: "1.0.0", plugins: [plugin] });
    expect(list(plugins({ type: "ipvlan", mode: "l3", ipam }))).toBe(true);
    expect(list(plugins({ type: "ipvlan", mode: "bridge" }))).toBe(false);
    expect(list(plugins({ type: "tuning", mode: "bridge" }))).toBe(true);
    expect(list({ name: "a", plugins: [] })).toBe(false);
  });

  test("there is one for each plugin", () => {
    expect(names).toEqual(
      expect.arrayContaining(["host-device", "host-local", "ipvlan", "macvlan", "sriov", "static"]),
    );
    expect(run(["schema", "macvlam"]).status).toBe(2);
  });
});
