// The executable with limited resources: a process with limits, twenty calls at once beside a small runtime, and configurations with secrets.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { enterNode, sh } from "./node.ts";

const work = mkdtempSync(join(tmpdir(), "podnic-limits-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

beforeAll(() => {
  enterNode();
  const compiled = spawnSync("cc", ["-O2", "-o", `${work}/launch`, "scripts/bench/launch.c"], { encoding: "utf8" });
  expect(compiled.status, compiled.stderr).toBe(0);
});

beforeEach(() => {
  sh(`rm -rf /var/lib/cni/*; for dev in wire card; do ip link del $dev 2>/dev/null || true; done
      ip netns del pod 2>/dev/null || true; ip netns add pod; ip link set lo up
      ip link add wire type veth peer name wirep; ip link set wire up; ip link set wirep up
      ip link add card type veth peer name cardp; ip link set card up`);
});

const bin = resolve("dist/cni");
const ipam = { type: "host-local", ranges: [[{ subnet: "198.18.77.0/26" }]] };
const configurations: { type: string; [key: string]: unknown }[] = [
  { type: "macvlan", master: "wire", ipam },
  { type: "host-device", device: "card", ipam },
];
const document = (config: object): string => JSON.stringify({ cniVersion: "1.0.0", name: "net", ...config });

const environment = (command: string, more = {}): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  CNI_COMMAND: command,
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/pod",
  CNI_IFNAME: "eth0",
  CNI_PATH: bin,
  ...more,
});

/** `shell` is a piece of shell that runs before the plugin ("$@"). */
function call(command: string, config: { type: string }, shell = "", more = {}, input = document(config)) {
  const argv = ["-c", `${shell}\nexec "$@"`, "sh", join(bin, config.type)];
  const { status, stdout, stderr } = spawnSync("sh", argv, {
    env: environment(command, more),
    input,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const left = (): string =>
  sh(`ip -n pod -o link | grep eth0 || true
      find /var/lib/cni -type f ! -name '*lock' ! -name 'last_reserved*'; ip -o link show card | grep -o ,UP, || true`).trim();

describe.each(configurations)("$type with little", (config) => {
  test.each([
    ["32 MiB of address space", "ulimit -v 32768"],
    ["the lowest priority", "renice -n 19 $$ >/dev/null"],
    ["16 descriptors", "ulimit -n 16"],
  ])("%s works", (_, shell) => {
    for (const command of ["ADD", "CHECK", "DEL"]) {
      const checked = command === "CHECK" ? { ...config, prevResult } : config;
      const { status, stdout, stderr } = call(command, checked, shell);
      expect(status, stdout + stderr).toBe(0);
      if (command === "ADD") prevResult = JSON.parse(stdout);
    }
  });
  let prevResult: unknown;

  test("less and less address space: it works, or says that memory is short, and leaves nothing", () => {
    const before = left();
    const ends = { works: 0, says: 0, dies: 0 };
    for (let kib = 4096; kib > 2048; kib -= 48) {
      const { status, stdout } = call("ADD", config, `ulimit -v ${kib}`);
      if (status === 0) {
        ends.works++;
        expect(call("DEL", config).status).toBe(0);
      } else if (stdout === "") {
        // The kernel could not start the executable.
        ends.dies++;
      } else {
        ends.says++;
        expect(JSON.parse(stdout).msg, `${kib} KiB`).toMatch(/memory/);
      }
      expect(left(), `${kib} KiB`).toBe(before);
    }
    expect(Math.min(ends.works, ends.says), JSON.stringify(ends)).toBeGreaterThan(0);
  }, 60_000);
});

test("twenty simultaneous ADDs need at most 50 MiB, and 2 s of a tenth of a processor", async () => {
  const input = `${work}/input`;
  writeFileSync(input, document(configurations[0]!));
  sh("for n in $(seq 0 19); do ip netns add twenty$n; done");
  const used = await Promise.all(
    Array.from({ length: 20 }, (_, n) => {
      const env = environment("ADD", { CNI_CONTAINERID: `twenty${n}`, CNI_NETNS: `/run/netns/twenty${n}` });
      return new Promise<{ cpu: number; peak: number; status: number }>((done) => {
        const run = spawn(`${work}/launch`, [input, `${bin}/macvlan`], { env });
        let text = "";
        run.stdout.on("data", (chunk) => {
          text += chunk;
        });
        run.on("close", () => {
          const [, cpu, peak, status] = text.trim().split(" ").map(Number);
          done({ cpu: cpu!, peak: peak!, status: status! });
        });
      });
    }),
  );
  for (let n = 0; n < 20; n++) sh(`ip netns del twenty${n}`);
  expect(used.filter(({ status }) => status !== 0)).toEqual([]);
  const sum = (of: "cpu" | "peak"): number => used.reduce((all, each) => all + each[of], 0);
  // The sum of the peaks counts shared memory twenty times.
  expect(sum("peak"), "KiB").toBeLessThan(50 * 1024);
  expect(sum("cpu"), "microseconds").toBeLessThan(200_000);
  // With one hundredth of a processor, such a call takes 5 s.
  expect(Math.max(...used.map(({ cpu }) => cpu))).toBeLessThan(50_000);
}, 60_000);

describe("secrets of a configuration", () => {
  const secret = "hunter2-Z9";
  const hidden = { password: secret, args: { cni: { token: secret } }, runtimeConfig: { "io.example": secret } };

  test.each(configurations)("$type writes them nowhere", (plain) => {
    const config = { ...plain, ...hidden, ipam: { ...ipam, secret } };
    const said: string[] = [];
    const note = ({ stdout, stderr }: { stdout: string; stderr: string }): number => said.push(stdout, stderr);
    const args = { CNI_ARGS: `IgnoreUnknown=1;TOKEN=${secret}`, TOKEN: secret };
    const run = (command: string, more = {}) => {
      const result = call(command, { ...config, ...more }, "", args);
      note(result);
      return result;
    };
    expect(run("ADD").status).toBe(0);
    // ADD again, with a device that does not exist, with an invalid value, and with a text that is not JSON.
    for (const more of [{}, { master: "none0", device: "none0" }, { ipam: { ...ipam, ranges: 5, secret } }])
      expect(run("ADD", more).status).toBe(1);
    const cut = document(config).slice(0, -1);
    const broken = call("ADD", config, "", args, cut);
    note(broken);
    expect(broken.status).toBe(1);
    const kept = () =>
      spawnSync("grep", ["-rl", "--devices=skip", "--exclude-dir=netns", secret, "/var/lib/cni", "/run"], {
        encoding: "utf8",
      });
    // grep exits with 1 if it has read all files and found nothing.
    expect(kept()).toMatchObject({ status: 1, stdout: "" });
    const prevResult = JSON.parse(said[0]!);
    expect([run("CHECK", { prevResult }).status, run("DEL", { prevResult }).status]).toEqual([0, 0]);
    expect(run("GC", { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }).status).toBe(0);
    expect(said.filter((text) => text.includes(secret))).toEqual([]);
    expect(kept()).toMatchObject({ status: 1, stdout: "" });
  });
});
