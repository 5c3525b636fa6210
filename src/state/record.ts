// The state of a device before podnic changed it. podnic writes the record before the first change, so the device always returns to the host
// in its original state, even after a kill at any point, a deleted namespace or a renamed interface. There is one JSON file for each
// attachment: /var/lib/cni/podnic/<plugin>/…. The file contains the key, so a shortened file name is never mistaken for another one.
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { hasErrno } from "./descriptor.ts";
import { closing, NAME_MAX, readEach, readFile, readUpTo, removeFile, withDirectory, writeFile } from "./files.ts";
import { sha256 } from "./hash.ts";
import { isObject } from "./shape.ts";

/** The directory of state for which the Go plugins have no file. */
export const STATE_ROOT = "/var/lib/cni/podnic";
const DIRECTORY = { mode: 0o700 };
const FILE_MODE = 0o600;
/** Bytes. Far more than the largest record, which has a limited number of addresses and routes. */
const LIMIT = 256 * 1024;
const SUFFIX = ".json";
/** The number of UTF-16 units that remain of a file name that is too long. */
const CUT = 40;

export interface RecordKey {
  network: string;
  containerId: string;
  ifName: string;
}

/** Identifies the network namespace of the process that wrote the record: the namespace from which the device came. */
export interface HomeNamespace {
  dev: number;
  ino: number;
  /** The kernel's cookie of the namespace, which is unique during a boot; "" if the kernel does not provide it. */
  cookie: string;
}

/**
 * A record without `version` has version 1; version 2 adds `home`. A new version must either remain readable for earlier releases of podnic,
 * or use another directory.
 */
export const RECORD_VERSION = 2;

export interface Record<T> {
  version?: number;
  key: RecordKey;
  /** The boot ID (/proc/sys/kernel/random/boot_id) at the time of writing. After a reboot, the kernel has none of the state that podnic created. */
  bootId: string;
  /** Absent in records of version 1. */
  home?: HomeNamespace;
  data: T;
}

/** Why podnic cannot read a record. "newer": a later version of podnic wrote it in another format. */
export type Unreadable = "damaged" | "newer";

/** A record that podnic cannot read, and what is known about it. */
export interface Damaged {
  why: Unreadable;
  /** The path of the file. */
  file: string;
  /** The file name. */
  name: string;
  /** The key according to the file name; undefined if the file name was shortened. */
  key?: RecordKey;
  /** The contents; "" if they cannot be read. */
  text: string;
  /** The time of the last change, in seconds since the epoch. */
  written: number;
}

export interface RecordStore<T> {
  /** undefined: there is no record, or it cannot be used (logged; see `unreadable`). Throws SystemError if the file exists but cannot be read. */
  read(key: RecordKey): Record<T> | undefined;
  /** The attachment's record if it exists but cannot be used. Otherwise undefined. */
  unreadable(key: RecordKey): Damaged | undefined;
  /** Atomic if the process is killed. A power failure can leave no file, or an empty one. */
  write(key: RecordKey, data: T, home?: HomeNamespace): void;
  /** A missing record is not an error. */
  remove(key: RecordKey): void;
  /** All usable records of the plugin. */
  list(): Record<T>[];
  /** All unusable records of the plugin. */
  damaged(): Damaged[];
  /** The name of the file of an attachment's record. */
  nameOf(key: RecordKey): string;
  /** Whether a file of this name can be the record of an attachment of the network. A shortened name does not always tell. */
  mayBeOf(name: string, network: string): boolean;
  /** Removes a damaged record, but not a record of a later version. A missing file is not an error. */
  removeDamaged(name: string): void;
}

/**
 * The records of one plugin below `root`. Only root can write there, but a record can be damaged, or another version can have written it in
 * another format. `isData` tells whether the data is valid for this plugin.
 */
