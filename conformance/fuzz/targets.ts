// The targets: how the bytes of an input become a call, and what is asked of it.
import { operator } from "../../src/cli/main.ts";
import { installHost } from "../../src/host/host.ts";
import { main } from "../../src/main.ts";
import { isQuoted, judgeOperator, judgePlugin, type Outcome } from "./judge.ts";
import { Errno } from "./world/errno.ts";
import { DELEGATE, DEVICE, furnish, POD_PATH, VF } from "./world/node.ts";
import { type Call, type Conversions, type Datagram, Ended, World, WorldHost } from "./world/world.ts";

/** Between the fields of an input of text: no JSON and no YAML has it. */
export const SEPARATOR = 0x1e;

export function split(input: Uint8Array): Uint8Array[] {
  const fields: Uint8Array[] = [];
  let from = 0;
  for (;;) {
    const to = input.indexOf(SEPARATOR, from);
    if (to < 0) break;
    fields.push(input.subarray(from, to));
    from = to + 1;
  }
  fields.push(input.subarray(from));
  return fields;
}

/** Runs one process: name, environment and stdin as in `call`. */
function run(world: World, call: Call): Outcome {
  world.begin(call);
  installHost(new WorldHost(world));
  let status: number;
  try {
    status = main(operator, () => {});
  } catch (ended) {
    if (!(ended instanceof Ended)) throw ended;
    status = ended.status;
  }
  return { status, stdout: textOf(world, world.stdout), stderr: textOf(world, world.stderr) };
}

function textOf(world: World, parts: Uint8Array[]): string {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return world.decode(all) ?? "\u0000 not UTF-8";
}

function environment(world: World, values: { [name: string]: string | Uint8Array }): Map<string, Uint8Array> {
  const entries = Object.entries(values).map(([name, value]): [string, Uint8Array] => [
    name,
    typeof value === "string" ? world.encode(value) : value.subarray(0, nulOf(value)),
  ]);
  return new Map(entries);
}

function nulOf(value: Uint8Array): number {
  const at = value.indexOf(0);
  return at < 0 ? value.length : at;
}

const pod = { CNI_CONTAINERID: "c", CNI_IFNAME: "net1", CNI_NETNS: POD_PATH, CNI_PATH: "/opt/cni/bin" };
const other = { type: DELEGATE };
const pool = { type: "host-local", ranges: [[{ subnet: "203.0.113.0/28" }]], routes: [{ dst: "0.0.0.0/0" }] };
const fixed = { type: "static", addresses: [{ address: "203.0.113.9/24" }, { address: "2001:db8::9/64" }] };
const info = { CNIDeviceInfoFile: "/var/run/k8s.cni.cncf.io/devinfo/cni/net" };

/** Configurations that an input chooses among. */
export const configurations: { [key: string]: unknown; type: string }[] = [
  { type: "macvlan", master: "eth1" },
  { type: "macvlan", master: "eth1", ipam: fixed },
  {
    type: "macvlan",
    master: "eth1",
    mode: "source",
    macaddr: ["02:00:00:00:00:77"],
    mac: "02:00:00:00:00:78",
    ipam: pool,
  },
  { type: "ipvlan", master: "eth1", mode: "l3", ipam: pool },
  { type: "host-device", device: DEVICE },
  { type: "host-device", device: DEVICE, ipam: fixed, useInterfaceNetwork: true },
  { type: "host-device", pciBusID: "0000:00:05.0", ipam: pool },
  { type: "sriov", deviceID: VF, vlan: 100, trust: "on", mac: "02:00:00:00:00:79" },
  { type: "sriov", deviceID: VF, ipam: fixed, runtimeConfig: info },
  { type: "host-local", ipam: pool },
  { type: "macvlan", master: "eth1", ipam: other },
  { type: "host-device", device: DEVICE, ipam: other },
  { type: "sriov", deviceID: VF, ipam: other },
  { type: "bridge", bridge: "br0", isGateway: true, ipam: other },
  { type: "bridge", bridge: "br0", ipam: pool },
];
/** Those with another program's IPAM. */
const delegating = configurations.flatMap(({ ipam }, i) => (ipam === other ? [i] : []));
const SOURCE_ALLOWED = JSON.stringify({ devices: { source: ["eth1"] } });
const commands = ["ADD", "DEL", "CHECK", "GC", "STATUS"];

