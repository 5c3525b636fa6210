// What only /sys tells of a device, and what stays on it when it moves: how long NAPI defers, and its queues. A pod whose /sys is writable could
// otherwise leave the next one a device that delivers nothing for minutes.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, O_WRONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { utf8 } from "../netlink/bytes.ts";

/** By file below the device's directory; those that are not as usual. */
export type QueueSettings = { [file: string]: string };

/** Of the device. The first two tell whether /sys is that of our namespace. */
const OF_DEVICE = ["ifindex", "address", "gro_flush_timeout", "napi_defer_hard_irqs", "threaded"];
const RECEIVING = ["rps_cpus", "rps_flow_cnt"];
const LIMITS = ["byte_queue_limits/limit_max", "byte_queue_limits/limit_min", "byte_queue_limits/hold_time"];
const SENDING = ["xps_cpus", "xps_rxqs", "tx_maxrate", ...LIMITS];

/** Of all others it is 0. */
const USUAL: { [file: string]: string } = { limit_max: "1879048192", hold_time: "1000" };

/** Those of the first queue of each direction, of which a device that is not hardware has no more; as part of the snapshot. */
const FIRST: { [queue: string]: string[] | undefined } = { "rx-0": filesOf("rx-0", []), "tx-0": filesOf("tx-0", []) };

function filesOf(queue: string, files: string[]): string[] {
  const kind = queue.startsWith("rx-") ? RECEIVING : queue.startsWith("tx-") ? SENDING : [];
  for (let i = 0; i < kind.length; i++) files.push(`queues/${queue}/${kind[i]!}`);
  return files;
}

interface Device {
  name: string;
  index: number;
  mac: string;
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
function readFiles({ index, mac }: Device, directory: Fd, sparse: boolean): QueueSettings | undefined {
  const files = OF_DEVICE.slice();
  const queues = open("queues", directory);
  if (queues !== undefined) {
    try {
      for (const queue of host.readdir(queues)) {
        const known = FIRST[queue];
        if (known !== undefined) files.push(...known);
        else filesOf(queue, files);
      }
    } finally {
      host.close(queues);
    }
  }
  const texts = host.readAll(directory, files);
  if (texts[0] !== `${index}\n` || (mac !== "" && texts[1] !== `${mac}\n`)) return undefined;
  const found: QueueSettings = {};
  for (let i = 2; i < files.length; i++) {
    const text = texts[i];
    if (text === undefined || (sparse && text === "0\n" && !files[i]!.includes("limits"))) continue;
    found[files[i]!] = text.slice(0, -1);
  }
  return found;
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
