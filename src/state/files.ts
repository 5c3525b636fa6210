// Files that survive a crash. They are written to a temporary file, synced, and then linked or renamed into place.
//
// The temporary file of `x` is `.x.tmp`. Its writer holds a flock on it, so that a temporary file without one belongs to a process that was
// killed and may be removed; a fixed name means that a kill never leaves more than one behind.
import { Failure } from "../errors.ts";
import { concat } from "../host/concat.ts";
import {
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_WRONLY,
} from "../host/constants.ts";
import { type Fd, host, type Stat } from "../host/host.ts";
import { hasErrno, pathOf } from "./descriptor.ts";
import { isSure, withDirectory } from "./directory.ts";
import { tryLock } from "./lock.ts";
import { type Looked, notRegular, openLooked } from "./look.ts";
import { followLink, MAX_LINKS } from "./walk.ts";

export { openDirectory, withDirectory } from "./directory.ts";
export { makeDirectory } from "./walk.ts";

/** Longest file name of every file system we may meet, in bytes. */
export const NAME_MAX = 255;
/** Milliseconds to wait for another process that writes the same file. */
const TEMPORARY_TIMEOUT = 10_000;

/** Runs `body` with a descriptor and closes it whatever happens. */
export function closing<T>(fd: Fd, body: (fd: Fd) => T): T {
  try {
    return body(fd);
  } finally {
    host.close(fd);
  }
}

/**
 * Whole contents of a regular file in `dir`, never following a link. undefined: not there. Throws when it is larger than `limit` or not a
 * regular file.
 */
export function readFile(dir: Fd, name: string, limit: number): Uint8Array | undefined {
  checkName(name);
  const looked = openLooked(dir, name, O_RDONLY, notRegular);
  if (looked === undefined) return undefined;
  const { fd, why, stat } = looked;
  if (fd === undefined) throw new Failure("io", `${pathOf(dir)}/${name} ${why}`);
  return closing(fd, () => {
    const data = readUpTo(fd, stat.size, limit);
    if (data === undefined) {
      throw new Failure("io", `${pathOf(dir)}/${name} is larger than ${limit} bytes`);
    }
    return data;
  });
}

/** More than a lease takes: 64 hex digits and an interface name. */
const SHORT = 256;

/** A file that is as short as ours are. undefined: not there, longer, or nothing to read: ask readFile. */
export function readShort(dir: Fd, name: string): Uint8Array | undefined {
  try {
    const fd = openLooked(dir, name, O_RDONLY, notShort)?.fd;
    return fd === undefined ? undefined : closing(fd, () => host.read(fd, SHORT));
  } catch (error) {
    if (hasErrno(error, "ELOOP")) return undefined;
    throw error;
  }
}

/**
 * The same in half of the system calls, for a directory that nobody but us ever writes (below /run/podnic, mode 0700): opened without a
 * look at it first.
 */
export function readOwnShort(dir: Fd, name: string): Uint8Array | undefined {
  try {
    const fd = host.open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0, dir);
    const data = closing(fd, () => host.read(fd, SHORT));
    return data.length < SHORT ? data : undefined;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ELOOP", "EISDIR")) return undefined;
    throw error;
  }
}

function notShort(stat: Stat): string {
  return stat.size < SHORT ? notRegular(stat) : "is long";
}

/** As readFile, by absolute path; links on the way and at its end are followed as in openDirectory. */
export function readFileAt(path: string, limit: number): Uint8Array | undefined {
  for (let links = 0; links < MAX_LINKS; links++) {
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const found = withDirectory(path.slice(0, slash) || "/", undefined, (dir) => {
      try {
        return readFile(dir, name, limit);
      } catch (error) {
        if (!hasErrno(error, "ELOOP")) throw error;
        return followLink(dir, name);
      }
    });
    if (typeof found !== "string") return found;
    path = found;
  }
  throw new Failure("io", `${path} has too many symbolic links`);
}

/**
 * The entries of a directory that `select` has something to say of, with the text in them where they are small regular files: see
 * Host.readEach.
 */
export function readEach<T>(
  dir: Fd,
  select: (name: string) => T | undefined,
  each: (selected: T, name: string, text: string | undefined, written: number) => void,
): void {
  const sure = isSure(dir);
  // A descriptor of its own: reading moves it.
  closing(host.open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, dir), (own) => host.readEach(own, sure, select, each));
}