/** The configuration and command that a byte chooses. `prevResult` of an ADD in `world` before it, for those that want one. */
function chosen(world: World, config: number, command: number): { command: string; call: Call } {
  const name = commands[command % commands.length]!;
  const raw: { [key: string]: unknown } = {
    cniVersion: "1.1.0",
    name: "net",
    ...configurations[config % configurations.length]!,
  };
  if (raw.mode === "source") world.files.put("/etc/cni/podnic.json", world.encode(SOURCE_ALLOWED));
  return { command: name, call: makeCall(world, name, raw) };
}

function makeCall(world: World, command: string, raw: { [key: string]: unknown }): Call {
  const stdin = world.encode(JSON.stringify(command === "GC" ? { ...raw, "cni.dev/valid-attachments": [] } : raw));
  const env = environment(world, { ...pod, CNI_COMMAND: command });
  return { args: [`/opt/cni/bin/${raw.type}`], env, stdin };
}

/** ADD first, honestly, when the command is about what an ADD left. */
function afterAdd(world: World, command: string, call: Call): void {
  if (command === "ADD" || command === "STATUS") return;
  const env = new Map(call.env).set("CNI_COMMAND", world.encode("ADD"));
  const delegates = [goodAnswer(world)];
  const { status, stdout } = run(world, { args: call.args, env, stdin: call.stdin, delegates });
  if (status !== 0 || command !== "CHECK") return;
  const raw = JSON.parse(world.decode(call.stdin)!);
  call.stdin = world.encode(JSON.stringify({ ...raw, prevResult: JSON.parse(stdout) }));
}

const GOOD_ANSWER = JSON.stringify({
  cniVersion: "1.1.0",
  ips: [{ address: "203.0.113.9/24", gateway: "203.0.113.1" }],
  routes: [{ dst: "0.0.0.0/0" }],
  dns: {},
});

const goodAnswer = (world: World) => ({ status: 0, signal: 0, stdout: world.encode(GOOD_ANSWER) });

export type Target = (world: World, input: Uint8Array, behind: number) => string;

/** A bridge stays: another ADD may use it already. */
const isBridge = (line: string): boolean => line.includes(" alias=podnic:bridge ");

/** What is left when an ADD has failed: nothing. */
function compareLeft(world: World, before: string, outcome: Outcome): string {
  const after = world.network.describe();
  if (before === after) return "";
  const lines = before.split("\n");
  const more = after.split("\n").filter((line) => !lines.includes(line) && !isBridge(line));
  const less = lines.filter((line) => !after.split("\n").includes(line));
  if (more.length === 0 && less.length === 0) return "";
  return `the ADD that failed left something: -${less.join("\n-")}\n+${more.join("\n+")}\n${outcome.stdout}`;
}

/** Name, environment and stdin; the kernel is honest. */
const stdin: Target = (world, input) => {
  const fields = split(input);
  const config = fields[7];
  // Neither arguments nor environment can have a NUL.
  const [name, command, id, netns, ifName, args, path] = fields.map((field) => field.subarray(0, nulOf(field)));
  if (config === undefined || name === undefined || command === undefined) return "";
  const env = environment(world, {
    CNI_COMMAND: command,
    ...(id?.length && { CNI_CONTAINERID: id }),
    ...(netns?.length && { CNI_NETNS: netns }),
    ...(ifName?.length && { CNI_IFNAME: ifName }),
    ...(args?.length && { CNI_ARGS: args }),
    ...(path?.length && { CNI_PATH: path }),
  });
  const plugin = world.decode(name) ?? "podnic";
  if (command.length === 0) return "";
  const text = world.decode(command) ?? "";
  const before = world.network.describe();
  const outcome = run(world, { args: [`/opt/cni/bin/${plugin}`], env, stdin: config });
  const verdict = judgePlugin(text, outcome);
  if (verdict !== "") return verdict;
  return text === "ADD" && outcome.status !== 0 ? compareLeft(world, before, outcome) : "";
};

