// The node's policy, /etc/cni/podnic.json, which must belong to root and must not be writable by others. The policy can extend or restrict
// what configurations may do. A configuration cannot.
import { shapes } from "#validators";
import { addDetails, Failure } from "../errors.ts";
import { O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { type Prefix, parsePrefix } from "../ip/address.ts";
import { log } from "../log.ts";
import { readUpTo } from "../state/files.ts";
import { findJsonError } from "./json-error.ts";
import type { Problem } from "./messages.ts";
import type { PolicyConfig } from "./policy.schema.ts";
import { builtInRoots, forbiddenTree, isBelow, type Root } from "./roots.ts";
import { slips } from "./strict.ts";
import { inspect, refusal } from "./validate.ts";

export type ConfinedKey = keyof typeof builtInRoots;

/** A path of a configuration, below one of the directories it may lie in. */
export interface Place {
  /** Without empty and "." steps. */
  readonly path: string;
  readonly root: Root;
  /** From the root to the path. */
  readonly steps: readonly string[];
  /** Of the directory, when it is made before the files in it; 0755 when absent. */
  mode?: number;
  /** Another plugin's, which makes it itself. */
  others?: boolean;
}

/** A directory of ours, or one that only the administrator names. */
export function ownPlace(path: string): Place {
  return { path, root: { path, shared: false }, steps: [] };
}

export interface Policy {
  devices: {
    /** Devices that may be handed to pods although the node needs them, or they seem to be there for others (src/plugin/device-list.ts). */
    allow: string[];
    /** Devices that never may. */
    deny: string[];
    /** Masters on which a pod may read what is sent to others (macvlan's source mode). */
    source: string[];
  };
  bridges: {
    /** Those that a network may use or make; undefined: all. */
    names: string[] | undefined;
    /** Subnets whose addresses a network may make the node's; undefined: all that nothing on the node speaks against. */
    gateways: Prefix[] | undefined;
    /** Those on which ADD may turn on the filtering of VLANs. */
    filterVlans: string[];
    /** Those on which a network may take the gateway from another one. */
    forceAddress: string[];
  };
  /** Directories below which a path of a configuration may lie, the built-in ones first; for `plugins`, where links in CNI_PATH may lead. */
  paths: { [key in ConfinedKey]: Root[] } & { plugins: string[] };
  /** The same, what lies in another one before it: the first that fits is the innermost. */
  innermost: { [key in ConfinedKey]: Root[] };
  /** Milliseconds for a delegated plugin; undefined: each has its default. */
  delegateTimeout: number | undefined;
  /** Milliseconds for a lock. */
  lockTimeout: number;
}

const file = "/etc/cni/podnic.json";
const sizeLimit = 1 << 20;
const PATH_MAX = 4096;

let known: Policy | undefined;
let lenient = false;
/** Why the file, or a part of it, does not count (see relaxPolicy), or "". */
let ignored = "";

/** For DEL and GC: a policy that cannot be read is logged and passed over, because what an ADD did has to be undone. */
export function relaxPolicy(): void {
  lenient = true;
}

/** The node's policy is taken to be this, and its file is not looked at. */
export function assumePolicy(given: PolicyConfig): void {
  known = complete(given);
}

/** Read once a call, when first needed. A file that is not root's, or not valid, is an error (fail closed) on ADD and ignored on DEL. */
export function policy(): Policy {
  if (known !== undefined) return known;
  try {
    const given = read();
    known = given === undefined ? builtIn : complete(given);
  } catch (error) {
    if (!lenient || !(error instanceof Error)) throw error;
    log("warning", "ignoring the node's policy", { file, cause: error.message });
    ignored = error.message;
    known = builtIn;
  }
  return known;
}

function complete(given: PolicyConfig): Policy {
  const paths = {
    dataDir: roots("dataDir", given),
    logFile: roots("logFile", given),
    resolvConf: roots("resolvConf", given),
    kernelpath: roots("kernelpath", given),
  };
  return {
    devices: {
      allow: given.devices?.allow ?? [],
      deny: given.devices?.deny ?? [],
      source: given.devices?.source ?? [],
    },
    bridges: {
      names: given.bridges?.names,
      gateways: given.bridges?.gateways?.map((text) => parsePrefix(text)!),
      filterVlans: given.bridges?.filterVlans ?? [],
      forceAddress: given.bridges?.forceAddress ?? [],
    },
    paths: { ...paths, plugins: given.paths?.plugins ?? [] },
    innermost: {
      dataDir: longestFirst(paths.dataDir),
      logFile: longestFirst(paths.logFile),
      resolvConf: longestFirst(paths.resolvConf),
      kernelpath: longestFirst(paths.kernelpath),
    },
    delegateTimeout: given.delegateTimeout,
    lockTimeout: given.lockTimeout ?? 10_000,
  };
}

function roots(key: ConfinedKey, given: PolicyConfig): Root[] {
  // An empty one would be the root (see strict.ts).
  const added = (given.paths?.[key] ?? []).filter((path) => path !== "");
  return [...builtInRoots[key], ...added.map((path) => ({ path: plainPath(path).path, shared: false }))];
}

/** Of equal ones the last: what the administrator names counts before what is built in. */
function longestFirst(all: Root[]): Root[] {
  return [...all].reverse().sort((a, b) => b.path.length - a.path.length);
}

/** Without empty and "." steps. */
export function plainPath(path: string): { path: string; steps: string[] } {
  const given = path.split("/");
  if (given[0] === "") given.shift();
  // Nearly all are plain.
  if (!given.includes("") && !given.includes(".") && path[0] === "/") return { path, steps: given };
  const steps = given.filter((step) => step !== "" && step !== ".");
  return { path: `/${steps.join("/")}`, steps };
}

/** undefined: there is no such file. */
function read(): PolicyConfig | undefined {
  let fd: Fd;
  try {
    fd = host.open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw error;
  }
  try {
    const { mode, uid, size } = host.fstat(fd);
    if ((mode & S_IFMT) !== S_IFREG || uid !== 0 || (mode & 0o022) !== 0) {
      throw new Failure(
        "failed",
        `${file} is not trusted`,
        "The policy must be a regular file that belongs to root and that only root can write to.",
      );
    }
    const data = readUpTo(fd, size, sizeLimit);
    if (data === undefined) throw new Failure("failed", `${file} is larger than ${sizeLimit} bytes`);
    return parse(host.decode(data));
  } finally {
    host.close(fd);
  }
}

function parse(text: string): PolicyConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    const { line = 1, column = 1, text: what = "it is nested too deeply" } = findJsonError(text) ?? {};
    throw new Failure("failed", `${file} is not JSON`, `Line ${line}, column ${column}: ${what}.`);
  }
  const { config, problems } = inspect("policy", raw);
  if (problems.length > 0) throw invalid(problems);
  const unmeant = slips(text, raw, shapes.policy ?? null);
  if (unmeant.length > 0) passOver(invalid(unmeant));
  return config as PolicyConfig;
}

