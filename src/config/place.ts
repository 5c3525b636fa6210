// Directories and files that a configuration names. The author of the configuration can be a tenant, and parts of the path can belong to a
// pod, whose root also has uid 0 on the node. It therefore proves nothing that a link or a directory belongs to root.
//
// Links are followed in the path of a root of the policy, and not below it. Below a shared root, podnic enters only directories that belong
// to root, that nobody else can write to, and that are on the same mount. It never enters one of the trees of roots.ts. Then it asks the
// kernel for the path of the directory that it has opened, and checks this path against the roots once more.
import { Failure } from "../errors.ts";
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../host/constants.ts";
import { type Fd, host } from "../host/host.ts";
import { hasErrno, pathOf } from "../state/descriptor.ts";
import { closing, makeDirectory, openDirectory, readUpTo } from "../state/files.ts";
import { isOurUser, notRegular, openLooked } from "../state/look.ts";
import { confinePath, type Place } from "./policy.ts";
import { forbiddenTree } from "./roots.ts";

const PARENT_MODE = 0o755;
const GROUP_OR_OTHERS_WRITE = 0o022;
const DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/** The resolver's configuration, which is a link on most nodes. Only the administrator or the distribution creates this link. */
const RESOLV_CONF = "/etc/resolv.conf";

/**
 * Opens the directory that `key` of a configuration names (confinePath). With `create`, creates missing directories, the last one with
 * `mode`. Directly below a shared root, it creates only directories whose names begin with "cni". Without `create`, returns undefined if the
 * directory does not exist. Throws Failure("invalid config").
 */
export function openPlace(key: "dataDir", place: Place, create?: { mode: number }): Fd | undefined {
  return openDirectoryOf(key, place, create);
}

/**
 * Opens the directory of a file that a configuration names, and returns it with the file's name. Creates missing directories only for
 * `logFile`, and not below a shared root. undefined: the directory does not exist. Throws Failure("invalid config").
 */
export function openParent(key: "logFile" | "resolvConf", place: Place): { dir: Fd; name: string } | undefined {
  const slash = place.path.lastIndexOf("/");
  const parent = place.path.slice(0, slash) || "/";
  // The root can be the file itself.
  const root = place.steps.length === 0 ? { path: parent, shared: false } : place.root;
  const create = key === "logFile" && !root.shared ? { mode: PARENT_MODE } : undefined;
  const dir = openDirectoryOf(key, { path: parent, root, steps: place.steps.slice(0, -1) }, create);
  return dir === undefined ? undefined : { dir, name: place.path.slice(slash + 1) };
}

function openDirectoryOf(key: string, place: Place, create?: { mode: number }): Fd | undefined {
  const fd = place.root.shared ? undefined : openPlainly(place.path);
  if (fd !== undefined) return fd;
  const root = openDirectory(place.root.path, create && { mode: place.steps.length === 0 ? create.mode : PARENT_MODE });
  if (root === undefined) return undefined;
  const real = pathOf(root);
  const tree = forbiddenTree(real, place.root.path);
  if (tree !== undefined) {
    host.close(root);
    throw refused(key, place.path, `leads into ${tree}`);
  }
  return descend(key, place, root, real, create);
}

