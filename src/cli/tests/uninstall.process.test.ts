// podnic uninstall in this process: what it removes, restores and leaves unchanged. The tests in install.built.test.ts also install first.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { run } from "./run.ts";

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "podnic-uninstall-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const podnic = "\0CNI static plugin podnic v0\0";
const go = "\0github.com/containernetworking/plugins\0";

function uninstall(): Record<string, unknown> {
  const { status, stdout } = run(["uninstall", dir, "--json"]);
  expect(status).toBe(0);
  const { changes } = JSON.parse(stdout) as { changes: { name: string }[] };
  return Object.fromEntries(changes.map(({ name, ...rest }) => [name, rest]));
}

test("uninstall removes podnic's files, restores those that it replaced, and leaves other programs' alone", () => {
  mkdirSync(join(dir, ".podnic.backup"));
  for (const name of ["podnic", "static", "macvlan"]) writeFileSync(join(dir, name), podnic, { mode: 0o755 });
  writeFileSync(join(dir, ".podnic.backup/macvlan"), go, { mode: 0o755 });
  writeFileSync(join(dir, "bridge"), go, { mode: 0o755 });
  writeFileSync(join(dir, ".podnic.backup/bridge"), `${go}older`, { mode: 0o755 });
  writeFileSync(join(dir, "ipvlan"), go, { mode: 0o755 });
  writeFileSync(join(dir, ".podnic.new.static"), "half");
  writeFileSync(join(dir, "unrelated"), "a plugin that podnic does not know");

  expect(uninstall()).toMatchObject({
    podnic: { was: "podnic", did: "removed", backup: false },
    static: { was: "podnic", did: "removed", backup: false },
    macvlan: { was: "podnic", did: "restored", backup: true },
    bridge: { was: "Go plugin", did: "left", backup: true },
    ipvlan: { was: "Go plugin", did: "left", backup: false },
    sriov: { was: "missing", did: "left" },
  });
  expect(readdirSync(dir).sort()).toEqual([".podnic.backup", "bridge", "ipvlan", "macvlan", "unrelated"]);
  expect(readFileSync(join(dir, "macvlan"), "utf8")).toBe(go);
});