/** Reads to the end; files of /proc say their size is 0. undefined: more than `limit` bytes. */
export function readUpTo(fd: Fd, size: number, limit: number): Uint8Array | undefined {
  if (size > limit) return undefined;
  const parts: Uint8Array[] = [];
  let length = 0;
  do {
    // One byte more: it may have been replaced by a longer one since it was looked at.
    const part = host.read(fd, size >= length && size > 0 ? size - length + 1 : 4096);
    if (part.length === 0) break;
    parts.push(part);
    length += part.length;
    if (length > limit) return undefined;
  } while (size === 0 || length !== size);
  return concat(parts);
}

/**
 * Replaces `name` in `dir` atomically. Not synced: it survives the death of a process and not a power cut, after which nothing that our
 * state speaks of exists (docs/decisions.md).
 */
export function writeFile(dir: Fd, name: string, data: Uint8Array, mode: number): void {
  checkName(name);
  const temporary = temporaryName(name);
  const { fd: opened, mode: given } = openTemporary(dir, temporary);
  closing(opened, (fd) => {
    try {
      if (given !== mode) host.fchmod(fd, mode);
      writeAll(fd, data);
      host.rename(temporary, name, dir, dir);
    } catch (error) {
      unlinkIfThere(temporary, dir);
      throw error;
    }
  });
}

/** Removes `name`, and what a killed writer of it left behind. No error when there is nothing. */
export function removeFile(dir: Fd, name: string): void {
  checkName(name);
  unlinkIfThere(name, dir);
  unlinkIfThere(temporaryName(name), dir);
}

/** Removes those of these names that killed writers left, whatever they were writing; not what is being written. */
export function removeLeftovers(dir: Fd, names: string[]): void {
  for (const name of names) {
    if (name.startsWith(".") && name.endsWith(".tmp")) removeTemporary(dir, name);
  }
}

/** Removes what a killed writer of `name` left; not what is being written. */
export function removeLeftover(dir: Fd, name: string): void {
  checkName(name);
  removeTemporary(dir, temporaryName(name));
}

/** false: it was not there. */
export function unlinkIfThere(name: string, dir: Fd): boolean {
  try {
    host.unlink(name, dir);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** Writes all of `data`. */
export function writeAll(fd: Fd, data: Uint8Array): void {
  for (let at = 0; at < data.length; ) at += host.write(fd, at === 0 ? data : data.subarray(at));
}

/** A new empty temporary file, which no other process removes while this process holds it open, and the mode that the umask left it. */
function openTemporary(dir: Fd, temporary: string): { fd: Fd; mode: number } {
  let deadline: number | undefined;
  for (;;) {
    const fd = openExclusive(dir, temporary);
    if (fd !== undefined) {
      // Between our open and our flock another process may have taken it for a leftover.
      const own = tryLock(fd) ? asNamed(dir, temporary, fd) : undefined;
      if (own !== undefined) return { fd, mode: own.mode & 0o7777 };
      host.close(fd);
    } else if (!removeTemporary(dir, temporary)) {
      const now = host.monotonic();
      deadline ??= now + TEMPORARY_TIMEOUT;
      if (now > deadline) {
        throw new Failure("try again", `${pathOf(dir)}/${temporary} is being written by another process`);
      }
      host.sleep(0.5);
    }
  }
}

/** undefined: it exists. */
export function openExclusive(dir: Fd, name: string): Fd | undefined {
  try {
    return host.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600, dir);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return undefined;
    throw error;
  }
}

/** false: another process is writing it. */
function removeTemporary(dir: Fd, temporary: string): boolean {
  let looked: Looked | undefined;
  try {
    looked = openLooked(dir, temporary, O_RDONLY, notRegular);
  } catch (error) {
    // An attacker created a link.
    if (hasErrno(error, "ELOOP")) return unlinkIfThere(temporary, dir);
    throw error;
  }
  if (looked === undefined) return true;
  const { fd } = looked;
  // Nothing that a writer of ours makes.
  if (fd === undefined) return unlinkIfThere(temporary, dir);
  return closing(fd, () => {
    if (!tryLock(fd)) return false;
    if (asNamed(dir, temporary, fd) !== undefined) host.unlink(temporary, dir);
    return true;
  });
}

/** What the file is, if it is still the one of this name. */
function asNamed(dir: Fd, name: string, fd: Fd): Stat | undefined {
  try {
    const there = host.stat(name, false, dir);
    const here = host.fstat(fd);
    return there.ino === here.ino && there.dev === here.dev ? here : undefined;
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function temporaryName(name: string): string {
  // Three bytes a UTF-16 unit at most; names that share a temporary file wait for each other, that is all.
  return name.length * 3 + 5 <= NAME_MAX || host.encode(name).length + 5 <= NAME_MAX
    ? `.${name}.tmp`
    : `.${name.slice(0, 80)}.tmp`;
}

function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) {
    throw new Failure("io", `"${name}" is not a file name`);
  }
}
