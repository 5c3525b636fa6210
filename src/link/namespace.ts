// A network namespace that we hold open, and a route socket in it.
import type { Fd } from "../host/host.ts";
import type { RouteSocket } from "../netlink/socket.ts";

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

/** The namespace this process runs in (/proc/thread-self/ns/net). */
export function ownNamespace(): NetNs {
  throw new Error("not built yet");
}

/**
 * Opens the namespace at a path without blocking (it may be a FIFO) and without touching it.
 * Throws CniError(invalidEnvironment) naming CNI_NETNS when it is not a network namespace;
 * the message keeps the words "no such file or directory" for a missing path, which runtimes look for.
 * Returns undefined instead when `missing` is "ok" and the path is missing or no namespace (any more): DEL.
 */
export function openNamespace(_path: string, _missing: "error" | "ok" = "error"): NetNs | undefined {
  throw new Error("not built yet");
}

export function sameNamespace(a: NetNs, b: NetNs): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Runs `body` with this process inside the namespace. When the way back fails the process ends at once (F27): nothing may run in the wrong namespace. */
export function inNamespace<T>(_ns: NetNs, _body: () => T): T {
  throw new Error("not built yet");
}
