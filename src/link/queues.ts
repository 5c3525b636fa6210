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
/** The first of its limits: what has not got it has none. */
const LIMIT = "byte_queue_limits/limit_max";
const OTHER_LIMITS = ["byte_queue_limits/limit_min", "byte_queue_limits/hold_time"];
/** Of a virtual device: nobody can give its queues a rate. */
const SENDING_VIRTUAL = ["xps_cpus", "xps_rxqs", LIMIT];
const SENDING = [...SENDING_VIRTUAL, "tx_maxrate"];

/** Of all others it is 0. */
const USUAL: { [file: string]: string } = { limit_max: "1879048192", hold_time: "1000" };

/** Of a device with one queue of each direction, as those that are not hardware nearly all are; as part of the snapshot. */
const SMALLEST = filesOf(["rx-0", "tx-0"], SENDING);
const SMALLEST_VIRTUAL = filesOf(["rx-0", "tx-0"], SENDING_VIRTUAL);
/** Among these: it tells that there is such a queue. */
const OF_RX_0 = SMALLEST.indexOf("queues/rx-0/rps_cpus");

function filesOf(queues: string[], sending: string[]): string[] {
  const files = OF_DEVICE.slice();
  for (const queue of queues) {
    const kind = queue.startsWith("rx-") ? RECEIVING : queue.startsWith("tx-") ? sending : [];
    for (let i = 0; i < kind.length; i++) files.push(`queues/${queue}/${kind[i]!}`);
  }
  return files;
}

interface Device {
  name: string;
  index: number;
  mac: string;
  /** What a virtual device is known by (identity.ts): the inode of its directory. */
  mark?: number | undefined;
}

/** undefined: /sys does not show the device. `shown`: the directory of a virtual device, which is certainly its own. */
export function queueSettings(device: Device, shown?: Fd): QueueSettings | undefined {
  const found = shown === undefined ? read(device, true) : readFiles(shown, true, true);
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

/** `sparse`: without those that are 0, as nearly all are. undefined: it is not there, or another one is. */
function read(device: Device, sparse: boolean): QueueSettings | undefined {
  const isVirtual = device.mark !== undefined;
  // Without the three links of the other way.
  const direct = isVirtual ? open(`/sys/devices/virtual/net/${device.name}`) : undefined;
  const directory = direct ?? open(`/sys/class/net/${device.name}`);
  if (directory === undefined) return undefined;
  try {
    return isOf(device, directory) ? readFiles(directory, isVirtual, sparse) : undefined;
  } finally {
    host.close(directory);
  }
}

/** Files that cannot be read are passed over: a device with one queue has no XPS. */
function readFiles(directory: Fd, isVirtual: boolean, sparse: boolean): QueueSettings {
  const sending = isVirtual ? SENDING_VIRTUAL : SENDING;
  const smallest = isVirtual ? SMALLEST_VIRTUAL : SMALLEST;
  let files = mayBeSmallest(directory) ? smallest : filesIn(directory, sending);
  let texts = host.readAll(directory, files);
  // A kernel without receive queues: there are two of the other kind.
  if (files === smallest && texts[OF_RX_0] === undefined) {
    files = filesIn(directory, sending);
    texts = host.readAll(directory, files);
  }
  const found: QueueSettings = {};
  const limits: string[] = [];
  for (let i = 0; i < files.length; i++) {
    const text = texts[i];
    if (text === undefined) continue;
    const file = files[i]!;
    const isLimit = file.endsWith(LIMIT);
    if (isLimit) for (const other of OTHER_LIMITS) limits.push(file.slice(0, -LIMIT.length) + other);
    if (isLimit || !sparse || text !== "0\n") found[file] = text.slice(0, -1);
  }
  const more = limits.length === 0 ? [] : host.readAll(directory, limits);
  for (let i = 0; i < more.length; i++) if (more[i] !== undefined) found[limits[i]!] = more[i]!.slice(0, -1);
  return found;
}

function isOf({ index, mac, mark }: Device, directory: Fd): boolean {
  if (mark !== undefined) return host.fstat(directory).ino === mark;
  const [shownIndex, shownMac] = host.readAll(directory, IDENTITY);
  return shownIndex === `${index}\n` && (mac === "" || shownMac === `${mac}\n`);
}

/** The directory of the queues has two directories: one question instead of four. */
function mayBeSmallest(directory: Fd): boolean {
  try {
    return host.stat("queues", true, directory).nlink === 4;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

function filesIn(directory: Fd, sending: string[]): string[] {
  const queues = open("queues", directory);
  if (queues === undefined) return OF_DEVICE;
  try {
    return filesOf(host.readdir(queues), sending);
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
