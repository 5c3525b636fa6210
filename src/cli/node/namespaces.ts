// The network namespaces of this node that can be seen from here, and what became of those that were written down.
import { NSFS_MAGIC, O_DIRECTORY, O_PATH, O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { whatIsAt } from "../../link/namespace.ts";
import type { NamedNamespace } from "../../link/return.ts";
import { closing } from "../../state/files.ts";

/** Whether what was written down still exists. "unknown": there is no evidence either way, and it must be taken for alive. */
export type Life = "alive" | "gone" | "unknown";

export interface SeenNamespace {
  /** Opens it. */
  path: string;
  dev: number;
  ino: number;
  /** The path is a name of its own, and not that of a process in it. */
  named: boolean;
}

/** Where runtimes and `ip netns` put the names of namespaces. */
const DIRECTORIES = ["/run/netns", "/run/docker/netns"];
/** Inode of the first pid namespace of a machine (PROC_PID_INIT_INO, linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = 0xeffffffc;

export class Namespaces {
  /** Each namespace once, those with a name first. */
  readonly seen: readonly SeenNamespace[];
  /** Process numbers mean what the runtime meant by them. */
  readonly #processesOfNode: boolean;

  /** By `device:inode`. */
  readonly #byFile: ReadonlyMap<string, SeenNamespace>;

  private constructor(seen: ReadonlyMap<string, SeenNamespace>, processesOfNode: boolean) {
    this.#byFile = seen;
    this.seen = [...seen.values()];
    this.#processesOfNode = processesOfNode;
  }

  /** `proc` is where the processes are looked up. */
  static find(directories = DIRECTORIES, proc = "/proc"): Namespaces {
    const seen = new Map<string, SeenNamespace>();
    const look = (path: string, named: boolean): void => {
      const found = identify(path);
      if (found !== undefined && !seen.has(found.key))
        seen.set(found.key, { path, dev: found.dev, ino: found.ino, named });
    };
    for (const directory of directories) for (const name of namesIn(directory)) look(`${directory}/${name}`, true);
    for (const name of namesIn(proc)) if (/^\d+$/.test(name)) look(`${proc}/${name}/ns/net`, false);
    return new Namespaces(seen, identify(`${proc}/self/ns/pid`)?.ino === FIRST_PID_NAMESPACE);
  }

  /**
   * "gone" only when we look where the runtime looked: the directory that the name was in is here (in a container of ours /run/netns may
   * not be), and no process that we see is in the namespace.
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
    if (process !== null) return this.#processesOfNode ? "gone" : "unknown";
    return isDirectory(path.slice(0, path.lastIndexOf("/")) || "/") ? "gone" : "unknown";
  }
}

/** We are in the network namespace that the machine started with. False also when that cannot be told. */
export function isMachinesNetwork(): boolean {
  if (identify("/proc/self/ns/pid")?.ino !== FIRST_PID_NAMESPACE) return false;
  const own = identify("/proc/self/ns/net")?.key;
  return own !== undefined && own === identify("/proc/1/ns/net")?.key;
}

/** Which namespace, of whatever type; undefined: none that we can see. That proves nothing: see whatIsAt. */
function identify(path: string): { key: string; dev: number; ino: number } | undefined {
  try {
    const fd = host.open(path, O_PATH);
    return closing(fd, () => {
      if (host.fstatfs(fd) !== NSFS_MAGIC) return undefined;
      const { dev, ino } = host.fstat(fd);
      return { key: `${dev}:${ino}`, dev, ino };
    });
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
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

/** Names in a directory, sorted; none when it is not there or not ours to look at. */
export function namesIn(directory: string): string[] {
  try {
    return closing(host.open(directory, O_RDONLY | O_DIRECTORY), (fd) => host.readdir(fd)).sort();
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}
