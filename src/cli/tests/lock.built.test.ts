// The executable waits for another process's lock in the kernel's queue, and only for a limited time.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import { enterNode, sh } from "./node.ts";

const pool = "/var/lib/cni/networks/net";
const hostLocal = resolve("dist/cni/host-local");
const input = JSON.stringify({
  cniVersion: "1.0.0",
  name: "net",
  type: "macvlan",
  ipam: { type: "host-local", ranges: [[{ subnet: "198.18.77.0/26" }]] },
});
const env = { CNI_COMMAND: "ADD", CNI_NETNS: "/run/netns/none", CNI_IFNAME: "eth0", CNI_PATH: "/" };

beforeAll(() => {
  enterNode();
  mkdirSync(pool, { recursive: true });
  mkdirSync("/etc/cni", { recursive: true });
});

let holder: ChildProcess | undefined;

/** Locks the pool for some seconds, or until the test ends. The lock is held when this function returns. */
function hold(seconds: number): void {
  const command = [`${pool}/lock`, "sh", "-c", `touch /run/held; exec sleep ${seconds}`];
  holder = spawn("flock", command, { stdio: "ignore", detached: true });
  sh("until [ -e /run/held ]; do sleep 0.01; done; rm /run/held");
}

afterEach(() => {
  if (holder?.exitCode === null) process.kill(-holder.pid!, "SIGKILL");
});

/** Runs ADD for a container, with the command `before` in front of the plugin. Measures the time. */
function add(id: string, ...before: string[]) {
  const start = performance.now();
  const [program, ...rest] = [...before, hostLocal];
  const { status, stdout } = spawnSync(program!, rest, {
    env: { PATH: process.env.PATH, ...env, CNI_CONTAINERID: id },
    input,
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, answer: stdout === "" ? undefined : JSON.parse(stdout), milliseconds: performance.now() - start };
}

test("waits in flock(2), and gets the lock when it is free", () => {
  hold(0.5);
  const trace = "/run/trace";
  const { status, milliseconds } = add("c1", "strace", "-o", trace, "-e", "trace=flock,clock_nanosleep");
  expect(status).toBe(0);
  expect(milliseconds).toBeGreaterThan(300);
  const calls = sh(`cat ${trace}`)
    .split("\n")
    .filter((line) => !line.startsWith("+++"))
    .join("\n");
  expect(calls).toMatch(/LOCK_EX\|LOCK_NB\) += -1 EAGAIN/);
  expect(calls).toMatch(/LOCK_EX\) += 0/);
  expect(calls).not.toContain("clock_nanosleep");
});

// A runtime may have blocked or ignored the signal that ends the wait.
test.each([["env"], ["env", "--block-signal=ALRM"], ["env", "--ignore-signal=ALRM"]])(
  "gives up (%s %s)",
  (...before) => {
    writeFileSync("/etc/cni/podnic.json", '{"lockTimeout":300}');
    hold(20);
    const { status, answer, milliseconds } = add("c2", ...before);
    expect(status).toBe(1);
    expect(answer).toMatchObject({ code: 11, msg: `${pool}/lock is locked by another process` });
    expect(milliseconds).toBeGreaterThanOrEqual(300);
    expect(milliseconds).toBeLessThan(15_000);
  },
);

test("a waiter that is killed leaves the lock to the next", async () => {
  writeFileSync("/etc/cni/podnic.json", "{}");
  hold(0.6);
  const killed = spawn(hostLocal, { env: { ...env, CNI_CONTAINERID: "c3" } });
  killed.stdin.end(input);
  const ended = new Promise((done) => killed.once("exit", (_, signal) => done(signal)));
  setTimeout(() => killed.kill("SIGTERM"), 200);
  expect(await ended).toBe("SIGTERM");
  expect(add("c4").status).toBe(0);
});
