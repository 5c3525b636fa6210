// A node after the cut: the disk is mounted, kubelet starts pods, deletes those of the time before, and the runtime calls GC.
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import type { Shell } from "../faults/shell.ts";
import { hasTables, linesIn, RULES, rulesIn, unlike } from "../interleave/picture.ts";
import { type Cut, judgeFiles, judgeLeases, type Owed, owed, unlessRenamed } from "./cuts.ts";
import { configOf, NETNS, networks, type Recording } from "./recording.ts";
import type { FileSystem } from "./systems.ts";

const CURRENT = "/run/powercut/current.img";
const NEW = "ctr-new";
/** As a boot does, wherever the calls before have left it: the same each time. */
const MAKE_DEVICE = `ip link del nic0p 2>/dev/null || true
ip link add nic0 address 02:00:00:00:00:01 type veth peer name nic0p address 02:00:00:00:00:02
ip link set nic0p up; ip link set nic0 up mtu 1450`;
/** Devices that are there before any call. */
const LENT = /^(nic0|nic0p|lo)$/;

/** A disk on which the log is played, forward only. */
export class Disk {
  readonly #recording: Recording;
  readonly #fd: number;
  #at = 0;

  constructor(recording: Recording) {
    this.#recording = recording;
    spawnSync("cp", ["--sparse=always", recording.base, CURRENT]);
    this.#fd = openSync(CURRENT, "r+");
  }

