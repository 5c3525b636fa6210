// The network namespaces that are visible to this process: those with a name, and those of processes.
import { Failure } from "../errors.ts";
import { NSFS_MAGIC, O_DIRECTORY, O_PATH, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { closing } from "../state/files.ts";
import { isOutOfReach, lookInto, type NetNs } from "./namespace.ts";

export interface SeenNamespace {
  /** Opens it. */
  path: string;
  dev: number;
  ino: number;
  /** The path is a name of its own, and not that of a process in it. */
  named: boolean;
}

/** Where runtimes and `ip netns` put the names of namespaces. */
export const NAME_DIRECTORIES = ["/run/netns", "/run/docker/netns"];
/** Where /var/run is no link to /run. */
const VAR_RUN = "/var/run";
/** Inode of the first pid namespace of a machine (PROC_PID_INIT_INO, linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = 0xeffffffc;

export interface Seen {
  /** Each namespace once, those with a name first. */
  namespaces: SeenNamespace[];
  /** Process numbers mean what the runtime meant by them: all processes of the machine are here. */
  processesOfMachine: boolean;
  /** Processes whose namespace we were not let see. */
  denied: number;
}

/** `proc` is where the processes are looked up. */
export function seeNamespaces(directories: readonly string[] = NAME_DIRECTORIES, proc = "/proc"): Seen {
  const seen = new Map<string, SeenNamespace>();
  let denied = 0;
  const look = (path: string, named: boolean): void => {
    const found = identify(path);
    if (found === "denied") denied += named ? 0 : 1;
    else if (found !== undefined && !seen.has(found.key))
      seen.set(found.key, { path, dev: found.dev, ino: found.ino, named });
  };
  for (const directory of withVarRun(directories)) {
    for (const name of namesIn(directory)) look(`${directory}/${name}`, true);
  }
  const processes = namesIn(proc).filter((name) => /^\d+$/.test(name));
  for (const name of processes) look(`${proc}/${name}/ns/net`, false);
  const own = identify(`${proc}/self/ns/pid`);
  const processesOfMachine = typeof own === "object" && own.ino === FIRST_PID_NAMESPACE;
  // With hidepid, those that we may not look at are not even listed.
  if (processesOfMachine && !processes.includes("1")) denied++;
  return { namespaces: [...seen.values()], processesOfMachine, denied };
}

/**
 * These, and then those that only another thread of a process is in than its first one. For who looks further while it finds nothing: a node has thousands
 * of threads, at each of which this looks once.
 */
export function* withThreads(
  { namespaces }: Pick<Seen, "namespaces">,
  goesOn = () => true,
  proc = "/proc",
): Generator<SeenNamespace> {
  yield* namespaces;
  if (!goesOn()) return;
  const known = new Set(namespaces.map(({ dev, ino }) => `${dev}:${ino}`));
  for (const process of namesIn(proc)) {
    if (!/^\d+$/.test(process)) continue;
    for (const task of namesIn(`${proc}/${process}/task`)) {
      const path = `${proc}/${process}/task/${task}/ns/net`;
      const at = task === process ? undefined : fileAt(path);
      const key = `${at?.dev}:${at?.ino}`;
      if (at === undefined || known.has(key)) continue;
      known.add(key);
      yield { path, dev: at.dev, ino: at.ino, named: false };
    }
  }
}

function withVarRun(directories: readonly string[]): string[] {
  const [run, varRun] = [fileAt("/run"), fileAt(VAR_RUN)];
  if (varRun === undefined || (run?.dev === varRun.dev && run.ino === varRun.ino)) return [...directories];
  const beside = directories.filter((each) => each.startsWith("/run/")).map((each) => `/var${each}`);
  return [...new Set([...directories, ...beside])];
}

function fileAt(path: string): { dev: number; ino: number } | undefined {
  try {
    return host.stat(path);
  } catch (error) {
    if (error instanceof SystemError && !SHORTAGES.includes(error.code)) return undefined;
    throw error;
  }
}

/** We are in the network namespace that the machine started with. False also when that cannot be told. */
export function isMachinesNetwork(): boolean {
  const pids = identify("/proc/self/ns/pid");
  const [own, first] = [identify("/proc/self/ns/net"), identify("/proc/1/ns/net")];
  if (typeof pids !== "object" || typeof own !== "object" || typeof first !== "object") return false;
  return pids.ino === FIRST_PID_NAMESPACE && own.key === first.key;
}

/**
 * Which namespace, of whatever type; undefined: none that we can see, which proves nothing (see whatIsAt); "denied": there is one that we may
 * not see.
 */
function identify(path: string): { key: string; dev: number; ino: number } | "denied" | undefined {
  try {
    const fd = host.open(path, O_PATH);
    return closing(fd, () => {
      if (host.fstatfs(fd) !== NSFS_MAGIC) return undefined;
      const { dev, ino } = host.fstat(fd);
      return { key: `${dev}:${ino}`, dev, ino };
    });
  } catch (error) {
    if (!(error instanceof SystemError) || SHORTAGES.includes(error.code)) throw error;
    // A process that has ended meanwhile, or is about to.
    return ["ENOENT", "ENOTDIR", "ESRCH"].includes(error.code) ? undefined : "denied";
  }
}

/** These say nothing of the path, and pass: who took them for "not there" would release what is in use. */
export const SHORTAGES = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EIO"];

/** Names in a directory, sorted; none when it is not there or not ours to look at. Throws when that cannot be told. */
export function namesIn(directory: string): string[] {
  try {
    return closing(host.open(directory, O_RDONLY | O_DIRECTORY), (fd) => host.readdir(fd)).sort();
  } catch (error) {
    if (error instanceof SystemError && !SHORTAGES.includes(error.code)) return [];
    throw error;
  }
}

/** What a look into a namespace found, or why nobody can tell what is in it. Neither: nothing, or it has ended. */
export interface Look<T> {
  found?: T | undefined;
  doubt?: Failure;
}

/** Who finds nothing in any namespace knows that it is nowhere only without a doubt. */
export function lookOrDoubt<T>(path: string, look: (namespace: NetNs) => T): Look<T> {
  let isOpen = false;
  try {
    const found = lookInto(path, (namespace) => {
      isOpen = true;
      return look(namespace);
    });
    return { found };
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof NetlinkError || error instanceof Failure)) throw error;
    if (isOutOfReach(path)) return {};
    // What `look` itself cannot tell, it says better.
    return { doubt: isOpen && error instanceof Failure ? error : cannotLook(path, error) };
  }
}

function cannotLook(path: string, { message }: Error): Failure {
  return new Failure(
    "try again",
    `cannot look into the network namespace ${path}: ${message}`,
    "What podnic is looking for might be there, so nothing was released. The plugin needs CAP_SYS_ADMIN, CAP_NET_ADMIN and free file descriptors.",
  );
}
