// What only /sys tells of a device, and what stays on it when it moves: how long NAPI defers, and its queues. A pod whose /sys is writable could
// otherwise leave the next one a device that delivers nothing for minutes.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, O_WRONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { utf8 } from "../netlink/bytes.ts";

/** By file below the device's directory; those that are not as usual. */
export type QueueSettings = { [file: string]: string };

/** They tell whether /sys is that of our namespace. */
const IDENTITY = ["ifindex", "address"];
const OF_DEVICE = ["gro_flush_timeout", "napi_defer_hard_irqs", "threaded"];
const RECEIVING = ["rps_cpus", "rps_flow_cnt"];
const LIMITS = ["byte_queue_limits/limit_max", "byte_queue_limits/limit_min", "byte_queue_limits/hold_time"];
const SENDING = ["xps_cpus", "xps_rxqs", "tx_maxrate", ...LIMITS];

/** Of all others it is 0. */
const USUAL: { [file: string]: string } = { limit_max: "1879048192", hold_time: "1000" };

/** Of a device with one queue of each direction, as those that are not hardware nearly all are; as part of the snapshot. */
const FIRST = ["rx-0", "tx-0"];
const SMALLEST = filesOf("tx-0", filesOf("rx-0", OF_DEVICE.slice()));

function filesOf(queue: string, files: string[]): string[] {
  const kind = queue.startsWith("rx-") ? RECEIVING : queue.startsWith("tx-") ? SENDING : [];
  for (let i = 0; i < kind.length; i++) files.push(`queues/${queue}/${kind[i]!}`);
  return files;
}

interface Device {
  name: string;
  index: number;
  mac: string;
  /** What a virtual device is known by (identity.ts): the inode of its directory. */
  mark?: number | undefined;
}

/** undefined: /sys does not show the device. */
export function queueSettings(device: Device): QueueSettings | undefined {
  const found = read(device, true);
  if (found === undefined) return undefined;
  const settings: QueueSettings = {};
  for (const file in found) if (!isUsual(file, found[file]!)) settings[file] = found[file]!;
  return settings;
}

/**
 * `wasUp`: a driver chooses which processors send over which queue (XPS) when a device first goes up; of one that was down, what it chose stays.
 * What the kernel refuses is said in the log.
 */
export function restoreQueues(device: Device, saved: QueueSettings, wasUp: boolean): void {
  const found = read(device, Object.keys(saved).length === 0) ?? {};
  for (const file in found) {
    const [now, before] = [found[file]!, saved[file]];
    if (before === undefined ? isUsual(file, now) : before === now) continue;
    if (before !== undefined || wasUp || !file.includes("/xps_")) write(device.name, file, before ?? usual(file));
  }
}

/** `sparse`: without those that are 0, as nearly all are. */
function read(device: Device, sparse: boolean): QueueSettings | undefined {
  const directory = open(`/sys/class/net/${device.name}`);
  if (directory === undefined) return undefined;
  try {
    return readFiles(device, directory, sparse);
  } finally {
    host.close(directory);
  }
}

/** undefined: it is another device. Files that cannot be read are passed over: a device with one queue has no XPS. */
function readFiles(device: Device, directory: Fd, sparse: boolean): QueueSettings | undefined {
  if (!isOf(device, directory)) return undefined;
  const files = filesIn(directory);
  const texts = host.readAll(directory, files);
  const found: QueueSettings = {};
  for (let i = 0; i < files.length; i++) {
    const text = texts[i];
    if (text === undefined || (sparse && text === "0\n" && !files[i]!.includes("limits"))) continue;
    found[files[i]!] = text.slice(0, -1);
  }
  return found;
}

function isOf({ index, mac, mark }: Device, directory: Fd): boolean {
  if (mark !== undefined) return host.fstat(directory).ino === mark;
  const [shownIndex, shownMac] = host.readAll(directory, IDENTITY);
  return shownIndex === `${index}\n` && (mac === "" || shownMac === `${mac}\n`);
}

function filesIn(directory: Fd): string[] {
  const queues = open("queues", directory);
  if (queues === undefined) return OF_DEVICE;
  try {
    const names = host.readdir(queues);
    if (names.length === 2 && names.includes(FIRST[0]!) && names.includes(FIRST[1]!)) return SMALLEST;
    const files = OF_DEVICE.slice();
    for (const name of names) filesOf(name, files);
    return files;
  } finally {
    host.close(queues);
  }
}

function usual(file: string): string {
  return USUAL[file.slice(file.lastIndexOf("/") + 1)] ?? "0";
}

function isUsual(file: string, text: string): boolean {
  return text === usual(file) || (!file.includes("limits") && /^[0,]+$/.test(text));
}

function write(device: string, file: string, value: string): void {
  try {
    const fd = host.open(`/sys/class/net/${device}/${file}`, O_WRONLY | O_CLOEXEC);
    try {
      host.write(fd, utf8(`${value}\n`));
    } finally {
      host.close(fd);
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "cannot restore a setting", { device, file, error: error.message });
  }
}

function open(path: string, dir?: Fd): Fd | undefined {
  try {
    return host.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, dir);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
