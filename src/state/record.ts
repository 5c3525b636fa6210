// What a device was before we touched it, written before the first change, so that a kill at any point, a dead namespace or a
// renamed interface still ends with the device on the host as it was.
// One JSON file an attachment: /var/lib/cni/podnic/<plugin>/…; the key is in the file, so that a shortened file name is never mistaken.
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { hasErrno } from "./descriptor.ts";
import { closing, NAME_MAX, readFile, removeFile, withDirectory, writeFile } from "./files.ts";
import { sha256 } from "./hash.ts";

/** Where podnic keeps what the Go plugins have no file for. */
export const STATE_ROOT = "/var/lib/cni/podnic";
const DIRECTORY = { mode: 0o700 };
const FILE_MODE = 0o600;
/** Far more than a record of a device with as many addresses and routes as are kept. */
const LIMIT = 256 * 1024;
const SUFFIX = ".json";

export interface RecordKey {
  network: string;
  containerId: string;
  ifName: string;
}

export interface Record<T> {
  key: RecordKey;
  /** Boot id (/proc/sys/kernel/random/boot_id) at the time of writing: after a reboot the kernel's side of the story is gone. */
  bootId: string;
  data: T;
}

export interface RecordStore<T> {
  /** undefined: none, or not a record (logged): state never blocks. Throws when the disk fails. */
  read(key: RecordKey): Record<T> | undefined;
  /** A kill of this process finds it written or not; a power cut may leave nothing of it, or an empty file. */
  write(key: RecordKey, data: T): void;
  /** No error when it is gone. */
  remove(key: RecordKey): void;
  /** All records of the plugin. */
  list(): Record<T>[];
}

/** The records of one plugin below `root`. The data is trusted: only root can write there. */
export function recordStore<T>(plugin: string, root = STATE_ROOT): RecordStore<T> {
  const path = `${root}/${plugin}`;
  return {
    read(key) {
      const record = withDirectory(path, undefined, (dir) => readRecord<T>(dir, fileName(key), path));
      return record && isSameKey(record.key, key) ? record : undefined;
    },
    write(key, data) {
      const { network, containerId, ifName } = key;
      const record: Record<T> = { key: { network, containerId, ifName }, bootId: bootId(), data };
      withDirectory(path, DIRECTORY, (dir) =>
        writeFile(dir, fileName(key), host.encode(JSON.stringify(record)), FILE_MODE),
      );
    },
    remove(key) {
      withDirectory(path, undefined, (dir) => removeFile(dir, fileName(key)));
    },
    list() {
      const records = withDirectory(path, undefined, (dir) =>
        host
          .readdir(dir)
          .filter((name) => name.endsWith(SUFFIX))
          .map((name) => readRecord<T>(dir, name, path))
          .filter((record) => record !== undefined),
      );
      return records ?? [];
    },
  };
}

let boot = "";

/** Identity of this boot; "" when the kernel does not tell. */
export function bootId(): string {
  if (boot === "") boot = readBootId();
  return boot;
}

function readBootId(): string {
  try {
    const fd = host.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    // The kernel gives it whole or not at all.
    return host.decode(closing(fd, () => host.read(fd, 64))).trim();
  } catch {
    return "";
  }
}

/** ":" is in no network name, container id or interface name, so that a-b + c and a + b-c differ. */
function fileName(key: RecordKey): string {
  const name = `${key.network}:${key.containerId}:${key.ifName}`.replaceAll("/", "%2F");
  // What a writer puts aside needs five bytes more.
  if (host.encode(name).length + SUFFIX.length + 5 <= NAME_MAX) return name + SUFFIX;
  return `${name.slice(0, 40)}~${sha256(name)}${SUFFIX}`;
}

function isSameKey(a: RecordKey, b: RecordKey): boolean {
  return a.network === b.network && a.containerId === b.containerId && a.ifName === b.ifName;
}

function readRecord<T>(dir: Fd, name: string, path: string): Record<T> | undefined {
  try {
    const data = readFile(dir, name, LIMIT);
    if (data === undefined) return undefined;
    const record = JSON.parse(host.decode(data)) as Record<T>;
    const { key } = record;
    if (typeof record.bootId === "string" && [key.network, key.containerId, key.ifName].every(isText)) return record;
    log("warning", "record ignored: not of our making", { file: `${path}/${name}` });
  } catch (error) {
    // It is there, and may well be read the next time (EIO, EACCES, EMFILE, ...): taking it for absent would lose the device's past. A
    // link or a socket is not of our making.
    if (error instanceof SystemError && !hasErrno(error, "ELOOP", "ENXIO")) throw error;
    log("warning", "record ignored", { file: `${path}/${name}`, error: String(error) });
  }
  return undefined;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}
