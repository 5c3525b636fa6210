// Opens the directories that podnic keeps its state in, and says of the open one whether only root can have a hand in it.
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../host/constants.ts";
import { type Fd, host } from "../host/host.ts";
import { hasErrno, pathOf } from "./descriptor.ts";
import { walkToDirectory } from "./walk.ts";

interface Opened {
  dir: Fd;
  /** No link is on the way to it. */
  isPlain: boolean;
}

/**
 * Opens a directory; `path` is absolute and has no "..". Links are followed only where none but root can have planted them (see
 * walk.ts). Creates it and its parents (mode 0755 for parents, `mode` for itself, whatever the umask) when asked. undefined: it does
 * not exist.
 */
export function openDirectory(path: string, create?: { mode: number }): Fd | undefined {
  return open(path, create)?.dir;
}

function open(path: string, create?: { mode: number }): Opened | undefined {
  try {
    // One call on any kernel since 5.6.
    const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    const dir = host.open(path, flags, 0, undefined, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    return { dir, isPlain: true };
  } catch (error) {
    if (hasErrno(error, "ENOENT")) {
      if (create === undefined) return undefined;
    } else if (!hasErrno(error, "ELOOP", "ENOTDIR", "ENOSYS", "EPERM")) {
      throw error;
    }
  }
  const dir = walkToDirectory(path, create);
  return dir === undefined ? undefined : { dir, isPlain: false };
}

/** The directory that withDirectory has open, the innermost one. */
let within: (Opened & { path: string; sure?: boolean }) | undefined;

/**
 * Runs `body` with the directory open, and closes it. `body` is not run when the directory does not exist. Who asks for the same one inside gets
 * the same one: what a lock guards is in the directory that the lock is in, whatever the path leads to by then.
 */
export function withDirectory<T>(
  path: string,
  create: { mode: number } | undefined,
  body: (dir: Fd) => T,
): T | undefined {
  const outer = within;
  if (outer?.path === path) return body(outer.dir);
  const opened = open(path, create);
  if (opened === undefined) return undefined;
  const { dir, isPlain } = opened;
  within = { path, dir, isPlain };
  try {
    return body(dir);
  } finally {
    within = outer;
    host.close(dir);
  }
}

/** Where nobody but root makes a directory, and no container has one mounted. */
const OURS = "/var/lib/cni/";

/** Only root can put anything into the directory. */
export function isSure(dir: Fd): boolean {
  if (within?.dir !== dir) return judge(dir);
  within.sure ??= judge(dir, within.isPlain ? within.path : undefined);
  return within.sure;
}

/** The same, without a question to the kernel for a directory that is looked into but once. */
export function isSureWithin(dir: Fd | undefined): boolean {
  return within !== undefined && within.dir === dir && isSure(within.dir);
}

function judge(dir: Fd, path?: string): boolean {
  const { uid, mode } = host.fstat(dir);
  return uid === 0 && (mode & 0o022) === 0 && (path ?? pathOf(dir)).startsWith(OURS);
}