/** Changes to the kernel's answers: [which answer, how, offset, length, bytes]. */
class Edits {
  readonly #edits = new Map<number, { how: number; offset: number; bytes: Uint8Array }[]>();

  constructor(input: Uint8Array) {
    for (let at = 0; at + 5 <= input.length; ) {
      const [nth = 0, how = 0, low = 0, high = 0, length = 0] = input.subarray(at, at + 5);
      const bytes = input.slice(at + 5, at + 5 + length);
      const list = this.#edits.get(nth) ?? [];
      list.push({ how, offset: low + high * 256, bytes });
      this.#edits.set(nth, list);
      at += 5 + length;
    }
  }

  apply(answer: Uint8Array, nth: number): Datagram[] | Errno {
    let datagrams: Datagram[] = [{ data: answer.slice() }];
    for (const { how, offset, bytes } of this.#edits.get(nth) ?? []) {
      const last = datagrams.at(-1)!;
      const { data } = last;
      switch (how % 10) {
        case 0: // write
          data.set(bytes.subarray(0, Math.max(0, data.length - offset)), Math.min(offset, data.length));
          break;
        case 1: // insert
          last.data = joined(data.subarray(0, offset), bytes, data.subarray(offset));
          break;
        case 2: // cut off
          last.data = data.slice(0, offset);
          break;
        case 3: // put behind the header, in place of the payload
          last.data = sized(joined(data.subarray(0, 16), bytes));
          break;
        case 4: // insert, and let the message be longer
          last.data = sized(joined(data.subarray(0, offset), bytes, data.subarray(offset)));
          break;
        case 5:
          return new Errno(1 + (offset % 133));
        case 6: // another message for the same request
          datagrams.push({ data: sized(joined(data.subarray(0, 16), bytes)) });
          break;
        case 7:
          last.sender = offset;
          break;
        case 8:
          last.truncated = true;
          break;
        default:
          datagrams = offset % 2 === 0 ? [] : [...datagrams, { ...last }];
          if (datagrams.length === 0) return [];
      }
    }
    return datagrams;
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The message's length is that of the datagram. */
function sized(data: Uint8Array): Uint8Array {
  if (data.length >= 4) new DataView(data.buffer).setUint32(0, data.length, true);
  return data;
}

/** Bytes behind a datagram must not matter: `behind` is one thing and then another. */
const netlink: Target = (world, input, behind) => {
  const [config = 0, which = 0] = input;
  const { command, call } = chosen(world, config, which);
  afterAdd(world, command, call);
  const edits = new Edits(input.subarray(2));
  let first: number | undefined;
  call.edit = (answer, nth) => {
    first ??= nth;
    return edits.apply(answer, nth - first);
  };
  call.behind = behind;
  call.delegates = Array.from({ length: 4 }, () => goodAnswer(world));
  const outcome = run(world, call);
  // For the comparison of two runs.
  said = `${outcome.status} ${outcome.stdout}`;
  return judgePlugin(command, outcome);
};

/** What the last call said. */
export let said = "";

/** Where an input's files lie. */
const places = [
  "/var/lib/cni/podnic/host-device/net:c:net1.json",
  "/var/lib/cni/podnic/sriov/net:c:net1.json",
  "/var/lib/cni/podnic/host-device/other.json",
  "/var/lib/cni/networks/net/203.0.113.2",
  "/var/lib/cni/networks/net/last_reserved_ip.0",
  "/var/lib/cni/networks/net/203.0.113.3",
  "/var/lib/cni/sriov/c-net1",
  `/var/lib/cni/sriov/pci/${VF}`,
  "/etc/cni/podnic.json",
  "/var/lib/cni/results/net-c-net1",
  "/var/lib/cni/podnic/macvlan/net:c:net1.json",
  "/var/lib/cni/podnic/ipvlan/net:c:net1.json",
  "/var/lib/cni/podnic/host-local/index",
  "/etc/cni/net.d/10-net.conflist",
];
const operatorCalls = [
  ["leases", "--json"],
  ["devices", "--json"],
  ["doctor", "--json"],
  ["gc", "--json"],
  ["leases"],
  ["devices"],
  ["doctor"],
];

/** [configuration, command], then files: [place, contents], between separators. A place beyond the list begins with its path and NUL. */
const state: Target = (world, input) => {
  const [choice, ...files] = split(input);
  const [config = 0, which = 0] = choice ?? [];
  const asOperator = which % 16 >= 8;
  const { command, call } = chosen(world, config, which & 7);
  if ((which & 16) !== 0) afterAdd(world, command, call);
  for (const file of files) {
    const [place = 0] = file;
    const path = places[(place - 0x41 + 65 * places.length) % places.length]!;
    try {
      world.files.put(path, file.slice(1));
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
    }
  }
  if (!asOperator) return judgePlugin(command, run(world, call));
  const args = operatorCalls[config % operatorCalls.length]!;
  const outcome = run(world, { args: ["podnic", ...args], env: new Map(), stdin: new Uint8Array(0) });
  return judgeOperator(args.includes("--json"), outcome);
};

/** [configuration, command], then answers: [status, signal, stdout], between separators. */
const delegate: Target = (world, input) => {
  const [choice, ...answers] = split(input);
  const [config = 0, which = 0] = choice ?? [];
  const { command, call } = chosen(world, delegating[config % delegating.length]!, which);
  afterAdd(world, command, call);
  call.delegates = answers.map(([status = 0, signal = 0, ...stdout]) => ({
    status: signal % 32 === 9 ? -1 : status % 3,
    signal: signal % 32 === 9 ? 9 : 0,
    stdout: new Uint8Array(stdout),
  }));
  const before = world.network.describe();
  const outcome = run(world, call);
  said = `${outcome.status} ${outcome.stdout}`;
  const verdict = judgePlugin(command, outcome);
  if (verdict !== "") return verdict;
  return command === "ADD" && outcome.status !== 0 ? compareLeft(world, before, outcome) : "";
};

/** The file that Multus copied there. The first byte chooses the command. */
const deviceInfo: Target = (world, input) => {
  const [which = 0] = input;
  const { command, call } = chosen(world, 8, which);
  const path = "/run/k8s.cni.cncf.io/devinfo/cni/net";
  world.files.put(path, input.slice(1));
  afterAdd(world, command, call);
  const before = world.decode(world.files.find(path).data) ?? "";
  const verdict = judgePlugin(command, run(world, call));
  if (verdict !== "" || command !== "ADD") return verdict;
  const after = world.decode(world.files.find(path).data) ?? "";
  return after !== before && typeof JSON.parse(after) !== "object" ? `the device-info file is now ${after}` : "";
};

/** The first byte chooses how the file ends, and --json. */
const yaml: Target = (world, input) => {
  const [which = 0] = input;
  const file = `/tmp/x.${["yaml", "json", "conflist", "yaml"][(which >> 1) & 3]}`;
  world.files.put(file, input.slice(1));
  const json = (which & 1) === 1;
  const args = ["podnic", "validate", ...(json ? ["--json"] : []), file];
  return judgeOperator(json, run(world, { args, env: new Map(), stdin: new Uint8Array(0) }));
};

export const targets: { [name: string]: Target } = {
  stdin,
  netlink,
  state,
  delegate,
  "device-info": deviceInfo,
  yaml,
};

/** The node that every input finds. Made once: the fuzzer keeps it with the heap. */
export function prepare(conversions: Conversions): World {
  const world = new World(conversions);
  furnish(world);
  return world;
}

/** What is wrong with how podnic takes the input, or "". `behind`: see Call. */
export function tryOne(world: World, name: string, input: Uint8Array, behind = 0): string {
  const target = targets[name];
  if (target === undefined) return `no target ${name}; there are: ${Object.keys(targets).join(", ")}`;
  said = "";
  const verdict = target(world, input, behind);
  return isQuoted(verdict, input) ? "" : verdict;
}
