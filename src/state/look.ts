// Checks a file before opening it. Opening a file can have effects: it blocks on a FIFO, starts a watchdog or consumes the kernel's log. A
// user who can write to a directory can create anything under the names that podnic uses.
import { ELOOP, O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_PATH, S_IFLNK, S_IFMT, S_IFREG } from "../host/constants.ts";
import { errnoName, errnoText, type Fd, host, type Stat, SystemError } from "../host/host.ts";
import { hasErrno } from "./descriptor.ts";
import { isSureWithin } from "./directory.ts";

/** Returns why a file must not be opened, or "". */
export type Judge = (stat: Stat) => string;

export interface Looked {
  /** undefined: the judge refused the file, and `why` says why. */
  fd: Fd | undefined;
  why: string;
  stat: Stat;
}

/** A judge that refuses everything but regular files. */
export function notRegular({ mode }: Stat): string {
  return (mode & S_IFMT) === S_IFREG ? "" : "is not a regular file";
}

/** A judge that also refuses files that another user, or a process that uses another hard link, can change. */
export function notOurs(stat: Stat): string {
  const why = notRegular(stat);
  if (why !== "") return why;
  if (!isOurUser(stat.uid)) return "belongs to another user";
  return stat.nlink > 1 ? "has more than one hard link" : "";
}

const isLink = ({ mode }: Stat): boolean => (mode & S_IFMT) === S_IFLNK;
/** With these flags, the kernel refuses a link with ELOOP. */
const OWN_FLAGS = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

/** True for root and the user of this process. */
export function isOurUser(uid: number): boolean {
  return uid === 0 || uid === host.geteuid();
}

/**
 * Opens `name` in `dir` if the judge accepts it. The opened file is always the file that was judged. undefined: there is no such file.
 * Throws SystemError; for a link, unless `follow` is set, its code is ELOOP, as with O_NOFOLLOW.
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

/** Like openLooked, with half of the system calls. Only for directories in which nobody but root can replace the file between stat and open. */
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
  // /proc is not mounted: open the file by name again, and make sure that it is still the same file.
  const fd = host.open(name, flags | O_NOFOLLOW, 0, dir);
  const { dev, ino } = host.fstat(fd);
  if (dev === seen.dev && ino === seen.ino) return fd;
  host.close(fd);
  throw new SystemError("openat", ELOOP, errnoName(ELOOP), errnoText(ELOOP), name);
}
