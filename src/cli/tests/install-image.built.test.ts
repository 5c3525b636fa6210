// `podnic install` as a replacement for sriov-cni's image: the same arguments, the same directory, and the wait for SIGTERM.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { recognise } from "../install/recognise.ts";

let root: string;
let bin: string;

/** The image: a root directory with the executable, in which the node's plugin directory is mounted. */
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "podnic-image-"));
  bin = join(root, "host/opt/cni/bin");
  mkdirSync(bin, { recursive: true });
  copyFileSync(resolve("dist/podnic"), join(root, "podnic"));
  chmodSync(join(root, "podnic"), 0o755);
});
afterEach(() => rmSync(root, { recursive: true }));

function run(...args: string[]): { status: number | null; stderr: string } {
  return spawnSync("chroot", [root, "/podnic", "install", ...args], { encoding: "utf8", timeout: 10_000 });
}

it("--no-sleep installs sriov, replaces nothing else, and exits", () => {
  copyFileSync("/usr/lib/cni/macvlan", join(bin, "macvlan"));
  expect(run("--no-sleep")).toMatchObject({ status: 0, stderr: "" });
  expect(readdirSync(bin).sort()).toEqual(["macvlan", "podnic", "sriov"]);
  expect(recognise(join(bin, "macvlan"))).toBe("Go plugin");
  expect(recognise(join(bin, "sriov"))).toBe("podnic");
});

it("--only says which plugins, also there", () => {
  expect(run("--no-sleep", "--only", "sriov", "host-local").status).toBe(0);
  expect(readdirSync(bin).sort()).toEqual(["host-local", "podnic", "sriov"]);
});

it("--cni-bin-dir= names another directory", () => {
  mkdirSync(join(root, "other"));
  expect(run("--cni-bin-dir=/other", "--no-sleep").status).toBe(0);
  expect([readdirSync(join(root, "other")).sort(), readdirSync(bin)]).toEqual([["podnic", "sriov"], []]);
  expect(run("--cni-bin-dir=/nowhere", "--no-sleep").status).toBe(1);
  expect(run("--cni-bin-dir=/other", "/other")).toMatchObject({ status: 2 });
});

it("outside of a container a directory must be named", () => {
  rmSync(join(root, "host"), { recursive: true });
  expect(run("--no-sleep")).toMatchObject({ status: 2, stderr: expect.stringContaining("no directory given") });
});

/** Starts podnic as process 1 of a PID namespace, as in a container. The kernel discards signals that process 1 does not handle. */
function start(...args: string[]): ChildProcess {
  return spawn("unshare", ["--pid", "--fork", "--kill-child", "chroot", root, "/podnic", "install", ...args]);
}

function said(child: ChildProcess, text: string): Promise<void> {
  return new Promise((done, failed) => {
    let all = "";
    child.stderr!.on("data", (data) => {
      all += data;
      if (all.includes(text)) done();
    });
    child.on("close", () => failed(new Error(`ended without saying "${text}": ${all}`)));
  });
}

it("without --no-sleep it stays, and SIGTERM ends it at once, as process 1 too", async () => {
  const child = start();
  await said(child, "waiting for SIGTERM");
  expect(readdirSync(bin).sort()).toEqual(["podnic", "sriov"]);
  await sleep(200);
  expect(child.exitCode).toBe(null);
  const [inside] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  const ended = new Promise((done) => child.on("close", done));
  process.kill(Number(inside), "SIGTERM");
  const end = await Promise.race([ended, sleep(5000, "still there")]);
  child.kill("SIGKILL");
  expect(end).toBe(0);
});

it("with a directory it ends, as it always did", () => {
  expect(run("/host/opt/cni/bin").status).toBe(0);
  expect(readdirSync(bin)).toContain("macvlan");
});
