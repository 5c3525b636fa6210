// Checks a file before opening it. Opening a file can have effects: it blocks on a FIFO, starts a watchdog or consumes the kernel's log. A
// user who can write to a directory can create anything under the names that podnic uses.
import { ELOOP, O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_PATH, S_IFLNK, S_IFMT, S_IFREG } from "../host/constants.ts";
import { errnoName, errnoText, type Fd, host, type Stat, SystemError } from "../host/host.ts";
import { hasErrno } from "./descriptor.ts";
import { isSureWithin } from "./directory.ts";

/** Why a file is not to be opened, or "". */
export type Judge = (stat: Stat) => string;

export interface Looked {
  /** undefined: the judge was against it. */
  fd: Fd | undefined;
  why: string;
  stat: Stat;
}

/** For the judge: anything but a regular file. */
export function notRegular({ mode }: Stat): string {
  return (mode & S_IFMT) === S_IFREG ? "" : "is not a regular file";
}

/** For the judge: a file that another user, or another name, can have a hand in. */
export function notOurs(stat: Stat): string {
  const why = notRegular(stat);
  if (why !== "") return why;
  if (!isOurUser(stat.uid)) return "belongs to another user";
  return stat.nlink > 1 ? "has more than one hard link" : "";
}

const isLink = ({ mode }: Stat): boolean => (mode & S_IFMT) === S_IFLNK;
/** A link is refused by the kernel (ELOOP). */
const OWN_FLAGS = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

/** It belongs to root or to the user of this process. */
export function isOurUser(uid: number): boolean {
  return uid === 0 || uid === host.geteuid();
}

/**
 * Opens `name` in `dir` if the judge has nothing against it. What was judged is what is opened. undefined: not there. A link throws
 * ELOOP, as O_NOFOLLOW does, unless it is to be followed.
 */
export function openLooked(
  dir: Fd | undefined,
  name: string,
  flags: number,
  judge: Judge,
  follow = false,
): Looked | undefined {
  if (!follow && isSureWithin(dir)) return openOwn(dir!, name, flags, judge);
  let path: Fd;
  try {
    path = host.open(name, O_PATH | (follow ? 0 : O_NOFOLLOW) | O_CLOEXEC, 0, dir);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    const stat = host.fstat(path);
    if (isLink(stat)) throw new SystemError("openat", ELOOP, errnoName(ELOOP), errnoText(ELOOP), name);
    const why = judge(stat);
    return { fd: why === "" ? reopen(path, stat, dir, name, flags | O_NONBLOCK | O_CLOEXEC) : undefined, why, stat };
  } finally {
    host.close(path);
  }
}

/** The same where only root can put anything: what is of this name now is what is opened next. Half of the system calls. */
function openOwn(dir: Fd, name: string, flags: number, judge: Judge): Looked | undefined {
  try {
    const stat = host.stat(name, false, dir);
    const why = isLink(stat) ? "" : judge(stat);
    return { fd: why === "" ? host.open(name, flags | OWN_FLAGS, 0, dir) : undefined, why, stat };
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function reopen(path: Fd, seen: Stat, dir: Fd | undefined, name: string, flags: number): Fd {
  try {
    return host.open(`/proc/self/fd/${path}`, flags);
  } catch (error) {
    if (!hasErrno(error, "ENOENT", "ENOTDIR")) throw error;
  }
  // Without /proc: by name again, and only what was seen counts.
  const fd = host.open(name, flags | O_NOFOLLOW, 0, dir);
  const { dev, ino } = host.fstat(fd);
  if (dev === seen.dev && ino === seen.ino) return fd;
  host.close(fd);
  throw new SystemError("openat", ELOOP, errnoName(ELOOP), errnoText(ELOOP), name);
}
