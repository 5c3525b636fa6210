// An open network namespace, and a route socket in it.
import { Failure } from "../errors.ts";
import { CLONE_NEWNET, NSFS_MAGIC, O_CLOEXEC, O_PATH, O_RDONLY } from "../host/constants.ts";
import { HIGH, LOW } from "../host/endian.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { closing } from "../state/files.ts";

/** setns(2) moves the whole process (it has one thread); sockets stay in the namespace they were made in. */
export interface NetNs {
  /** As given by the caller; "" for our own. */
  readonly path: string;
  readonly fd: Fd;
  /** nsfs device and inode: two paths are one namespace when both are equal. */
  readonly dev: number;
  readonly ino: number;
  /** rtnetlink socket that lives in this namespace. */
  readonly route: RouteSocket;
  /** The kernel's number for it, never given again before the next boot; "" when the kernel does not tell. */
  readonly cookie: string;
  /** Root of a sysfs that shows this namespace's devices; undefined when it cannot be had. */
  readonly sysfs: Fd | undefined;
}

/** ioctl(2) on an nsfs file: which type of namespace it is, as its CLONE_NEW* bit. linux/nsfs.h: _IO(0xb7, 3). */
const NS_GET_NSTYPE = 0xb703;
/** The same of the user namespace that owns it, as a descriptor: _IO(0xb7, 1). EPERM: it is none of ours or below it. */
const NS_GET_USERNS = 0xb701;

class OpenNamespace implements NetNs {
  readonly path: string;
  readonly fd: Fd;
  readonly dev: number;
  readonly ino: number;
  #route: RouteSocket | undefined;
  #cookie: string | undefined;
  /** -1: it cannot be had. */
  #sysfs: Fd | undefined;

  constructor(path: string, fd: Fd) {
    this.path = path;
    this.fd = fd;
    const { dev, ino } = host.fstat(fd);
    this.dev = dev;
    this.ino = ino;
  }

  get route(): RouteSocket {
    this.#route ??= inNamespace(this, () => RouteSocket.open());
    return this.#route;
  }

  get cookie(): string {
    this.#cookie ??= digitsOf(this.route.namespaceCookie());
    return this.#cookie;
  }

  get sysfs(): Fd | undefined {
    this.#sysfs ??= inNamespace(this, mountSysfs);
    return this.#sysfs === -1 ? undefined : this.#sysfs;
  }

  dropSysfs(): void {
    const fd = this.#sysfs ?? -1;
    this.#sysfs = undefined;
    if (fd >= 0) host.close(fd);
  }

  close(): void {
    this.#route?.close();
    this.dropSysfs();
    host.close(this.fd);
  }
}

/** Hex digits of a number of 64 bits; "" when there is none. */
function digitsOf(number: Uint8Array | undefined): string {
  if (number === undefined) return "";
  const words = new Uint32Array(number.buffer, number.byteOffset, 2);
  return `${digits(words[HIGH]!)}${digits(words[LOW]!)}`;
}

/** Of 32 bits. */
function digits(word: number): string {
  return word === 0 ? "00000000" : word.toString(16).padStart(8, "0");
}

/** Mounted by ourselves: /sys may be missing, or be that of another namespace. -1: the kernel does not let us, or cannot. */
function mountSysfs(): Fd {
  try {
    return host.mountDetached("sysfs");
  } catch (error) {
    // A host without processes beside it (Node) on an old kernel, a filter of system calls, a security module. Anything else may be otherwise a moment later.
    if (error instanceof SystemError && ["ENOSYS", "EPERM", "EACCES", "ENODEV", "EINVAL"].includes(error.code))
      return -1;
    throw error;
  }
}

/** Who looks into many namespaces does not keep a sysfs of each. */
export function dropSysfs(ns: NetNs): void {
  if (ns instanceof OpenNamespace) ns.dropSysfs();
}

let own: NetNs | undefined;
/** The namespace this process is in now; differs from `own` only inside inNamespace. */
let current: Pick<NetNs, "fd"> | undefined;