export function recordStore<T>(
  plugin: string,
  root = STATE_ROOT,
  isData: (data: unknown) => boolean = () => true,
): RecordStore<T> {
  const path = `${root}/${plugin}`;
  const readOne = (dir: Fd, name: string, say: Say = log) => readRecord<T>(dir, name, path, isData, say);
  const readAll = (each: (dir: Fd, name: string, record: Record<T> | Unreadable | undefined) => void): void => {
    withDirectory(path, undefined, (dir) =>
      sparingly(path, (say) =>
        readEach(
          dir,
          (name) => (name.endsWith(SUFFIX) ? name : undefined),
          (_, name, text) => each(dir, name, readRecord<T>(dir, name, path, isData, say, text)),
        ),
      ),
    );
  };
  return {
    read(key) {
      const record = withDirectory(path, undefined, (dir) => readOne(dir, fileName(key)));
      return isRead(record) && isSameKey(record.key, key) ? record : undefined;
    },
    unreadable(key) {
      const name = fileName(key);
      return withDirectory(path, undefined, (dir) => {
        const found = readOne(dir, name, quiet);
        return found === undefined || isRead(found) ? undefined : remains(dir, path, name, found);
      });
    },
    write(key, data, home) {
      const { network, containerId, ifName } = key;
      const record: Record<T> = {
        version: RECORD_VERSION,
        key: { network, containerId, ifName },
        bootId: bootId(),
        ...(home === undefined ? {} : { home }),
        data,
      };
      withDirectory(path, DIRECTORY, (dir) =>
        writeFile(dir, fileName(key), host.encode(JSON.stringify(record)), FILE_MODE),
      );
    },
    remove(key) {
      withDirectory(path, undefined, (dir) => removeWhatever(dir, fileName(key)));
    },
    list() {
      const records: Record<T>[] = [];
      readAll((_, __, record) => {
        if (isRead(record)) records.push(record);
      });
      return records;
    },
    damaged() {
      const found: Damaged[] = [];
      readAll((dir, name, record) => {
        const one = record === undefined || isRead(record) ? undefined : remains(dir, path, name, record);
        if (one !== undefined) found.push(one);
      });
      return found;
    },
    nameOf: fileName,
    mayBeOf(name, network) {
      const key = keyOf(name);
      return key === undefined ? name.startsWith(`${network}:`.slice(0, CUT)) : key.network === network;
    },
    removeDamaged(name) {
      withDirectory(path, undefined, (dir) => {
        // Do not log: the caller has reported the file already.
        if (readOne(dir, name, quiet) === "damaged") removeWhatever(dir, name);
      });
    },
  };
}

type Say = typeof log;
const quiet: Say = () => {};

function isRead<T>(found: Record<T> | Unreadable | undefined): found is Record<T> {
  return typeof found === "object";
}

/** The number of warnings about records of one directory. For more records, one warning gives their number. */
const MOST_COMPLAINTS = 20;

/** Passes `body` a log function that limits the number of warnings, so that a directory full of damaged records does not fill the log. */
function sparingly<T>(path: string, body: (say: Say) => T): T {
  let count = 0;
  const value = body((level, message, fields) => {
    if (++count <= MOST_COMPLAINTS) log(level, message, fields);
  });
  if (count > MOST_COMPLAINTS)
    log("warning", "ignoring more records", { directory: path, count: count - MOST_COMPLAINTS });
  return value;
}

let boot = "";

/** The ID of this boot; "" if the kernel does not provide it. */
export function bootId(): string {
  if (boot === "") boot = readBootId();
  return boot;
}

/**
 * The time of this boot, in seconds since the epoch; 0 if the kernel does not provide it. The kernel's btime is the current time minus the
 * uptime, so it is too late if the clock was set forward since (a virtual machine that was saved and restored). The time stamp of /proc,
 * which is mounted at boot, is from the clock of that time. The result is the earlier of the two.
 */
export function bootTime(): number {
  try {
    const fd = host.open("/proc/stat", O_RDONLY | O_CLOEXEC);
    const text = host.decode(closing(fd, () => readUpTo(fd, 0, 1 << 20)) ?? new Uint8Array(0));
    return Math.min(Number(/^btime (\d+)$/m.exec(text)?.[1] ?? 0), host.stat("/proc").mtime);
  } catch {
    return 0;
  }
}

