// The network namespaces of this node that are visible to this process, and the state of the namespaces in records.
import { O_DIRECTORY, O_PATH } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { whatIsAt } from "../../link/namespace.ts";
import type { NamedNamespace } from "../../link/return.ts";
import { NAME_DIRECTORIES, namesIn, type SeenNamespace, seeNamespaces, withThreads } from "../../link/visible.ts";
import { type AnyLender, listLoans } from "../../plugin/lent/lender.ts";
import { lenders } from "../../plugins.ts";
import { closing } from "../../state/files.ts";
import { readCache } from "./cache.ts";

export { isMachinesNetwork, namesIn, type SeenNamespace } from "../../link/visible.ts";

/** Whether a recorded namespace or container still exists. "unknown": podnic cannot tell, and must treat it as alive. */
export type Life = "alive" | "gone" | "unknown";

/** Shown instead of the path of a namespace that has no path here. */
export const NO_PATH = "a network namespace without a path";

export class Namespaces {
  /** Each namespace once. Namespaces with a name come first. */
  readonly seen: readonly SeenNamespace[];
  /** True if this process sees all processes of the node, with the same process IDs as the runtime. */
  readonly seesProcesses: boolean;
  readonly #proc: string;
  /** Whether a directory is the one in which the runtime creates the names of namespaces. */
  readonly #directories = new Map<string, boolean>();

  /** The key is `device:inode`. */
  readonly #byFile: ReadonlyMap<string, SeenNamespace>;
  readonly #written: () => readonly NamedNamespace[];

  private constructor(
    seen: readonly SeenNamespace[],
    proc: string,
    seesProcesses: boolean,
    written: () => readonly NamedNamespace[],
  ) {
    this.#written = written;
    this.#byFile = new Map(seen.map((one) => [`${one.dev}:${one.ino}`, one]));
    this.seen = seen;
    this.#proc = proc;
    this.seesProcesses = seesProcesses;
  }

  /** `proc` is the directory of processes. `written` returns the pods' namespaces in records and in libcni's cache. */
  static find(directories: readonly string[] = NAME_DIRECTORIES, proc = "/proc", written = writtenDown): Namespaces {
    const seen = seeNamespaces(directories, proc);
    return new Namespaces([...withThreads(seen, undefined, proc)], proc, seen.processesOfMachine, written);
  }

  /**
   * The directories for which lifeOf returned "unknown" for a missing name, because a directory of the same path may be a different one for the
   * runtime. Without directories that do not exist for process 1 either.
   */
  get doubtful(): string[] {
    const isHere = (directory: string): boolean => isDirectory(directory) || !this.#isMissingOnNode(directory);
    return [...this.#directories].filter(([directory, isTold]) => !isTold && isHere(directory)).map(([one]) => one);
  }

  #isMissingOnNode(directory: string): boolean {
    return this.seesProcesses && isMissing(`${this.#proc}/1/root${directory}`);
  }

  /**
   * Whether a namespace exists. It is "gone" only if podnic sees the same directory as the runtime (in a container, /run/netns can be missing or
   * different), and if no visible process is in the namespace.
   */
  lifeOf({ path, dev, ino }: NamedNamespace): Life {
    const same = ino === 0 ? undefined : this.#byFile.get(`${dev}:${ino}`);
    const there = path === "" ? "absent" : whatIsAt(path);
    // The kernel reuses inode numbers. If the recorded name is gone and the namespace has another name, it belongs to another pod.
    if (same !== undefined && !(same.named && there === "absent")) return "alive";
    if (typeof there === "object") return ino === 0 || (there.ino === ino && there.dev === dev) ? "alive" : "gone";
    // "other" is a file on which no namespace is mounted. The runtime can have it mounted in another mount namespace (snaps).
    if (path === "" || there !== "absent") return "unknown";
    const process = /^\/proc\/(\d+)\//.exec(path);
    if (process !== null) {
      if (!this.seesProcesses) this.#directories.set("/proc", false);
      return this.seesProcesses ? "gone" : "unknown";
    }
    return this.#hasNames(path.slice(0, path.lastIndexOf("/")) || "/") ? "gone" : "unknown";
  }

  /** True if the runtime creates names in this directory: process 1 sees the same directory, or the directory contains a pod's namespace. */
  #hasNames(directory: string): boolean {
    let known = this.#directories.get(directory);
    if (known === undefined) {
      const isOfNode = this.seesProcesses && isSameDirectory(directory, `${this.#proc}/1/root`);
      known = isOfNode || this.#showsPod(directory);
      this.#directories.set(directory, known);
    }
    return known;
  }

  /**
   * True if the directory contains a namespace. If podnic does not see all processes, it may run in a container with its own /run and its own
   * pods. The namespace must then be in a record or in libcni's cache.
   */
  #showsPod(directory: string): boolean {
    return namesIn(directory).some((name) => {
      const path = `${directory}/${name}`;
      const there = whatIsAt(path);
      if (typeof there !== "object") return false;
      const isIt = ({ dev, ino, ...one }: NamedNamespace): boolean =>
        ino === 0 ? one.path === path : ino === there.ino && dev === there.dev;
      return this.seesProcesses || this.#written().some(isIt);
    });
  }
}

/** The pods' namespaces in records and in libcni's cache, which contains only paths. */
function writtenDown(): NamedNamespace[] {
  const lent = lenders.flatMap((lender: AnyLender) => listLoans(lender).map(({ data }) => data.netns));
  return [...lent, ...readCache().flatMap(({ namespaces }) => namespaces.map((path) => ({ path, dev: 0, ino: 0 })))];
}

function isDirectory(path: string): boolean {
  try {
    host.close(host.open(path, O_PATH | O_DIRECTORY));
    return true;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

/** True if the path certainly does not exist. False if, for example, podnic is not allowed to access it. */
function isMissing(path: string): boolean {
  try {
    host.stat(path);
    return false;
  } catch (error) {
    if (error instanceof SystemError) return error.code === "ENOENT" || error.code === "ENOTDIR";
    throw error;
  }
}

/** True if the path leads to the same directory below `root`. */
function isSameDirectory(path: string, root: string): boolean {
  try {
    return closing(host.open(path, O_PATH | O_DIRECTORY), (fd) => {
      // Use the path without links, because an absolute link (/var/run) would lead out of `root`.
      const there = host.stat(root + host.readlink(`/proc/self/fd/${fd}`), true);
      const { dev, ino } = host.fstat(fd);
      return there.dev === dev && there.ino === ino;
    });
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
