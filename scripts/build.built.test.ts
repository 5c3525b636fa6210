// Properties of the built executable itself, apart from what its plugins do.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { calledNames, manifest, root } from "./build/paths.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-build-"));
const podnic = join(dir, "one", "podnic");
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs the build of the clone `where` and writes the executable to `output`. */
function build(where: string, output: string): void {
  const args = ["scripts/ts.mjs", "scripts/build.ts", "--output", output];
  const { status, stdout, stderr } = spawnSync("node", args, { cwd: where, encoding: "utf8" });
  expect(status, stdout + stderr).toBe(0);
}

/** A copy of the sources in another place, with the same packages and engine. */
function elsewhere(): string {
  const copy = join(dir, "a directory of quite another length");
  const keep = ["src", "plugins", "scripts", "package.json", "pkg.config.json", "tsconfig.json"];
  for (const name of keep) cpSync(join(root, name), join(copy, name), { recursive: true });
  for (const name of ["node_modules", ".cache"]) symlinkSync(join(root, name), join(copy, name));
  return copy;
}

beforeAll(() => build(root, podnic), 600_000);

test("two builds in different places are byte-identical", () => {
  const other = join(dir, "other");
  build(elsewhere(), other);
  expect(readFileSync(other).equals(readFileSync(podnic))).toBe(true);
}, 120_000);

test("what calls run of the engine and the C library lies together", () => {
  const { stdout } = spawnSync("readelf", ["-SW", podnic], { encoding: "utf8" });
  const size = Number.parseInt(/ \.hot +PROGBITS +\w+ +\w+ +(\w+)/.exec(stdout)?.[1] ?? "0", 16);
  expect(size).toBeGreaterThan(128 << 10);
  expect(size).toBeLessThanOrEqual(192 << 10); // three times what a page fault maps
});

test("keeps to its budget", () => {
  expect(statSync(podnic).size).toBeLessThanOrEqual(manifest().budgets.podnic);
});

test("is static and names no path of the machine it was built on", () => {
  const { stdout } = spawnSync("file", ["-b", podnic], { encoding: "utf8" });
  expect(stdout).toContain("statically linked");
  const bytes = readFileSync(podnic).toString("latin1");
  for (const path of [root, dir, process.env.HOME ?? "/root"].filter((path) => path.length > 5))
    expect(bytes).not.toContain(path);
});

test("runs in an empty directory as root directory", () => {
  const args = [join(dir, "one"), "/podnic"];
  const env = { CNI_COMMAND: "VERSION" };
  const { status, stdout, stderr } = spawnSync("/usr/sbin/chroot", args, {
    env,
    input: '{"cniVersion":"1.0.0"}',
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout).supportedVersions).toContain("1.1.0");
  expect(status).toBe(0);
  expect(readdirSync(join(dir, "one"))).toEqual(["podnic"]);
});

test("installs itself under the names of the plugins, over what runs", () => {
  const target = mkdtempSync(join(dir, "bin-"));
  for (let times = 0; times < 2; times++) {
    const { status, stdout, stderr } = spawnSync(podnic, ["install", target], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    for (const name of readdirSync(target)) expect(stdout).toContain(join(target, name));
  }
  // A name without a plugin would be a trap: such an executable takes the plugin from the configuration's type.
  expect(readdirSync(target).sort()).toEqual(["podnic", ...calledNames()].sort());
  for (const name of readdirSync(target)) {
    expect(statSync(join(target, name)).mode & 0o7777).toBe(0o755);
    expect(readFileSync(join(target, name)).equals(readFileSync(podnic))).toBe(true);
  }
});

test("tells people what it is", () => {
  const call = (...args: string[]) => spawnSync(podnic, args, { encoding: "utf8" });
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(call("version").stdout).toBe(`podnic ${version}\n`);
  expect(call("--help").stdout).toContain("install");
  expect([call("--help").status, call("frobnicate").status, call("install", "/nonexistent").status]).toEqual([0, 2, 1]);
  expect(call("instal").stderr).toContain("Did you mean install?");
  expect(call("install", "/nonexistent").stderr).toContain("there is no directory /nonexistent");
});
