// What a benchmark needs: the launcher, the implementations, devices and leases. Everything runs inside scripts/sandbox.ts.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { musl } from "../build/engine.ts";
import { cache, dist, root, run } from "../build/paths.ts";
import { hideState, sh } from "../sandbox.ts";

export interface Implementation {
  name: string;
  dir: string;
}

export interface Sample {
  /** Milliseconds from start to end. */
  wall: number;
  /** Milliseconds of CPU time, including child processes. */
  cpu: number;
  /** Peak memory in MiB, of the largest process. */
  memory: number;
  /** The number of periods in which the quota stopped the call. */
  stopped: number;
}

export interface Call {
  command: string;
  netns?: string;
  config: object;
  /** The number of simultaneous calls. The names of their containers and namespaces end with 0, 1 and so on. */
  atOnce?: number;
}

const work = join(cache, "bench");
const launcher = join(work, "launch");

function present(all: Implementation[]): Implementation[] {
  const there = all.filter(({ dir }) => existsSync(join(dir, "host-device")));
  for (const { name, dir } of all)
    if (!existsSync(join(dir, "host-device"))) console.log(`${name} is left out: no ${dir}/host-device`);
  return there;
}

export function implementations(): Implementation[] {
  return present([
    { name: "podnic", dir: join(dist, "cni") },
    { name: "Go 1.1.1", dir: "/usr/lib/cni" },
    { name: "Go 1.9.1", dir: join(cache, "go-plugins/1.9.1") },
  ]);
}

/**
 * The same implementation from a fresh copy. The layout of a file in the page cache determines how many page faults a start takes: the same podnic
 * took 2.30 ms as a new file and 2.54 ms as an old one.
 */
export function copied({ name, dir }: Implementation): Implementation {
  const copy = join(work, "copies", name.replaceAll(" ", "-"));
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(join(work, "copies"), { recursive: true });
  // With -a, the names of one executable remain links to one file.
  run("cp", ["-a", dir, copy]);
  return { name, dir: copy };
}

/** The package on Node, if `npm run build:pkg` has built it. */
export function onNode(): Implementation[] {
  return present([{ name: "podnic-node", dir: join(dist, "pkg/cni") }]);
}

/** Size in bytes of the host-device executable. */
export function size({ dir }: Implementation): number {
  return statSync(join(dir, "host-device")).size;
}

/** Makes the rules of this many pods for spoof checks and masquerading, as the Go plugin and podnic make them. */
export function makeRules(pods: number): void {
  const all = Array.from({ length: pods }, (_, n) => ({
    id: `pod${n}-eth0`,
    address: `10.200.${n >> 8}.${n & 255}`,
    n,
  }));
  const mac = (n: number) =>
    `02:00:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`;
  const comment = (id: string) => `comment "macspoofchk-${id}"`;
  const chains = all.map(
    ({ id, n }) => `chain cni-br-iface-${id}-mac { ether saddr ${mac(n)} return ${comment(id)}; drop ${comment(id)}; }
      chain cni-br-iface-${id} { jump cni-br-iface-${id}-mac ${comment(id)}; }`,
  );
  const jumps = all.map(({ id, n }) => `iifname "pod${n}" jump cni-br-iface-${id} ${comment(id)}`);
  const checks = all.map(
    ({ address, id }) => `ip saddr ${address} ip daddr != 10.200.0.0/16 masquerade comment "${id}"`,
  );
  const text = `table bridge nat {
    ${chains.join("\n")}
    chain PREROUTING { type filter hook prerouting priority -300; ${jumps.join("\n")}
    }
  }
  table inet cni_plugins_masquerade {
    chain masq_checks { ${checks.join("\n")}
    }
    chain postrouting { type nat hook postrouting priority 100;
      ip daddr 224.0.0.0/4 return; ip6 daddr ff00::/8 return; goto masq_checks; }
  }`;
  run("nft", ["-f", "-"], Buffer.from(text));
}

function compileC(source: string, target: string): void {
  run(
    "musl-gcc",
    [...musl.compile, ...musl.link, "-x", "c", "-", "-I", "scripts/bench", "-o", target],
    Buffer.from(source),
  );
}

/** Builds the C programs that show how much time the kernel itself takes: see floor.c and bridge-floor.c. */
export function makeFloor(): Implementation {
  const dir = join(work, "floor");
  mkdirSync(dir);
  const source = readFileSync(join(root, "scripts/bench/floor.c"), "utf8");
  for (const plugin of ["macvlan", "host-device"]) compileC(source, join(dir, plugin));
  compileC(readFileSync(join(root, "scripts/bench/bridge-floor.c"), "utf8"), join(dir, "bridge"));
  return { name: "C", dir };
}