function invalid(problems: Problem[]): Failure {
  const cure = "Correct the node's policy.";
  const hint = problems[0]?.cure;
  return new Failure("failed", refusal(file, problems).message, hint === undefined ? cure : addDetails(cure, hint));
}

/** Throws it on ADD. What else the file says holds for the others. */
function passOver(failure: Failure): void {
  if (!lenient) throw failure;
  log("warning", "ignoring a part of the node's policy", { file, cause: failure.message });
  ignored = failure.message;
}

/** The policy of a node that has no file; it is made when the executable is built. */
const builtIn = complete({});

/**
 * Where `path` of `key` lies. Throws Failure("invalid config") when that is outside of the allowed roots; Failure("try again") when a policy
 * that is ignored might have allowed it. Lexical: config/place.ts opens it.
 */
export function confinePath(key: ConfinedKey, path: string): Place {
  const { path: plain, steps } = plainPath(path);
  const sound = path[0] === "/" && path.length < PATH_MAX && !steps.includes("..") && !path.includes("\0");
  const root = sound ? rootOf(key, plain) : undefined;
  const why = root === undefined ? "is outside the directories allowed for it" : whyNot(key, plain, root, steps);
  if (root !== undefined && why === "") return { path: plain, root, steps: stepsBelow(root, steps) };
  if (sound && ignored !== "") {
    throw new Failure(
      "try again",
      `cannot tell whether the policy allows ${key} ${JSON.stringify(path.slice(0, 128))}`,
      ignored,
    );
  }
  const all = policy().paths[key].map((each) => each.path);
  const allowed = all.filter((inner) => !all.some((outer) => outer !== inner && isBelow(inner, outer)));
  throw new Failure(
    "invalid config",
    `${key} ${JSON.stringify(path.slice(0, 128))} ${why}`,
    `The path must be an absolute path below ${inWords(allowed)}. The node's administrator can allow more directories with paths.${key} in ${file}.`,
  );
}

/** "/a, /b or /c". */
function inWords(paths: string[]): string {
  return paths.join(", ").replace(/, ([^,]*)$/, " or $1");
}

function stepsBelow(root: Root, steps: string[]): string[] {
  // A root has no empty steps.
  return root.path === "/" ? steps : steps.slice(root.path.split("/").length - 1);
}

/** The innermost root that the path lies in. What an administrator names may also be the path itself; what is shared with others may not. */
function rootOf(key: ConfinedKey, path: string): Root | undefined {
  for (const root of policy().innermost[key]) {
    if (isBelow(path, root.path) && !(root.shared && root.path === path)) return root;
  }
  return undefined;
}

/** Why a path below a root is refused, or "". */
function whyNot(key: ConfinedKey, path: string, root: Root, steps: string[]): string {
  // /var/run is a link to /run wherever it is used.
  const plain = path.startsWith("/var/run/") ? path.slice("/var".length) : path;
  const tree = forbiddenTree(plain, root.path.startsWith("/var/run") ? root.path.slice("/var".length) : root.path);
  if (tree !== undefined) return `is in ${tree}, which containers or other programs use`;
  const name = steps.at(-1) ?? "";
  if (!root.shared) return "";
  if (key === "logFile" && !name.endsWith(".log")) return "does not end in .log";
  return key === "resolvConf" && !name.includes("resolv") ? 'does not have "resolv" in its name' : "";
}
