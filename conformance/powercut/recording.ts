// The calls whose writes are logged: pods of three networks come and go on a file system that is /var/lib/cni.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Random } from "../../src/testing/random.ts";
import { type Answer, begin, end, type Step } from "./cuts.ts";
import { type Entry, readLog } from "./log.ts";
import type { FileSystem } from "./systems.ts";

/** Small, so that addresses are given again soon. */
const POOL = { subnet: "198.51.100.0/24", rangeStart: "198.51.100.10", rangeEnd: "198.51.100.21" };
const ALIVE = 5;
export const NETNS = "/run/netns/c1";

/** Two networks of host-local alone, and one of a device, which has a record besides. */
export const networks: Readonly<Record<string, string>> = {
  net1: "host-local",
  net2: "host-local",
  net3: "host-device",
};

export function configOf(network: string, more: object = {}): string {
  const type = networks[network]!;
  const device = type === "host-device" ? { device: "nic0" } : {};
  const ipam = { type: "host-local", ranges: [[POOL]] };
  return JSON.stringify({ cniVersion: "1.1.0", name: network, type, ...device, ipam, ...more });
}

/** Groups of calls; those of one group run at once. */
export function drawSteps(count: number, random: Random): Step[][] {
  const alive: Step[] = [];
  const groups: Step[][] = [];
  let id = 0;
  const add = (network: string): Step => {
    const step = { id: ++id, command: "ADD", plugin: networks[network]!, network, container: `ctr-${id}` } as const;
    alive.push(step);
    return step;
  };
  const del = (given: Step): Step => {
    alive.splice(alive.indexOf(given), 1);
    return { ...given, id: ++id, command: "DEL" };
  };
  while (id < count) {
    const device = alive.find((one) => one.network === "net3");
    const others = alive.filter((one) => one !== device);
    if (id % 11 === 5) groups.push([device === undefined ? add("net3") : del(device)]);
    else if (others.length >= ALIVE) groups.push([del(random.pick(others))]);
    else if (others.length > 1 && random.chance(0.4)) groups.push([del(random.pick(others)), add("net1")]);
    else groups.push(random.chance(0.3) ? [add("net1"), add("net1")] : [add(id < count / 3 ? "net1" : "net2")]);
  }
  return groups;
}

export interface Recording {
  readonly steps: readonly Step[];
  readonly answers: ReadonlyMap<number, Answer>;
  readonly log: readonly Entry[];
  /** The disk as it was before the first mount. */
  readonly base: string;
}

/** @param tools directory of step and mark. @throws when a call fails that must not */
export function record(
  system: FileSystem,
  given: Step[][],
  fault: string | undefined,
  bin: string,
  tools: string,
): Recording {
  const dir = "/run/powercut/recording";
  mkdirSync(dir, { recursive: true });
  const steps = given.flat();
  for (const step of steps) prepare(`${dir}/${step.id}`, step, bin);
  writeFileSync("/run/powercut/record.sh", recordScript(system, given, fault, dir, tools));
  const run = spawnSync("bash", ["/run/powercut/record.sh"], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`recording on ${system.name}: ${run.stdout}${run.stderr}`);
  const answers = new Map(steps.map((step) => [step.id, answerOf(`${dir}/${step.id}`)]));
  for (const step of steps) {
    const failed = answers.get(step.id)!.status !== 0;
    if (failed)
      throw new Error(`${step.command} of ${step.container}: ${readFileSync(`${dir}/${step.id}/out`, "utf8")}`);
  }
  return { steps, answers, log: readLog("/run/powercut/log.img"), base: "/run/powercut/base.img" };
}

/** As step.c wants it. */
function prepare(dir: string, step: Step, bin: string): void {
  mkdirSync(dir, { recursive: true });
  const environment = {
    CNI_COMMAND: step.command,
    CNI_CONTAINERID: step.container,
    CNI_NETNS: NETNS,
    CNI_IFNAME: "eth0",
    CNI_PATH: bin,
  };
  const lines = Object.entries(environment).map(([key, value]) => `${key}=${value}\0`);
  writeFileSync(`${dir}/env`, lines.join(""));
  writeFileSync(`${dir}/exec`, `${bin}/${step.plugin}`);
  writeFileSync(`${dir}/arguments`, "");
  writeFileSync(`${dir}/in`, configOf(step.network));
}

function answerOf(dir: string): Answer {
  const status = Number(readFileSync(`${dir}/status`, "utf8").split(" ")[0]);
  const out = readFileSync(`${dir}/out`, "utf8");
  if (status !== 0 || out === "") return { status };
  const { ips } = JSON.parse(out) as { ips?: { address: string }[] };
  return { status, ...(ips?.[0] && { address: ips[0].address.split("/")[0]! }) };
}

/** From the middle on, what is dirty is written within a tenth of a second: more of it comes to the disk between two flushes. */
function recordScript(
  system: FileSystem,
  given: Step[][],
  fault: string | undefined,
  dir: string,
  tools: string,
): string {
  const lines = given.map((group) => `${group.map((step) => `call ${step.id} &`).join(" ")} wait`);
  const half = Math.floor(lines.length / 2);
  const hurry = [
    "for name in dirty_writeback_centisecs dirty_expire_centisecs; do echo 10 >/proc/sys/vm/$name; done",
    `[ ${system.type} = xfs ] || mount -o remount,commit=1 /var/lib/cni`,
  ];
  return `set -e
cd /run/powercut
rm -f log.img disk.img base.img
truncate -s 400M log.img
truncate -s ${system.megabytes}M disk.img
${system.make} disk.img
cp --sparse=always disk.img base.img
disk=$(losetup -f --show disk.img)
log=$(losetup -f --show log.img)
dmsetup create --noudevsync podnic-cut --table "0 $(blockdev --getsz $disk) log-writes $disk $log"
for name in dirty_writeback_centisecs:500 dirty_expire_centisecs:3000; do echo \${name#*:} >/proc/sys/vm/\${name%:*}; done
mkdir -p /var/lib/cni
mount -t ${system.type} /dev/mapper/podnic-cut /var/lib/cni
rm -rf /run/podnic /run/cni
call() {
  ${tools}/mark podnic-cut ${begin(0).slice(0, -1)}$1
  ${tools}/step ${fault === undefined ? "" : `-F ${fault}`} 0 ${dir}/$1 >${dir}/$1/status 2>&1 || true
  ${tools}/mark podnic-cut ${end(0).slice(0, -1)}$1
}
${[...lines.slice(0, half), ...hurry, ...lines.slice(half)].join("\n")}
umount /var/lib/cni
dmsetup remove podnic-cut
losetup -d $disk
losetup -d $log
rm disk.img
`;
}
