// The demo shows what it promises, and leaves nothing behind, even if it is interrupted or killed.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import { root } from "./build/paths.ts";

/** The state of the machine in which a demo could leave something behind. */
function picture(): object {
  const links = spawnSync("ip", ["-j", "-o", "link"], { encoding: "utf8" }).stdout;
  const names = (JSON.parse(links) as { ifname: string }[])
    .map(({ ifname }) => ifname)
    .filter((name) => name.startsWith("wire"));
  const list = (dir: string) =>
    existsSync(dir) ? readdirSync(dir).filter((name) => /blue|green|fixed|pool/.test(name)) : [];
  return { names, netns: list("/run/netns"), networks: list("/var/lib/cni/networks"), state: list("/var/lib/cni") };
}

/** The processes of a session that still exist. */
function left(session: number): string[] {
  const { stdout } = spawnSync("ps", ["-o", "pid=,args=", "-s", String(session)], { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line.trim() !== "");
}

/** Runs the demo in its own session. `signal` goes to the whole session, as from a terminal, after the first ADD. */
async function demo(signal?: NodeJS.Signals): Promise<{ output: string; status: number | null; session: number }> {
  const child = spawn("node", ["scripts/ts.mjs", "scripts/demo.ts"], { cwd: root, detached: true });
  let output = "";
  let sent = false;
  const add = (data: Buffer) => {
    output += data.toString();
    if (signal === undefined || sent || !output.includes("ADD ")) return;
    sent = true;
    process.kill(-child.pid!, signal);
  };
  child.stdout.on("data", add);
  child.stderr.on("data", add);
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { output, status, session: child.pid! };
}

beforeAll(() => {
  const { status, stderr } = spawnSync("node", ["scripts/ts.mjs", "scripts/build.ts"], { cwd: root, encoding: "utf8" });
  expect(status, stderr).toBe(0);
}, 600_000);

test("shows both IPAM plugins and leaves nothing", async () => {
  const before = picture();
  const { output, status } = await demo();
  const steps = output.match(/with (static|host-local)|ADD|CHECK|DEL|3 of 3 answered/g)?.join(" ");
  const each = "ADD ADD 3 of 3 answered 3 of 3 answered CHECK CHECK DEL DEL";
  expect(steps).toBe(`with static ${each} with host-local ${each}`);
  expect(status).toBe(0);
  expect(picture()).toEqual(before);
}, 60_000);

test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "leaves nothing after %s",
  async (signal) => {
    const before = picture();
    const { output, session } = await demo(signal);
    expect(output).not.toContain("Nothing is left");
    await expect.poll(() => left(session), { timeout: 5000 }).toEqual([]);
    expect(picture()).toEqual(before);
  },
  60_000,
);
