// Opens a directory one component at a time: for kernels without openat2(2), to create missing directories, and to decide about links.
//
// The walk follows a link only if the link belongs to root and is in a directory to which only root can write (/var/run, or a /var/lib/cni
// that an administrator moved to another disk). In /tmp, and in any other directory in which users can create files, a link is an error,
// because tenants may write the configurations that contain these paths.
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, S_IFLNK, S_IFMT } from "../host/constants.ts";
import { errnoText, type Fd, host, SystemError } from "../host/host.ts";
import { hasErrno, pathOf } from "./descriptor.ts";

const PARENT_MODE = 0o755;
const GROUP_OR_OTHERS_WRITE = 0o022;
/** The number of links that the kernel follows in one path. */
export const MAX_LINKS = 40;

/**
 * Opens the directory `path`. With `create`, creates missing directories; without it, returns undefined if one is missing. A link to a
 * missing directory is an error without `create`, because its target may be on a disk that is not mounted. Throws Failure or SystemError.
 */
export function walkToDirectory(path: string, create: { mode: number } | undefined): Fd | undefined {
  let rest = components(path);
  let links = 0;
  /** The number of components that follow the targets of links. While at least as many remain, the current component belongs to a target. */
  let behind = Number.POSITIVE_INFINITY;
  let done: string[] = [];
  let dir = open("/", undefined);
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const next = enter(dir, name, create && (rest.length === 0 ? create.mode : PARENT_MODE));
      if (next === undefined) {
        if (rest.length < behind) return undefined;
        const target = `${pathOf(dir)}/${name}`.replace("//", "/");
        throw refused(path, `resolves to ${target}, which does not exist`, "A disk might not be mounted.");
      }
      host.close(dir);
      dir = -1;
      if (typeof next === "number") {
        dir = next;
        done.push(name);
        continue;
      }
      if (++links > MAX_LINKS) throw refused(path, "has too many symbolic links");
      behind = Math.min(behind, rest.length);
      rest = [...components(next.target, done), ...rest];
      done = [];
      dir = open("/", undefined);
    }
    const reached = dir;
    dir = -1;
    return reached;
  } finally {
    if (dir >= 0) host.close(dir);
  }
}

/**
 * Opens the directory `name` in `dir`, or returns the target of the link of this name. With `mode`, creates a missing directory; without it,
 * returns undefined.
 */
function enter(dir: Fd, name: string, mode: number | undefined): Fd | { target: string } | undefined {
  for (;;) {
    try {
      return open(name, dir);
    } catch (error) {
      if (hasErrno(error, "ENOENT")) {
        if (mode === undefined) return undefined;
        const made = makeDirectory(dir, name, mode);
        if (made !== undefined) return made;
        continue;
      }
      // For a link, O_NOFOLLOW with O_DIRECTORY fails with ENOTDIR; on some file systems, with ELOOP.
      if (hasErrno(error, "ENOTDIR", "ELOOP")) return { target: trustedTarget(dir, name, withPath(error, dir, name)) };
      throw withPath(error, dir, name);
    }
  }
}

/** Adds the full path to an error. The kernel's error has only the name, because the call was relative to an open directory. */
function withPath(error: unknown, dir: Fd, name: string): unknown {
  if (!(error instanceof SystemError)) return error;
  const { syscall, errno, code } = error;
  return new SystemError(syscall, errno, code, errnoText(errno), `${pathOf(dir)}/${name}`.replace("//", "/"));
}

/** Creates and opens a directory with exactly this mode. undefined: it exists already, so another process may have created it. */
export function makeDirectory(dir: Fd, name: string, mode: number): Fd | undefined {
  try {
    host.mkdir(name, mode, dir);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return undefined;
    throw error;
  }
  const made = open(name, dir);
  try {
    // mkdir(2) applies the umask.
    host.fchmod(made, mode);
    // Sync the new directory before its parent: on a file system without a journal, the name could otherwise reach the disk before the
    // inode, and lead to the file that had this inode before.
    host.fsync(made);
    host.fsync(dir);
    return made;
  } catch (error) {
    host.close(made);
    throw error;
  }
}

function trustedTarget(dir: Fd, name: string, notDirectory: unknown): string {
  const link = host.stat(name, false, dir);
  if ((link.mode & S_IFMT) !== S_IFLNK) throw notDirectory;
  const parent = host.fstat(dir);
  if (link.uid !== 0 || parent.uid !== 0 || (parent.mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    throw refused(name, "is a symbolic link in a directory that users other than root can write to");
  }
  return host.readlink(name, dir);
}

/** The absolute path to which the link `name` in `dir` leads. Throws Failure if the link must not be followed. */
export function followLink(dir: Fd, name: string): string {
  const target = trustedTarget(dir, name, refused(name, "is not a symbolic link"));
  return `/${components(target, components(pathOf(dir))).join("/")}`;
}

function open(path: string, dir: Fd | undefined): Fd {
  return host.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, dir);
}

/** The components of a path. `from` is the directory of a link whose target is `path`; its components must not be links. Throws Failure. */
function components(path: string, from?: string[]): string[] {
  const out = from === undefined || path.startsWith("/") ? [] : [...from];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") out.push(name);
    else if (from === undefined) throw refused(path, 'contains ".."');
    else out.pop();
  }
  return out;
}

function refused(path: string, why: string, cure = "Use the real path of the directory."): Failure {
  return new Failure("invalid config", `path refused: ${path} ${why}`, cure);
}