  /** As it was at the cut, while `body` runs. */
  async during<T>(cut: Cut, body: () => Promise<T>): Promise<T> {
    const { log } = this.#recording;
    for (; this.#at < cut.at; this.#at++) this.#write(log[this.#at]!.data, log[this.#at]!.at);
    const before = cut.more.map((n) => this.#read(log[n]!.data.length, log[n]!.at));
    for (const n of cut.more) this.#write(log[n]!.data, log[n]!.at);
    try {
      return await body();
    } finally {
      // Backwards: two of them may be of one place.
      for (let n = cut.more.length - 1; n >= 0; n--) this.#write(before[n]!, log[cut.more[n]!]!.at);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(data: Buffer, at: number): void {
    if (data.length > 0) writeSync(this.#fd, data, 0, data.length, at);
  }

  #read(length: number, at: number): Buffer {
    const data = Buffer.alloc(length);
    readSync(this.#fd, data, 0, length, at);
    return data;
  }
}

export interface Found {
  readonly wrong: readonly string[];
  /** Leases without an owner: of an ADD that nobody heard of. They stay until `podnic gc`. */
  readonly ownerless: number;
  /** Something was only what a file system without a journal may make of a new name. */
  readonly renamed: boolean;
}

interface Answer {
  readonly name: string;
  readonly status: number;
  readonly said: string;
}

/** What happens after this cut. Each look takes other networks and containers, since one with all would take three times as long. */
interface Plan {
  readonly due: Owed;
  /** Networks whose pods start and end, and in which the runtime calls GC. */
  readonly networks: readonly string[];
  /** One that has an address: network/address and container. */
  readonly deleted: readonly [string, string] | undefined;
  /** One that may have an address: network and container. */
  readonly stale: readonly [string, string] | undefined;
}

function planOf(recording: Recording, cut: Cut): Plan {
  const due = owed(recording.log, cut, recording.steps, recording.answers);
  const chosen = [cut.at % 2 === 0 ? "net1" : "net2", ...(cut.at % 3 === 0 ? ["net3"] : [])];
  const kept = [...due.must].filter(([key]) => chosen.includes(key.split("/")[0]!));
  const holders = new Set(due.must.values());
  const others = recording.steps.filter(
    ({ container, network }) => chosen.includes(network) && due.begun.has(container) && !holders.has(container),
  );
  const stale = others[cut.at % Math.max(1, others.length)];
  return {
    due,
    networks: chosen,
    deleted: kept[cut.at % Math.max(1, kept.length)],
    stale: stale && [stale.network, stale.container],
  };
}

export async function lookAt(
  shell: Shell,
  system: FileSystem,
  recording: Recording,
  cut: Cut,
  bin: string,
  brief: boolean,
  node: Node,
): Promise<Found> {
  const plan = planOf(recording, cut);
  const script = brief ? briefScript(system) : aftermathScript(system, bin, plan, node.picture);
  writeFileSync("/run/powercut/aftermath.sh", script);
  const said = await shell.run("bash /run/powercut/aftermath.sh 2>&1", 120_000);
  const lines = said.split("\n").map((line) => line.split("\t"));
  if (lines.at(-2)?.[0] !== "done") {
    await shell.run("umount /var/lib/cni 2>/dev/null");
    return { wrong: [`no end: ${said.slice(-500)}`], ownerless: 0, renamed: false };
  }
  const leases = (when: string) =>
    new Map(lines.filter(([word]) => word === when).map(([, key, text]) => [key!, text!] as const));
  const answers = lines.flatMap(([word, name, status, what]) =>
    word === "call" ? [{ name: name!, status: Number(status), said: what! }] : [],
  );
  const first = leases("before");
  const wrong = judgeLeases(first, plan.due);
  wrong.push(...answers.filter(({ status }) => status !== 0).map(({ name, said }) => `${name}: ${said}`));
  if (!brief) {
    wrong.push(...judgeEnd(leases("after"), answers, plan));
    const told = (what: string) => lines.filter(([word]) => word === what).map(([, ...columns]) => columns.join("\t"));
    wrong.push(...judgeFiles(told("file"), plan.due, plan.networks));
    wrong.push(...unlike(node.bare, seenIn(told("node"), told("rules"))));
  }
  const remains = system.repair === undefined ? wrong : unlessRenamed(wrong, plan.due);
  const ownerless = [...first.values()].filter((text) => text === "").length;
  return { wrong: remains, ownerless, renamed: remains.length < wrong.length };
}

/** After GC there is what runs, and no more. */
function judgeEnd(found: ReadonlyMap<string, string>, answers: readonly Answer[], plan: Plan): string[] {
  const wrong: string[] = [];
  const looked = (key: string): boolean => plan.networks.includes(key.split("/")[0]!);
  const expected = new Map([...plan.due.must].filter(([key]) => looked(key) && key !== plan.deleted?.[0]));
  for (const { name, said, status } of answers) {
    const network = /^ADD in (net[12])$/.exec(name)?.[1];
    if (network === undefined || status !== 0) continue;
    const key = `${network}/${/"address": ?"([^/"]+)/.exec(said)?.[1]}`;
    const has = plan.due.must.get(key);
    if (has !== undefined) wrong.push(`${key} is ${has}'s, and ${NEW} got it`);
    expected.set(key, NEW);
  }
  for (const [key, container] of expected)
    if (found.get(key) !== `${container} eth0`)
      wrong.push(`after GC ${key} is "${found.get(key)}", not ${container}'s`);
  // Whose a lease without an owner is, GC cannot know; `podnic gc` asks the pods.
  for (const [key, text] of found)
    if (looked(key) && !expected.has(key) && text !== "") wrong.push(`after GC ${key} is still "${text}"`);
  return wrong;
}

function callsOf({ due, networks: chosen, deleted, stale }: Plan): string[] {
  const call = (name: string, command: string, network: string, container: string, netns = NETNS, more = {}) =>
    `call '${name}' ${command} ${networks[network]} '${container}' '${netns}' '${configOf(network, more)}'`;
  const plain = chosen[0]!;
  const valid = (network: string, also: string[]) => {
    const held = [...due.must].filter(([key]) => key.startsWith(network) && key !== deleted?.[0]);
    const containers = [...held.map(([, container]) => container), ...also];
    return { "cni.dev/valid-attachments": containers.map((containerID) => ({ containerID, ifname: "eth0" })) };
  };
  const del = ([where, container]: readonly [string, string]) =>
    call(`DEL of ${container}`, "DEL", where.split("/")[0]!, container, "");
  const device = [
    call("ADD of the device", "ADD", "net3", NEW),
    call("DEL of the device", "DEL", "net3", NEW),
    call("GC of net3", "GC", "net3", "", "", valid("net3", [])),
  ];
  return [
    call(`ADD in ${plain}`, "ADD", plain, NEW),
    ...(deleted === undefined ? [] : [del(deleted)]),
    ...(stale === undefined ? [] : [del(stale)]),
    call(`GC of ${plain}`, "GC", plain, "", "", valid(plain, [NEW])),
    ...(chosen.includes("net3") ? device : []),
  ];
}

/** Mounts the disk and says what the leases are. */
function mountScript(system: FileSystem): string {
  return `cd /run/powercut
leases() {
  local file text
  for file in /var/lib/cni/networks/*/*; do
    case \${file##*/} in lock | last_reserved_ip.* | '*') continue ;; esac
    text=$(<"$file")
    printf '%s\\t%s\\t%s\\n' $1 "\${file#/var/lib/cni/networks/}" "\${text//$'\\r\\n'/ }"
  done
} 2>/dev/null
cp --sparse=always ${CURRENT} point.img
${system.repair === undefined ? "" : `${system.repair} point.img >/dev/null 2>&1`}
mount -o loop -t ${system.type} point.img /var/lib/cni || exit 1
leases before
`;
}

const briefScript = (system: FileSystem): string => `${mountScript(system)}umount /var/lib/cni && echo done\n`;

const seenIn = (picture: readonly string[], rules: readonly string[]): string[] => {
  const lines = linesIn(picture.join("\n"), LENT);
  return hasTables(lines) ? [...lines, ...rulesIn(rules.join("\n"))] : lines;
};

function aftermathScript(system: FileSystem, bin: string, plan: Plan, picture: string): string {
  return `${mountScript(system)}call() {
  local out status
  out=$(printf %s "$6" | CNI_COMMAND=$2 CNI_CONTAINERID=$4 CNI_NETNS=$5 CNI_IFNAME=eth0 CNI_PATH=${bin} ${bin}/$3 2>/dev/null)
  status=$?
  printf 'call\\t%s\\t%s\\t%s\\n' "$1" $status "\${out//[$'\\n\\t']/ }"
}
rm -rf /run/podnic /run/cni
cat /proc/sys/kernel/random/uuid >boot
${MAKE_DEVICE}
${callsOf(plan).join("\n")}
leases after
for kind in file:f dir:d link:l; do find /var/lib/cni /run/podnic /run/cni -mindepth 1 -type \${kind#*:} -printf "file\\t\${kind%:*} %p\\n"; done 2>/dev/null
find /var/lib/cni /run/podnic /run/cni -mindepth 1 ! -type f ! -type d ! -type l -printf 'file\\tspecial %p\\n' 2>/dev/null
${picture} | sed 's/^/node\\t/'
{ ${RULES}; } | sed 's/^/rules\\t/'
umount /var/lib/cni && echo done
`;
}

/** The node before any call. */
export interface Node {
  /** The compiled picture.c. */
  readonly picture: string;
  readonly bare: readonly string[];
}

/** A boot of its own for each look: records name theirs. @param tools directory of the compiled picture.c */
export function prepareNode(tools: string): Node {
  const script = `mkdir -p /run/powercut && mount -t tmpfs -o size=1500m powercut /run/powercut
/run/podnic-vm/modprobe loop; /run/podnic-vm/modprobe dm-log-writes
ip netns add c1; ip -n c1 link set lo up
${MAKE_DEVICE}
cp /proc/sys/kernel/random/boot_id /run/powercut/boot
mount --bind /run/powercut/boot /proc/sys/kernel/random/boot_id`;
  const run = spawnSync("bash", ["-ec", script], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot prepare the guest: ${run.stderr}`);
  const picture = `${tools}/picture`;
  const [seen, rules] = [picture, RULES].map((command) =>
    spawnSync("bash", ["-c", command], { encoding: "utf8" }).stdout.split("\n"),
  );
  return { picture, bare: seenIn(seen!, rules!) };
}
