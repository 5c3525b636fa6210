// All commands accept a network by its name or its file, and print the same notes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { sameNames } from "../validate/same-name.ts";
import { run } from "./run.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-networks-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function conf(file: string, name: string): string {
  mkdirSync(join(dir, file, ".."), { recursive: true });
  const path = join(dir, file);
  writeFileSync(path, JSON.stringify({ cniVersion: "1.0.0", name, plugins: [{ type: "macvlan", master: "up0" }] }));
  return path;
}
const one = conf("one/10-lan.conflist", "lan");
const first = conf("two/05-other.conflist", "lan");
const second = conf("two/10-lan.conflist", "lan");
const validate = (...args: string[]) => run(["validate", ...args]);

test("a network by name: stderr says which file it is", () => {
  const { status, stdout, stderr } = validate("lan", "--conf-dir", join(dir, "one"));
  expect({ status, stderr }).toEqual({ status: 0, stderr: `podnic: network "lan" is defined in ${one}\n` });
  expect(stdout).toContain(`${one}: good: network "lan"`);
});

test("a network by its file: nothing more is said", () => {
  expect(validate(one)).toMatchObject({ status: 0, stderr: "" });
});

test("two files with the name: the first in lexical order, and that is said", () => {
  const { stderr } = validate("lan", "--conf-dir", join(dir, "two"));
  expect(stderr).toContain(`network "lan" is also in ${second}; using ${first}, which comes first`);
});

test("an unknown name is an error that lists what there is", () => {
  const { status, stdout } = validate("lna", "--conf-dir", join(dir, "one"));
  expect(status).toBe(1);
  expect(stdout).toContain(`no network "lna" in ${join(dir, "one")}; did you mean "lan"?`);
  expect(stdout).toContain("Networks there: lan.");
});

test("two files of one directory with one name are a warning at the later one", () => {
  const { status, stdout } = validate(second, first);
  expect(status).toBe(0);
  expect(stdout).toContain(`${second}: warning: network "lan" is also in ${first}, which comes first`);
  expect(stdout.match(/warning:/g)).toHaveLength(1);
  // Files in different directories are read by different programs.
  expect(validate(one, first).stdout).not.toContain("warning:");
});

test("lists come before single configurations; manifests are not compared", () => {
  const file = (name: string) => ({ file: name, networks: [{ name: "lan" }] });
  expect(sameNames([file("/d/05.conf"), file("/d/10.conflist")])).toEqual([
    { file: "/d/05.conf", name: "lan", other: "/d/10.conflist" },
  ]);
  expect(sameNames([file("/d/a.yaml"), file("/d/b.yaml")])).toEqual([]);
});

test("a template of Helm is called one", () => {
  const path = join(dir, "nad.yaml");
  writeFileSync(path, "{{- if .Values.on }}\nkind: NetworkAttachmentDefinition\n{{- end }}\n");
  const { status, stdout } = validate(path);
  expect(status).toBe(1);
  expect(stdout).toContain(`${path}:1:1: error: this looks like a Helm template`);
  expect(stdout).toContain("helm template CHART | podnic validate -");
});

test("a file with several networks is refused by commands that take one", () => {
  const path = join(dir, "both.yaml");
  const nad = (name: string) =>
    `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: ${name}}\nspec: {config: '{"cniVersion":"1.0.0","type":"macvlan"}'}\n`;
  writeFileSync(path, `${nad("a")}---\n${nad("b")}`);
  const { status, stderr } = run(["add", path, "pod"]);
  expect(status).toBe(1);
  // The command checks first whether it runs as root.
  expect(stderr).toMatch(/has 2 networks: a, b|add needs root/);
});

test("a file that is wrong is not taken for the wrong order", () => {
  const path = join(dir, "broken.conflist");
  writeFileSync(path, "{");
  const { status, stderr } = run(["add", path, "lan", "--conf-dir", join(dir, "one")]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/Run podnic validate .*broken.conflist|add needs root/);
  expect(stderr).not.toContain("the network comes first");
});

test("people see no code, programs do", () => {
  const { stderr, stdout } = run(["uninstall", "--json", join(dir, "nowhere")]);
  expect(stderr).not.toMatch(/\(code \d+\)/);
  expect(JSON.parse(stdout).code).toEqual(expect.any(Number));
});