/** The namespace this process runs in (/proc/thread-self/ns/net). */
export function ownNamespace(): NetNs {
  if (own === undefined) {
    own = new OpenNamespace("", openProc("/proc/thread-self/ns/net"));
    current ??= own;
  }
  return own;
}

/**
 * The one opened last, and the first one. A call is about one pod: what was checked is what is used, even if the path changes meanwhile, or
 * cannot be opened any more (cni/confine.ts).
 */
let held: NetNs | undefined;
let first: NetNs | undefined;

/**
 * Opens the namespace at a path without blocking (it may be a FIFO) and without touching it.
 * Throws Failure("no namespace") naming CNI_NETNS when it is not a network namespace;
 * the message keeps the words "no such file or directory" for a missing path, which runtimes look for.
 * With `missing` "ok" (DEL) it returns undefined when the namespace is proven to be gone, and throws when that cannot be told.
 */
export function openNamespace(path: string, missing: "error" | "ok" = "error"): NetNs | undefined {
  if (held?.path === path) return held;
  if (first?.path === path) return first;
  const found = tryOpen(path);
  if (found instanceof OpenNamespace) {
    held = found;
    first ??= found;
    return held;
  }
  if (found instanceof Gone) {
    if (missing === "ok") return undefined;
    throw new Failure(
      "no namespace",
      `CNI_NETNS ${path}: ${found.why}`,
      "CNI_NETNS must be the path of the pod's network namespace, such as /var/run/netns/NAME. The runtime sets it.",
    );
  }
  throw doubt(path, found);
}

/** openNamespace has opened it. */
export function isOpen(path: string): boolean {
  return held?.path === path || first?.path === path;
}

/** Looks into another pod's namespace, which is closed again. undefined: it is gone. Throws when that cannot be told. */
export function lookInto<T>(path: string, look: (namespace: NetNs) => T): T | undefined {
  const found = tryOpen(path);
  if (found instanceof Gone) return undefined;
  if (!(found instanceof OpenNamespace)) throw found;
  try {
    return look(found);
  } finally {
    found.close();
  }
}

/**
 * After lookInto has thrown: what a node makes, or a pod moves, cannot have got there. The namespace has ended, or a user namespace owns it into
 * which nobody of this node gets (that of the host of a rootless node).
 */
export function isOutOfReach(path: string): boolean {
  const found = tryOpen(path);
  if (!(found instanceof OpenNamespace)) return found instanceof Gone;
  try {
    return usersOf(found) === undefined;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false;
  } finally {
    found.close();
  }
}

/** Another user namespace than that of our own one owns it: whoever made it may have no privilege on the node. */
export function isOfOtherUsers(namespace: NetNs): boolean {
  return usersOf(namespace) !== usersOf(ownNamespace());
}

/** The user namespace that owns it. undefined: it is none of ours or below it. */
function usersOf({ fd }: NetNs): string | undefined {
  try {
    const { dev, ino } = closing(host.ioctl(fd, NS_GET_USERNS, new Uint8Array(0)), (users) => host.fstat(users));
    return `${dev}:${ino}`;
  } catch (error) {
    if (error instanceof SystemError && error.code === "EPERM") return undefined;
    throw error;
  }
}

/**
 * What is at a path, for who acts on no namespace: which one, "absent" when nothing is there, "other" for a file that is no network namespace,
 * "unknown" when that cannot be told.
 */
export function whatIsAt(path: string): Pick<NetNs, "dev" | "ino"> | "absent" | "other" | "unknown" {
  const found = tryOpen(path);
  if (found instanceof Gone) return found.isAbsent ? "absent" : "other";
  if (!(found instanceof OpenNamespace)) return "unknown";
  const { dev, ino } = found;
  found.close();
  return { dev, ino };
}

/** There is no network namespace at a path, for certain. */
class Gone {
  readonly why: string;
  /** There is nothing at all. */
  readonly isAbsent: boolean;

  constructor(why: string, isAbsent = false) {
    this.why = why;
    this.isAbsent = isAbsent;
  }
}

/**
 * The one place that decides what a path says about the namespace that a runtime had there: it is open now, it is gone, or, with the
 * error that says why, nobody can tell. A pod may well be running behind a directory that we may not search.
 */
