// What calls after a cut leave on the disk and of the node has to be seen: without a guest, on a directory in the place of the disk.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileTools } from "../interleave/picture.ts";

const dist = resolve("dist/cni");
let dir: string;
let tools: string;

const program = (path: string, script: string) => writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });

beforeAll(() => {
  dir = mkdtempSync("/tmp/podnic-cut-");
  tools = compileTools();
  mkdirSync(`${dir}/stubs`);
  program(`${dir}/stubs/mount`, "exit 0");
  program(`${dir}/stubs/umount`, "exit 0");
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** What a look finds. @param wrong what host-device does after a DEL that succeeds, and host-local after an ADD */
function foundOf(wrong: { device?: string; ipam?: string }): string[] {
  const bin = mkdtempSync(`${dir}/cni-`);
  const after = (plugin: string, command: string, script = ":") =>
    program(
      `${bin}/${plugin}`,
      `${dist}/${plugin} || exit\n[ $CNI_COMMAND != ${command} ] || { ${script}; } >/dev/null 2>&1\nexit 0`,
    );
  after("host-device", "DEL", wrong.device);
  after("host-local", "ADD", wrong.ipam);
  const setUp = `set -e
mount -t tmpfs x /run; mkdir -p /run/podnic-vm /run/netns; ln -s /bin/true /run/podnic-vm/modprobe
mount -t tmpfs x /var/lib; mkdir /var/lib/cni; ip link set lo up
exec node scripts/ts.mjs conformance/powercut/look.ts ${tools} ${bin} ${dir}/stubs`;
  const run = spawnSync("unshare", ["-mn", "--propagation", "private", "bash", "-c", setUp], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout) as string[];
}

test("right plugins leave nothing", { timeout: 60_000 }, () => {
  expect(foundOf({})).toEqual([]);
});

const changes: readonly (readonly [string, { device?: string; ipam?: string }, RegExp])[] = [
  ["a hidden file beside the networks", { ipam: ": >/var/lib/cni/networks/.left" }, /file .*\/networks\/\.left$/],
  ["a temporary lease", { ipam: ": >/var/lib/cni/networks/net1/.198.51.100.10.tmp" }, /networks\/net1\/\.198/],
  ["a file beside the records", { device: ": >/var/lib/cni/podnic/host-device/tmp.7" }, /host-device\/tmp\.7$/],
  ["a file", { device: ": >/var/lib/cni/podnic/rec.7" }, /podnic\/rec\.7$/],
  ["a device of another size, down", { device: "ip link set nic0 down mtu 1399" }, /host nic0 mtu 1399 down/],
  ["a device in the pod", { device: "ip link set nic0 name eth0 netns c1" }, /missing: host nic0 /],
  ["a bridge", { device: "ip link add nic9 type bridge" }, /host nic9 /],
  ["a rule", { device: "ip rule add from 192.0.2.4 table 7" }, /rule host .* table 7 /],
];
test("what wrong ones leave is found", { timeout: 60_000 }, () => {
  const gone = /in the pod/;
  const all = changes.filter(([name]) => !gone.test(name));
  const script = (of: "device" | "ipam") => all.flatMap(([, wrong]) => wrong[of] ?? []).join("; ");
  const found = foundOf({ device: script("device"), ipam: script("ipam") });
  expect(all.filter(([, , line]) => !found.some((one) => line.test(one))).map(([name]) => name)).toEqual([]);
  for (const [, wrong, line] of changes.filter(([name]) => gone.test(name)))
    expect(foundOf(wrong).some((one) => line.test(one))).toBe(true);
});