/** Prepares the sandbox. Returns an empty static program under the name host-device, which shows the cost of starting any process. */
export function prepare(launcherSource: string): Implementation {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(join(work, "empty"), { recursive: true });
  mkdirSync(join(work, "state"));
  compileC(launcherSource, launcher);
  compileC("int main(void) { return 0; }", join(work, "empty/host-device"));
  hideState();
  // Leases go to a real disk: on a tmpfs, fsync costs nothing, and only podnic calls it.
  sh("mount", "--bind", join(work, "state"), "/var/lib/cni");
  return { name: "empty static C", dir: join(work, "empty") };
}

export function cleanUp(): void {
  rmSync(work, { recursive: true, force: true });
  for (let tries = 1; hasQuota; tries++) {
    try {
      rmdirSync(group);
      hasQuota = false;
    } catch (error) {
      // A child process of a call may outlive the call by 20 ms.
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || tries === 10) throw error;
      pause();
    }
  }
}

/** The kernel's default period, in microseconds. */
const PERIOD = 100_000;
const groups = "/run/cgroup";
const group = join(groups, "podnic-bench");
let hasQuota = false;

/** Makes all later calls run in a cgroup with a quota of this many processors. */
export function setQuota(processors: number): void {
  mkdirSync(groups);
  const time = Math.round(processors * PERIOD);
  sh("mount", "-t", "cgroup2", "podnic", groups);
  const isSecond = readFileSync(join(groups, "cgroup.controllers"), "utf8").split(/\s/).includes("cpu");
  if (isSecond) writeFileSync(join(groups, "cgroup.subtree_control"), "+cpu");
  else {
    sh("umount", groups);
    sh("mount", "-t", "cgroup", "-o", "cpu", "podnic", groups);
  }
  mkdirSync(group, { recursive: true });
  hasQuota = true;
  if (isSecond) writeFileSync(join(group, "cpu.max"), `${time} ${PERIOD}`);
  else {
    writeFileSync(join(group, "cpu.cfs_period_us"), `${PERIOD}`);
    writeFileSync(join(group, "cpu.cfs_quota_us"), `${time}`);
  }
}

function periodsStopped(): number {
  if (!hasQuota) return 0;
  return Number(/^nr_throttled (\d+)$/m.exec(readFileSync(join(group, "cpu.stat"), "utf8"))?.[1]);
}

/** Runs a plugin once. Throws if it fails. */
export function measure(implementation: Implementation, plugin: string, call: Call): Sample {
  const input = join(work, "input.json");
  writeFileSync(input, JSON.stringify(call.config));
  const env = {
    // The Go plugin runs nft and iptables.
    PATH: process.env.PATH,
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: "bench",
    CNI_NETNS: call.netns ?? "/run/netns/none",
    CNI_IFNAME: "eth0",
    CNI_PATH: implementation.dir,
    ...(hasQuota ? { QUOTA_PROCS: join(group, "cgroup.procs") } : {}),
    ...(call.atOnce === undefined ? {} : { AT_ONCE: `${call.atOnce}` }),
  };
  const program = join(implementation.dir, plugin);
  const before = periodsStopped();
  const { stdout } = spawnSync(launcher, [input, program], { env, encoding: "utf8", cwd: root });
  const [wall, cpu, memory, status] = stdout.trim().split(" ").map(Number);
  if (status !== 0) {
    const again = spawnSync(program, { env, input: JSON.stringify(call.config), encoding: "utf8" });
    throw new Error(
      `${implementation.name} ${plugin} ${call.command} failed; again it says: ${again.stdout}${again.stderr}`,
    );
  }
  return { wall: wall! / 1e6, cpu: cpu! / 1e3, memory: memory! / 1024, stopped: periodsStopped() - before };
}

/** True if the kernel supports links of this kind on a master. */
export function hasKind(kind: string): boolean {
  sh("ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1");
  const { status } = spawnSync("ip", ["link", "add", "probe2", "link", "probe0", "type", kind]);
  sh("ip", "link", "del", "probe0");
  return status === 0;
}

/** Makes a veth whose end `device` stands for a card, and a pod's namespace, for one implementation. */
export function makeDevice(device: string, pod: string): void {
  sh("ip", "link", "add", device, "type", "veth", "peer", "name", `${device}p`);
  sh("ip", "link", "set", `${device}p`, "up");
  sh("ip", "netns", "add", pod);
}

export function bringUp(device: string): void {
  sh("ip", "link", "set", device, "up");
}

/** Makes a host-local network with `count` allocated addresses. */
export function makeLeases(network: string, count: number): void {
  const dir = `/var/lib/cni/networks/${network}`;
  mkdirSync(dir, { recursive: true });
  let last = "";
  for (let i = 2; i < count + 2; i++) {
    last = `10.${64 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
    writeFileSync(join(dir, last), `container-${i}\r\neth0`);
  }
  writeFileSync(join(dir, "last_reserved_ip.0"), last);
}

/** Waits for a random time, so that runs begin at different phases of the kernel's clock: moving a device waits for its ticks. */
export function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20 + Math.random() * 8);
}
