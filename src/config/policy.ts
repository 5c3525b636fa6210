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

/** A path from a configuration, and the allowed directory that contains it. */
export interface Place {
  /** Has no empty or "." components. */
  readonly path: string;
  readonly root: Root;
  /** The components of the path below the root. */
  readonly steps: readonly string[];
  /** The mode with which confine.ts creates a missing directory; 0755 if absent. */
  mode?: number;
  /** True if another plugin creates the directory. */
  others?: boolean;
}

/** The place of one of podnic's own directories, or of a path that only the administrator can choose. */
export function ownPlace(path: string): Place {
  return { path, root: { path, shared: false }, steps: [] };
}

export interface Policy {
  devices: {
    /** Devices that pods can get even if the node or another program seems to need them (src/plugin/device-list.ts). */
    allow: string[];
    /** Devices that pods never get. */
    deny: string[];
    /** Masters on which a network can use macvlan's source mode, in which a pod reads frames that are sent to other pods. */
    source: string[];
  };
  bridges: {
    /** Bridges that a network can use or create; undefined: all. */
    names: string[] | undefined;
    /** Subnets whose addresses a network can add to the node; undefined: all, unless the node already uses or reaches the address elsewhere. */
    gateways: Prefix[] | undefined;
    /** Bridges on which ADD can enable VLAN filtering. */
    filterVlans: string[];
    /** Bridges on which forceAddress can remove the gateway address of another network. */
    forceAddress: string[];
  };
  /** Directories that can contain the paths of a configuration, the built-in ones first. `plugins`: those to which links in CNI_PATH can lead. */
  paths: { [key in ConfinedKey]: Root[] } & { plugins: string[] };
  /** The same directories, the longest first, so that the first one that contains a path is the innermost. */
  innermost: { [key in ConfinedKey]: Root[] };
  /** Time limit of a delegate, in milliseconds; undefined: the delegate's default. */
  delegateTimeout: number | undefined;
  /** Time limit for getting a lock, in milliseconds. */
  lockTimeout: number;
}

const file = "/etc/cni/podnic.json";
const sizeLimit = 1 << 20;
const PATH_MAX = 4096;

let known: Policy | undefined;
let lenient = false;
/** Why podnic ignores the file or a part of it (see relaxPolicy), or "". */
let ignored = "";

/** Makes `policy` ignore, and log, a policy that is not valid. For CHECK, and for DEL and GC, which must undo what ADD did. */
export function relaxPolicy(): void {
  lenient = true;
}

/** Sets the node's policy. podnic then does not read the file. */
export function assumePolicy(given: PolicyConfig): void {
  known = complete(given);
}

/**
 * The node's policy, which is read once, at the first use. Throws if the file does not belong to root or is not valid, so that ADD does not
 * run without the policy. After relaxPolicy, returns the built-in policy instead.
 */
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
  // An empty path would allow the root directory. strict.ts reports it.
  const added = (given.paths?.[key] ?? []).filter((path) => path !== "");
  return [...builtInRoots[key], ...added.map((path) => ({ path: plainPath(path).path, shared: false }))];
}

/** Sorts the longest root first. Of two equal paths, the administrator's comes before the built-in one. */
function longestFirst(all: Root[]): Root[] {
  return [...all].reverse().sort((a, b) => b.path.length - a.path.length);
}

/** Removes empty and "." components from a path. */
export function plainPath(path: string): { path: string; steps: string[] } {
  const given = path.split("/");
  if (given[0] === "") given.shift();
  // Nearly all paths need no change.
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

/** Throws the Failure, or logs it after relaxPolicy. In this case, the rest of the policy applies. */
function passOver(failure: Failure): void {
  if (!lenient) throw failure;
  log("warning", "ignoring a part of the node's policy", { file, cause: failure.message });
  ignored = failure.message;
}

/** The policy of a node without a policy file. The build creates this object. */
const builtIn = complete({});

/**
 * The place of `path`, which is the value of `key`. Throws Failure("invalid config") if the path is not in one of the allowed roots, and
 * Failure("try again") if a policy that podnic ignores might allow it. Does not access the file system; config/place.ts opens the path.
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
  // roots() has removed empty components from the root's path, so splitting it gives the number of its components.
  return root.path === "/" ? steps : steps.slice(root.path.split("/").length - 1);
}

/** The innermost root that contains the path. The path can be the root itself, unless the root is shared with others. */
function rootOf(key: ConfinedKey, path: string): Root | undefined {
  for (const root of policy().innermost[key]) {
    if (isBelow(path, root.path) && !(root.shared && root.path === path)) return root;
  }
  return undefined;
}

/** Why a path below a root is refused, or "". */
function whyNot(key: ConfinedKey, path: string, root: Root, steps: string[]): string {
  // /var/run is a link to /run on all current systems.
  const plain = path.startsWith("/var/run/") ? path.slice("/var".length) : path;
  const tree = forbiddenTree(plain, root.path.startsWith("/var/run") ? root.path.slice("/var".length) : root.path);
  if (tree !== undefined) return `is in ${tree}, which containers or other programs use`;
  const name = steps.at(-1) ?? "";
  if (!root.shared) return "";
  if (key === "logFile" && !name.endsWith(".log")) return "does not end in .log";
  return key === "resolvConf" && !name.includes("resolv") ? 'does not have "resolv" in its name' : "";
}
