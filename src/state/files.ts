// Files that survive a crash. They are written to a temporary file, synced, and then linked or renamed into place.
//
// The temporary file of `x` is `.x.tmp`. Its writer holds a flock on it. A temporary file without a lock was left by a process that was
// killed, and can be removed. Because the name is fixed, killed processes leave at most one temporary file for each file.
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

/** Bytes. All relevant file systems accept file names of this length. */
export const NAME_MAX = 255;
/** Milliseconds to wait for another process that is writing the same file. */
const TEMPORARY_TIMEOUT = 10_000;

/** Runs `body` with a descriptor, and closes the descriptor even if `body` throws. */
export function closing<T>(fd: Fd, body: (fd: Fd) => T): T {
  try {
    return body(fd);
  } finally {
    host.close(fd);
  }
}

/**
 * Reads a regular file in `dir` without following links. undefined: there is no such file. Throws Failure if the file has more than `limit`
 * bytes or is not a regular file, and SystemError (ELOOP) if it is a link.
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

/** Bytes. A lease is shorter: it consists of 64 hex digits and an interface name. */
const SHORT = 256;

/**
 * Reads a regular file with less than SHORT bytes, such as a lease. undefined: there is no such file, or it is longer or not a regular file.
 * readFile distinguishes these cases.
 */
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
 * Like readShort, but with half of the system calls: it opens the file without checking it first. Only for directories to which nothing but
 * podnic ever writes (below /run/podnic, mode 0700).
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

/** Like readFile, but takes an absolute path. Follows links in it, including the last component, under the conditions of openDirectory. */
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
 * Calls `each` for the entries of a directory for which `select` returns a value, with the text of small regular files. See Host.readEach.
 */
export function readEach<T>(
  dir: Fd,
  select: (name: string) => T | undefined,
  each: (selected: T, name: string, text: string | undefined, written: number) => void,
): void {
  const sure = isSure(dir);
  // Use a separate descriptor, because reading a directory moves the descriptor's position.
  closing(host.open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, dir), (own) => host.readEach(own, sure, select, each));
}

/** Reads to the end. `size` is the size according to fstat, which is 0 for files in /proc. undefined: there are more than `limit` bytes. */
export function readUpTo(fd: Fd, size: number, limit: number): Uint8Array | undefined {
  if (size > limit) return undefined;
  const parts: Uint8Array[] = [];
  let length = 0;
  do {
    // Request one byte more than `size`, because the file may have grown since fstat.
    const part = host.read(fd, size >= length && size > 0 ? size - length + 1 : 4096);
    if (part.length === 0) break;
    parts.push(part);
    length += part.length;
    if (length > limit) return undefined;
  } while (size === 0 || length !== size);
  return concat(parts);
}

/**
 * Replaces `name` in `dir` atomically. Does not sync: the file survives if the process is killed, but may not survive a power failure, after
 * which the interfaces and devices that the state describes do not exist either (docs/decisions.md).
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

/** Removes `name` and its temporary file. A missing file is not an error. */
export function removeFile(dir: Fd, name: string): void {
  checkName(name);
  unlinkIfThere(name, dir);
  unlinkIfThere(temporaryName(name), dir);
}

/** Removes those of the files `names` that are temporary files of killed writers. Keeps the temporary files of running writers. */
export function removeLeftovers(dir: Fd, names: string[]): void {
  for (const name of names) {
    if (name.startsWith(".") && name.endsWith(".tmp")) removeTemporary(dir, name);
  }
}

/** Removes the temporary file of `name` if a killed writer left it. */
export function removeLeftover(dir: Fd, name: string): void {
  checkName(name);
  removeTemporary(dir, temporaryName(name));
}

/** Returns false if there was no such file. */
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

/**
 * Creates an empty temporary file, which no other process removes while this process holds it open. `mode` is what the umask left of 0600.
 * Throws Failure("try again") if another process is writing it for too long.
 */
function openTemporary(dir: Fd, temporary: string): { fd: Fd; mode: number } {
  let deadline: number | undefined;
  for (;;) {
    const fd = openExclusive(dir, temporary);
    if (fd !== undefined) {
      // Between the open and the flock, another process may have removed the file as a leftover.
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

/** Creates and opens a file. undefined: the name already exists. */
export function openExclusive(dir: Fd, name: string): Fd | undefined {
  try {
    return host.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600, dir);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return undefined;
    throw error;
  }
}

/** Removes a leftover temporary file. Returns false if another process is writing it. */
function removeTemporary(dir: Fd, temporary: string): boolean {
  let looked: Looked | undefined;
  try {
    looked = openLooked(dir, temporary, O_RDONLY, notRegular);
  } catch (error) {
    // podnic never creates a link of this name, so an attacker may have created it.
    if (hasErrno(error, "ELOOP")) return unlinkIfThere(temporary, dir);
    throw error;
  }
  if (looked === undefined) return true;
  const { fd } = looked;
  // podnic's temporary files are always regular files, so this is not one.
  if (fd === undefined) return unlinkIfThere(temporary, dir);
  return closing(fd, () => {
    if (!tryLock(fd)) return false;
    if (asNamed(dir, temporary, fd) !== undefined) host.unlink(temporary, dir);
    return true;
  });
}

/** The file's stat, if `name` still refers to the open file; otherwise undefined. */
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
  // A UTF-16 unit takes at most three bytes in UTF-8. Long names may share a temporary file; their writers then just wait for each other.
  return name.length * 3 + 5 <= NAME_MAX || host.encode(name).length + 5 <= NAME_MAX
    ? `.${name}.tmp`
    : `.${name.slice(0, 80)}.tmp`;
}

function checkName(name: string): void {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) {
    throw new Failure("io", `"${name}" is not a file name`);
  }
}
