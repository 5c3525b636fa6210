// Opens the directories that contain podnic's state, and tells whether only root can create files in the open directory.
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
  /** The path to the directory contains no link. */
  isPlain: boolean;
}

/**
 * Opens a directory. `path` is absolute and has no "..". Follows only links that nobody but root can have created (see walk.ts). With
 * `create`, creates missing parents with exactly mode 0755 and the directory itself with exactly `mode`. Without it, returns undefined if
 * the directory does not exist. Throws Failure or SystemError.
 */
export function openDirectory(path: string, create?: { mode: number }): Fd | undefined {
  return open(path, create)?.dir;
}

function open(path: string, create?: { mode: number }): Opened | undefined {
  try {
    // Since Linux 5.6, this is one system call if the path contains no link.
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

/** The directory that the innermost running withDirectory has opened. */
let within: (Opened & { path: string; sure?: boolean }) | undefined;

/**
 * Runs `body` with the open directory, and then closes it. If the directory does not exist, does not run `body` and returns undefined. A
 * nested withDirectory with the same path gets the same open directory, so a lock and the files that it protects are in one directory, even
 * if the path leads somewhere else by then.
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

/** Below this directory, only root creates directories, and containers do not have them mounted. */
const OURS = "/var/lib/cni/";

/** True if it is certain that only root can create files in the directory. */
export function isSure(dir: Fd): boolean {
  if (within?.dir !== dir) return judge(dir);
  within.sure ??= judge(dir, within.isPlain ? within.path : undefined);
  return within.sure;
}

/** Like isSure, but only for the directory that withDirectory has open. For others, asking the kernel does not pay. */
export function isSureWithin(dir: Fd | undefined): boolean {
  return within !== undefined && within.dir === dir && isSure(within.dir);
}

function judge(dir: Fd, path?: string): boolean {
  const { uid, mode } = host.fstat(dir);
  return uid === 0 && (mode & 0o022) === 0 && (path ?? pathOf(dir)).startsWith(OURS);
}
