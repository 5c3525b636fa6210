// A network namespace that we hold open, and a route socket in it.
import { CniError, Code } from "../errors.ts";
import { CLONE_NEWNET, NSFS_MAGIC, O_CLOEXEC, O_PATH, O_RDONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { RouteSocket } from "../netlink/socket.ts";

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
}

/** ioctl(2) on an nsfs file: which type of namespace it is, as its CLONE_NEW* bit. linux/nsfs.h: _IO(0xb7, 3). */
const NS_GET_NSTYPE = 0xb703;

class OpenNamespace implements NetNs {
  readonly path: string;
  readonly fd: Fd;
  readonly dev: number;
  readonly ino: number;
  #route: RouteSocket | undefined;

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

  close(): void {
    this.#route?.close();
    host.close(this.fd);
  }
}

let own: NetNs | undefined;
/** The namespace this process is in now; differs from `own` only inside inNamespace. */
let current: Pick<NetNs, "fd"> | undefined;

/** The namespace this process runs in (/proc/thread-self/ns/net). */
export function ownNamespace(): NetNs {
  if (own === undefined) {
    own = new OpenNamespace("", host.open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    current ??= own;
  }
  return own;
}

/** The one opened last. A call is about one pod: what was checked is what is used, even if the path changes meanwhile. */
let held: NetNs | undefined;

/**
 * Opens the namespace at a path without blocking (it may be a FIFO) and without touching it.
 * Throws CniError(invalidEnvironment) naming CNI_NETNS when it is not a network namespace;
 * the message keeps the words "no such file or directory" for a missing path, which runtimes look for.
 * Returns undefined instead when `missing` is "ok" and the path is missing or no namespace (any more): DEL.
 */
export function openNamespace(path: string, missing: "error" | "ok" = "error"): NetNs | undefined {
  if (held?.path === path) return held;
  const problem = tryOpen(path);
  if (typeof problem !== "string") {
    held = problem;
    return held;
  }
  if (missing === "ok") return undefined;
  throw new CniError(
    Code.invalidEnvironment,
    `CNI_NETNS ${path}: ${problem}`,
    "CNI_NETNS must be the path of the pod's network namespace, such as /var/run/netns/NAME; the runtime sets it",
  );
}

/** Looks into another pod's namespace, which is closed again. undefined: it is none (any more). */
export function lookInto<T>(path: string, look: (namespace: NetNs) => T): T | undefined {
  const namespace = tryOpen(path);
  if (typeof namespace === "string") return undefined;
  try {
    return look(namespace);
  } finally {
    namespace.close();
  }
}

/** The namespace, or what is wrong with the path. */
function tryOpen(path: string): OpenNamespace | string {
  let file: Fd | undefined;
  try {
    // O_PATH neither blocks on a FIFO nor runs a device's open; what it found is opened for real once we know what it is.
    file = host.open(path, O_PATH | O_CLOEXEC);
    if (host.fstatfs(file) !== NSFS_MAGIC) return "is not a network namespace";
    const fd = host.open(`/proc/self/fd/${file}`, O_RDONLY | O_CLOEXEC);
    if (host.ioctl(fd, NS_GET_NSTYPE, new Uint8Array(0)) === CLONE_NEWNET) return new OpenNamespace(path, fd);
    host.close(fd);
    return "is a namespace, but not a network namespace";
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (
      error.code === "ENOENT" ||
      error.code === "ENOTDIR" ||
      error.code === "EACCES" ||
      error.code === "ELOOP" ||
      error.code === "ENAMETOOLONG"
    ) {
      return error.message;
    }
    throw error;
  } finally {
    if (file !== undefined) host.close(file);
  }
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
        log("error", "cannot return to our own network namespace, giving up", { cause: String(error) });
        host.exit(1);
      }
      host.sleep(tries);
    }
  }
}