function readBootId(): string {
  try {
    const fd = host.open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    // One read suffices: the kernel never returns only a part of the boot ID.
    return host.decode(closing(fd, () => host.read(fd, 64))).trim();
  } catch {
    return "";
  }
}

/** The separator is ":", because no network name, container ID or interface name contains it. With "-", a-b + c and a + b-c would be equal. */
function fileName(key: RecordKey): string {
  const name = `${key.network}:${key.containerId}:${key.ifName}`.replaceAll("/", "%2F");
  // The name of the temporary file is five bytes longer.
  const others = SUFFIX.length + 5;
  // A UTF-16 unit takes at most three bytes in UTF-8.
  if (name.length * 3 + others <= NAME_MAX || host.encode(name).length + others <= NAME_MAX) return name + SUFFIX;
  return `${name.slice(0, CUT)}~${sha256(name)}${SUFFIX}`;
}

/** The inverse of fileName. undefined: the name was shortened. */
function keyOf(name: string): RecordKey | undefined {
  const [network, containerId, ifName, ...more] = name.slice(0, -SUFFIX.length).replaceAll("%2F", "/").split(":");
  return network === undefined || containerId === undefined || ifName === undefined || more.length > 0
    ? undefined
    : { network, containerId, ifName };
}

/** What is known about a record that cannot be used. undefined: the file is gone. */
export function remains(dir: Fd, path: string, name: string, why: Unreadable): Damaged | undefined {
  const key = keyOf(name);
  const found: Damaged = { why, file: `${path}/${name}`, name, text: "", written: 0 };
  if (key !== undefined) found.key = key;
  try {
    found.written = host.stat(name, false, dir).mtime;
    found.text = host.decode(readFile(dir, name, LIMIT) ?? new Uint8Array(0));
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    // The file is known to be unusable, so it does not matter why its contents cannot be read.
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
  }
  return found;
}

/** Removes a record, even if it is a directory. If the directory is not empty, renames it to a name that no record has. */
function removeWhatever(dir: Fd, name: string): void {
  try {
    removeFile(dir, name);
  } catch (error) {
    if (!hasErrno(error, "EISDIR")) throw error;
    try {
      host.rmdir(name, dir);
    } catch (error) {
      if (!hasErrno(error, "ENOTEMPTY")) throw error;
      host.rename(name, `.${name.slice(0, 50)}.${host.now()}`, dir, dir);
    }
  }
}

export function isSameKey(a: RecordKey, b: RecordKey): boolean {
  return a.network === b.network && a.containerId === b.containerId && a.ifName === b.ifName;
}

/** Reads and checks a record. `text` is its contents, if they have been read already. undefined: there is no such file. */
function readRecord<T>(
  dir: Fd,
  name: string,
  path: string,
  isData: (data: unknown) => boolean,
  say: Say,
  text?: string,
): Record<T> | Unreadable | undefined {
  try {
    const data = text === undefined ? readFile(dir, name, LIMIT) : undefined;
    if (text === undefined && data === undefined) return undefined;
    const record = JSON.parse(text ?? host.decode(data!)) as Record<T>;
    const { key, home } = record;
    const whole =
      typeof record.bootId === "string" &&
      isObject(key) &&
      [key.network, key.containerId, key.ifName].every(isText) &&
      (home === undefined || (isObject(home) && typeof home.cookie === "string"));
    if (whole && isData(record.data)) return record;
    if (typeof record.version === "number" && record.version > RECORD_VERSION) {
      const { version } = record;
      say("warning", "ignoring a record that a later version of podnic wrote", { file: `${path}/${name}`, version });
      return "newer";
    }
    say("warning", "ignoring a record that podnic did not write", { file: `${path}/${name}` });
  } catch (error) {
    // The record exists, and may be readable the next time (EIO, EACCES, EMFILE, …). If podnic treated it as missing, the device's original
    // state would be lost. ELOOP and ENXIO are different: podnic creates no links or sockets.
    if (error instanceof SystemError && !hasErrno(error, "ELOOP", "ENXIO")) throw error;
    say("warning", "ignoring a record", { file: `${path}/${name}`, error: String(error) });
  }
  return "damaged";
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}