function tryOpen(path: string): OpenNamespace | Gone | SystemError | Failure {
  let file: Fd | undefined;
  try {
    // O_PATH neither blocks on a FIFO nor runs a device's open; what it found is opened for real once we know what it is.
    file = host.open(path, O_PATH | O_CLOEXEC);
    if (host.fstatfs(file) !== NSFS_MAGIC) return new Gone("not a network namespace");
    const fd = openProc(`/proc/self/fd/${file}`);
    if (host.ioctl(fd, NS_GET_NSTYPE, new Uint8Array(0)) === CLONE_NEWNET) return new OpenNamespace(path, fd);
    host.close(fd);
    return new Gone("a namespace, but not a network namespace");
  } catch (error) {
    if (error instanceof Failure) return error;
    if (!(error instanceof SystemError)) throw error;
    if (file !== undefined || !ABSENT.includes(error.code)) return error;
    return mayNeedProc(path) && !isThere("/proc/self") ? noProc(error) : new Gone(error.message, true);
  } finally {
    if (file !== undefined) host.close(file);
  }
}

/** The errnos of a path that prove that nothing is there. Every other one (EACCES, ELOOP, EIO, EMFILE, ...) only says that we did not see it. */
const ABSENT = ["ENOENT", "ENOTDIR"];

/** The path itself, or what a link at its end leads to, is below /proc. */
function mayNeedProc(path: string): boolean {
  return path.startsWith("/proc/") || isThere(path);
}

/** lstat(2) finds it. */
function isThere(path: string): boolean {
  try {
    host.stat(path, false);
    return true;
  } catch (error) {
    if (error instanceof SystemError && ABSENT.includes(error.code)) return false;
    throw error;
  }
}

/** What is below /proc about this process: that it is missing says nothing about what was asked for. */
function openProc(path: string): Fd {
  try {
    return host.open(path, O_RDONLY | O_CLOEXEC);
  } catch (error) {
    if (error instanceof SystemError && ABSENT.includes(error.code) && !isThere("/proc/self")) throw noProc(error);
    throw error;
  }
}

function noProc(cause: SystemError): Failure {
  return new Failure(
    "failed",
    `there is no /proc: ${cause.message}`,
    "podnic opens namespaces through /proc. Mount it where the plugin runs (mount -t proc proc /proc).",
  );
}

/** Refusals that do not pass by themselves and are about the path; the others (memory, descriptors, the disk) speak for themselves. */
const OF_PATH = ["EACCES", "EPERM", "ELOOP", "ENAMETOOLONG"];

function doubt(path: string, error: SystemError | Failure): Error {
  if (!(error instanceof SystemError && OF_PATH.includes(error.code))) return error;
  return new Failure(
    "no namespace",
    `CNI_NETNS ${path}: ${error.message}`,
    `${error.code}: Cannot tell whether the pod's namespace exists, so nothing was released. The plugin must be able to reach the path.`,
  );
}

/** openNamespace cannot tell whether there is a namespace: also of a process (/proc/PID/ns/net), after cni/confine.ts. */
export function isDoubt(error: unknown): boolean {
  return error instanceof Failure && error.kind === "no namespace";
}

export function sameNamespace(a: NetNs, b: NetNs): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Of setns(2) for the way back: it needs memory, of which there may be more a moment later. */
const TRIES = 4;

/** Runs `body` with this process inside the namespace. When the way back fails the process ends at once (F27): nothing may run in the wrong namespace. */
export function inNamespace<T>(ns: Pick<NetNs, "fd">, body: () => T): T {
  const before = current ?? ownNamespace();
  if (before === ns) return body();
  host.setns(ns.fd, CLONE_NEWNET);
  current = ns;
  try {
    return body();
  } finally {
    current = before;
    goBack(before);
  }
}

function goBack(ns: Pick<NetNs, "fd">): void {
  for (let tries = 1; ; tries++) {
    try {
      host.setns(ns.fd, CLONE_NEWNET);
      return;
    } catch (error) {
      if (tries === TRIES) {
        log("error", "cannot return to the node's network namespace; exiting", { cause: String(error) });
        host.exit(1);
      }
      host.sleep(tries);
    }
  }
}
