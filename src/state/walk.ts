// Opens a directory one component at a time: for kernels without openat2(2), to create missing directories, and to decide about links.
//
// A link is followed only when root made it in a directory that only root can write (/var/run, or a /var/lib/cni that an admin moved
// to another disk). In /tmp, or anywhere else a user may create names, a link ends the walk: configurations name these paths and
// tenants may write configurations.
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, S_IFLNK, S_IFMT } from "../host/constants.ts";
import { errnoText, type Fd, host, SystemError } from "../host/host.ts";
import { hasErrno, pathOf } from "./descriptor.ts";

const PARENT_MODE = 0o755;
const GROUP_OR_OTHERS_WRITE = 0o022;
/** As many links as the kernel follows in one path. */
export const MAX_LINKS = 40;

/**
 * Opens `path`, creating it when asked; undefined when it does not exist and may not be created. A link that leads nowhere is an error then:
 * what is behind it may be on a disk that is not mounted.
 */
export function walkToDirectory(path: string, create: { mode: number } | undefined): Fd | undefined {
  let rest = components(path);
  let links = 0;
  /** Components after the target of a link that has not been reached yet. */
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

/** The directory `name` in `dir`, or where the link of that name points; undefined when it does not exist. */
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
      // O_NOFOLLOW with O_DIRECTORY says ENOTDIR for a link; some file systems say ELOOP.
      if (hasErrno(error, "ENOTDIR", "ELOOP")) return { target: trustedTarget(dir, name, withPath(error, dir, name)) };
      throw withPath(error, dir, name);
    }
  }
}

/** The kernel was asked in an open directory, and does not say where that is. */
function withPath(error: unknown, dir: Fd, name: string): unknown {
  if (!(error instanceof SystemError)) return error;
  const { syscall, errno, code } = error;
  return new SystemError(syscall, errno, code, errnoText(errno), `${pathOf(dir)}/${name}`.replace("//", "/"));
}

/** Creates and opens it, with that mode whatever the umask. undefined: somebody was faster, look again. */
export function makeDirectory(dir: Fd, name: string, mode: number): Fd | undefined {
  try {
    host.mkdir(name, mode, dir);
  } catch (error) {
    if (hasErrno(error, "EEXIST")) return undefined;
    throw error;
  }
  const made = open(name, dir);
  try {
    // mkdir(2) takes the umask off.
    host.fchmod(made, mode);
    // Itself first: without a journal, a name alone on the disk may be that of a file that had its inode before.
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

/** Absolute path that the link `name` in `dir` leads to. Throws when it may not be followed. */
export function followLink(dir: Fd, name: string): string {
  const target = trustedTarget(dir, name, refused(name, "is not a symbolic link"));
  return `/${components(target, components(pathOf(dir))).join("/")}`;
}

function open(path: string, dir: Fd | undefined): Fd {
  return host.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, dir);
}

/** Components of a path; of a link's target, seen from the directory `from`, which is free of links itself. */
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