/** Opens a path without links in one system call. undefined: the path has a link, a directory is missing, or the kernel is too old. */
function openPlainly(path: string): Fd | undefined {
  try {
    return host.open(path, DIRECTORY, 0, undefined, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ELOOP", "ENOTDIR", "ENOSYS", "EPERM")) return undefined;
    throw error;
  }
}

/** Opens the place, starting from the open root, which it closes. `real` is the root's path according to the kernel. */
function descend(key: string, place: Place, root: Fd, real: string, create?: { mode: number }): Fd | undefined {
  let dir = root;
  try {
    for (const [at, name] of place.steps.entries()) {
      const last = at === place.steps.length - 1;
      const mayCreate = create !== undefined && (!place.root.shared || at > 0 || name.startsWith("cni"));
      const next = enter(key, place, dir, name, mayCreate ? (last ? create.mode : PARENT_MODE) : undefined);
      if (next === undefined) {
        if (create === undefined) return undefined;
        throw refused(key, place.path, `does not exist (${pathOf(dir)}/${name}), and cannot be created there`);
      }
      host.close(dir);
      dir = next;
    }
    const reached = pathOf(dir);
    const wanted = `${real === "/" ? "" : real}${place.steps.map((step) => `/${step}`).join("")}`;
    if (reached !== wanted || forbiddenTree(reached, place.root.path) !== undefined) {
      throw refused(key, place.path, `resolves to ${reached}`);
    }
    const opened = dir;
    dir = -1;
    return opened;
  } finally {
    if (dir >= 0) host.close(dir);
  }
}

function enter(key: string, place: Place, dir: Fd, name: string, mode: number | undefined): Fd | undefined {
  for (;;) {
    const fd = openStep(key, place, dir, name);
    if (fd !== undefined) {
      const why = place.root.shared ? whyNotAdmins(dir, fd) : "";
      if (why === "") return fd;
      host.close(fd);
      throw refused(key, place.path, `: ${name} ${why}`);
    }
    if (mode === undefined) return undefined;
    const made = makeDirectory(dir, name, mode);
    if (made !== undefined) return made;
  }
}

/** Opens one directory on the way. undefined: it does not exist. */
function openStep(key: string, place: Place, dir: Fd, name: string): Fd | undefined {
  const staying = place.root.shared ? RESOLVE_NO_XDEV : 0;
  try {
    return host.open(name, DIRECTORY, 0, dir, staying | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    if (hasErrno(error, "ELOOP", "ENOTDIR")) throw noDirectory(key, place, name);
    if (hasErrno(error, "EXDEV")) throw refused(key, place.path, `crosses into another file system (${name})`);
    if (!hasErrno(error, "ENOSYS", "EPERM")) throw error;
  }
  // Kernels before 5.6 and some sandboxes do not have openat2.
  try {
    return host.open(name, DIRECTORY, 0, dir);
  } catch (error) {
    if (hasErrno(error, "ENOENT")) return undefined;
    if (!hasErrno(error, "ELOOP", "ENOTDIR")) throw error;
    throw noDirectory(key, place, name);
  }
}

function noDirectory(key: string, place: Place, name: string): Failure {
  return refused(key, place.path, `contains a symbolic link, or something that is not a directory (${name})`);
}

function whyNotAdmins(parent: Fd, fd: Fd): string {
  const { uid, mode, dev } = host.fstat(fd);
  if (!isOurUser(uid)) return "belongs to another user";
  if ((mode & GROUP_OR_OTHERS_WRITE) !== 0) return "is writable by other users";
  return dev === host.fstat(parent).dev ? "" : "is on another file system";
}

/** Reads the file that a configuration names as resolvConf. undefined: it does not exist. Throws Failure. */
export function readResolvFile(path: string, limit: number): Uint8Array | undefined {
  const place = confinePath("resolvConf", path);
  // Follow this link, because it belongs to the administrator, as do links in the path of a root.
  if (place.path === RESOLV_CONF) return readLooked(undefined, place.path, true, limit);
  const parent = openParent("resolvConf", place);
  return parent && closing(parent.dir, () => readLooked(parent.dir, parent.name, false, limit));
}

function readLooked(dir: Fd | undefined, name: string, follow: boolean, limit: number): Uint8Array | undefined {
  const looked = openLooked(dir, name, O_RDONLY, notRegular, follow);
  if (looked === undefined) return undefined;
  const { fd, why, stat } = looked;
  if (fd === undefined) throw new Failure("io", why);
  const data = closing(fd, () => readUpTo(fd, stat.size, limit));
  if (data === undefined) throw new Failure("io", `it is larger than ${limit} bytes`);
  return data;
}

function refused(key: string, path: string, why: string): Failure {
  return new Failure(
    "invalid config",
    `${key} ${JSON.stringify(path.slice(0, 128))} is refused: it ${why}`.replace("it : ", ""),
    `Use a directory that only the node's administrator can create. The administrator can allow other directories with paths.${key} in /etc/cni/podnic.json.`,
  );
}
