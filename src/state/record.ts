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

/** Where podnic keeps what the Go plugins have no file for. */
export const STATE_ROOT = "/var/lib/cni/podnic";
const DIRECTORY = { mode: 0o700 };
const FILE_MODE = 0o600;
/** Far more than a record of a device with as many addresses and routes as are kept. */
const LIMIT = 256 * 1024;
const SUFFIX = ".json";
/** What is left of a name that is too long, in UTF-16 units. */
const CUT = 40;

export interface RecordKey {
  network: string;
  containerId: string;
  ifName: string;
}

/** A network namespace, as records name it: the host's own at the time of writing. */
export interface HomeNamespace {
  dev: number;
  ino: number;
  /** The kernel's number for it, never given again in a boot; "" when the kernel does not tell. */
  cookie: string;
}

/** 1: what has no version. 2: with `home`. What a later version writes must be readable for an earlier one, or get another directory. */
export const RECORD_VERSION = 2;

export interface Record<T> {
  version?: number;
  key: RecordKey;
  /** Boot id (/proc/sys/kernel/random/boot_id) at the time of writing: after a reboot the kernel's side of the story is gone. */
  bootId: string;
  /** Absent in records of version 1. */
  home?: HomeNamespace;
  data: T;
}

/** Why a file is no record that we can read. "newer": of a later version, which has another shape. */
export type Unreadable = "damaged" | "newer";

/** A file in place of a record, and what is left of it. */
export interface Damaged {
  why: Unreadable;
  /** Its path. */
  file: string;
  /** In the directory of the records. */
  name: string;
  /** By its name; undefined when that had to be shortened. */
  key?: RecordKey;
  /** Whatever is in it; "" when that cannot be had. */
  text: string;
  /** When it was written, seconds since the epoch. */
  written: number;
}

export interface RecordStore<T> {
  /** undefined: none, or not a record (logged): see `unreadable`. Throws when the disk fails. */
  read(key: RecordKey): Record<T> | undefined;
  /** What `read` passed over: there is a file for the attachment, and nobody knows what it says. undefined: none. */
  unreadable(key: RecordKey): Damaged | undefined;
  /** A kill of this process finds it written or not; a power cut may leave nothing of it, or an empty file. */
  write(key: RecordKey, data: T, home?: HomeNamespace): void;
  /** No error when it is gone. */
  remove(key: RecordKey): void;
  /** All records of the plugin. */
  list(): Record<T>[];
  /** All of which that can be said. */
  damaged(): Damaged[];
  /** What the file of an attachment's record is called. */
  nameOf(key: RecordKey): string;
  /** Whether a file of this name may be the record of an attachment of the network: a shortened name says less. */
  mayBeOf(name: string, network: string): boolean;
  /** Removes a file that is no record, nor that of a later version. No error when it is gone. */
  removeDamaged(name: string): void;
}

/**
 * The records of one plugin below `root`. Only root can write there; but a disk may have lost a part, and another version another shape:
 * `isData` says whether it is what the plugin writes.
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
        // Whoever removes it has said which it is.
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

/** Records of a directory that are each complained about; of the others only how many. */
const MOST_COMPLAINTS = 20;

/** A directory full of damaged records is no reason to fill the log. */
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

/** Identity of this boot; "" when the kernel does not tell. */
export function bootId(): string {
  if (boot === "") boot = readBootId();
  return boot;
}

/**
 * When this boot began, seconds since the epoch; 0 when the kernel does not tell. It reckons back from the clock of now. That of then is on /proc, which
 * is mounted when a node boots: where the clock was set forward since (a machine that was saved and restored), that is the earlier one.
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
    // The kernel gives it whole or not at all.
    return host.decode(closing(fd, () => host.read(fd, 64))).trim();
  } catch {
    return "";
  }
}

/** ":" is in no network name, container id or interface name, so that a-b + c and a + b-c differ. */
function fileName(key: RecordKey): string {
  const name = `${key.network}:${key.containerId}:${key.ifName}`.replaceAll("/", "%2F");
  // The name of a writer's temporary file is five bytes longer.
  const others = SUFFIX.length + 5;
  // Three bytes a UTF-16 unit at most.
  if (name.length * 3 + others <= NAME_MAX || host.encode(name).length + others <= NAME_MAX) return name + SUFFIX;
  return `${name.slice(0, CUT)}~${sha256(name)}${SUFFIX}`;
}

/** The other way round. undefined: it was shortened. */
function keyOf(name: string): RecordKey | undefined {
  const [network, containerId, ifName, ...more] = name.slice(0, -SUFFIX.length).replaceAll("%2F", "/").split(":");
  return network === undefined || containerId === undefined || ifName === undefined || more.length > 0
    ? undefined
    : { network, containerId, ifName };
}

/** What there is to say of a file that is no record. undefined: it is gone. */
export function remains(dir: Fd, path: string, name: string, why: Unreadable): Damaged | undefined {
  const key = keyOf(name);
  const found: Damaged = { why, file: `${path}/${name}`, name, text: "", written: 0 };
  if (key !== undefined) found.key = key;
  try {
    found.written = host.stat(name, false, dir).mtime;
    found.text = host.decode(readFile(dir, name, LIMIT) ?? new Uint8Array(0));
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    // Whatever it is, it has said that it is no record.
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
  }
  return found;
}

/** A directory in place of the record, too. What is in it nobody has asked for: then it gets a name that no record has. */
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

/** `text`: what is in it, if that has been read. */
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
    // It is there, and may well be read the next time (EIO, EACCES, EMFILE, ...): taking it for absent would lose the device's past. A
    // link or a socket is not of our making.
    if (error instanceof SystemError && !hasErrno(error, "ELOOP", "ENXIO")) throw error;
    say("warning", "ignoring a record", { file: `${path}/${name}`, error: String(error) });
  }
  return "damaged";
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}
