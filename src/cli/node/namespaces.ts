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

/** Whether what was written down still exists. "unknown": there is no evidence either way, and it must be taken for alive. */
export type Life = "alive" | "gone" | "unknown";

/** In place of the path of a namespace that has none here. */
export const NO_PATH = "a network namespace without a path";

export class Namespaces {
  /** Each namespace once, those with a name first. */
  readonly seen: readonly SeenNamespace[];
  /** Process numbers mean what the runtime meant by them, and every process of the node is seen. */
  readonly seesProcesses: boolean;
  readonly #proc: string;
  /** Whether the runtime's names are in a directory. */
  readonly #directories = new Map<string, boolean>();

  /** By `device:inode`. */
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

  /** `proc` is where the processes are looked up, `written` what pods' namespaces were written down. */
  static find(directories: readonly string[] = NAME_DIRECTORIES, proc = "/proc", written = writtenDown): Namespaces {
    const seen = seeNamespaces(directories, proc);
    return new Namespaces([...withThreads(seen, undefined, proc)], proc, seen.processesOfMachine, written);
  }

  /**
   * Directories whose absent names lifeOf has called unknown: they may be others than the runtime's of the same path, or hidden. Not those that
   * the node's first process does not have either.
   */
  get doubtful(): string[] {
    const isHere = (directory: string): boolean => isDirectory(directory) || !this.#isMissingOnNode(directory);
    return [...this.#directories].filter(([directory, isTold]) => !isTold && isHere(directory)).map(([one]) => one);
  }

  #isMissingOnNode(directory: string): boolean {
    return this.seesProcesses && isMissing(`${this.#proc}/1/root${directory}`);
  }

  /**
   * "gone" only when we look where the runtime looked (in a container of ours /run/netns may not be here, or be another one), and no process
   * that we see is in the namespace.
   */
  lifeOf({ path, dev, ino }: NamedNamespace): Life {
    const same = ino === 0 ? undefined : this.#byFile.get(`${dev}:${ino}`);
    const there = path === "" ? "absent" : whatIsAt(path);
    // The kernel gives inodes of dead namespaces to new ones: under another name, with its own gone, it is another pod's.
    if (same !== undefined && !(same.named && there === "absent")) return "alive";
    if (typeof there === "object") return ino === 0 || (there.ino === ino && there.dev === dev) ? "alive" : "gone";
    // "other": a file without its mount. The runtime may be in another mount namespace (snaps), where the pod lives on.
    if (path === "" || there !== "absent") return "unknown";
    const process = /^\/proc\/(\d+)\//.exec(path);
    if (process !== null) {
      if (!this.seesProcesses) this.#directories.set("/proc", false);
      return this.seesProcesses ? "gone" : "unknown";
    }
    return this.#hasNames(path.slice(0, path.lastIndexOf("/")) || "/") ? "gone" : "unknown";
  }

  /** The directory is the one that the runtime writes names into: that of the node's first process, or one that shows a pod. */
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
   * There is a namespace. Who does not see all processes of the machine may be in a container that has a /run of its own, and pods of its own
   * there: then it must be one that was written down on this node.
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

/** Pods' namespaces in the records of devices and in what libcni remembers, which has paths alone. */
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

/** For certain: what may not be looked at may be there. */
function isMissing(path: string): boolean {
  try {
    host.stat(path);
    return false;
  } catch (error) {
    if (error instanceof SystemError) return error.code === "ENOENT" || error.code === "ENOTDIR";
    throw error;
  }
}

/** Below this root the path leads to the same directory. */
function isSameDirectory(path: string, root: string): boolean {
  try {
    return closing(host.open(path, O_PATH | O_DIRECTORY), (fd) => {
      // An absolute link on the way (/var/run) would lead out of the root again.
      const there = host.stat(root + host.readlink(`/proc/self/fd/${fd}`), true);
      const { dev, ino } = host.fstat(fd);
      return there.dev === dev && there.ino === ino;
    });
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}
