// The node's policy, /etc/cni/podnic.json: root-owned, not writable by others. It can widen or narrow what configurations may do; a
// configuration never can.
import { CniError, Code } from "../errors.ts";
import { O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { readUpTo } from "../state/files.ts";
import { findJsonError } from "./json-error.ts";
import { inspect, refusal } from "./validate.ts";

export interface Policy {
  devices: {
    /** Devices that may be handed to pods although the node needs them, or they seem to be there for others (src/plugin/device-list.ts). */
    allow: string[];
    /** Devices that never may. */
    deny: string[];
  };
  /** Directories (besides the built-in ones) below which a path of a configuration may lie; for `plugins`, where links in CNI_PATH may lead. */
  paths: { dataDir: string[]; logFile: string[]; resolvConf: string[]; kernelpath: string[]; plugins: string[] };
  /** Milliseconds for a delegated plugin; undefined: each has its default. */
  delegateTimeout: number | undefined;
  /** Milliseconds for a lock. */
  lockTimeout: number;
}

const file = "/etc/cni/podnic.json";
const sizeLimit = 1 << 20;

/** A configuration comes from a tenant, so that its paths stay where the Go plugins' users keep such files. */
const builtIn: Policy["paths"] = {
  dataDir: ["/var/lib", "/run", "/var/run", "/tmp", "/var/tmp"],
  logFile: ["/var/log", "/run", "/tmp"],
  resolvConf: ["/etc", "/run", "/var/lib", "/tmp"],
  kernelpath: ["/sys"],
  plugins: [],
};

let known: Policy | undefined;
let lenient = false;
/** Why the file does not count (see relaxPolicy), or "". */
let ignored = "";

/** For DEL and GC: a policy that cannot be read is logged and passed over, because what an ADD did has to be undone. */
export function relaxPolicy(): void {
  lenient = true;
}

/** The node's policy is taken to be this, and its file is not looked at. */
export function assumePolicy(given: Given): void {
  known = complete(given);
}

/** Read once a call, when first needed. A file that is not root's, or not valid, is an error (fail closed) on ADD and ignored on DEL. */
export function policy(): Policy {
  if (known !== undefined) return known;
  try {
    known = complete(read());
  } catch (error) {
    if (!lenient || !(error instanceof Error)) throw error;
    log("warning", "node policy ignored", { file, cause: error.message });
    ignored = error.message;
    known = complete({});
  }
  return known;
}

type Given = Partial<Omit<Policy, "devices" | "paths">> & {
  devices?: Partial<Policy["devices"]>;
  paths?: Partial<Policy["paths"]>;
};

function complete(given: Given): Policy {
  return {
    devices: { allow: given.devices?.allow ?? [], deny: given.devices?.deny ?? [] },
    paths: {
      dataDir: [...builtIn.dataDir, ...(given.paths?.dataDir ?? [])],
      logFile: [...builtIn.logFile, ...(given.paths?.logFile ?? [])],
      resolvConf: [...builtIn.resolvConf, ...(given.paths?.resolvConf ?? [])],
      kernelpath: [...builtIn.kernelpath, ...(given.paths?.kernelpath ?? [])],
      plugins: given.paths?.plugins ?? [],
    },
    delegateTimeout: given.delegateTimeout,
    lockTimeout: given.lockTimeout ?? 10_000,
  };
}

function read(): Given {
  let fd: Fd;
  try {
    fd = host.open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ENOENT" || error.code === "ENOTDIR")) return {};
    throw error;
  }
  try {
    const { mode, uid, size } = host.fstat(fd);
    if ((mode & S_IFMT) !== S_IFREG || uid !== 0 || (mode & 0o022) !== 0) {
      throw new CniError(
        Code.generic,
        `${file} is not trusted`,
        "it must be a regular file of root's that nobody else can write",
      );
    }
    const data = readUpTo(fd, size, sizeLimit);
    if (data === undefined) throw new CniError(Code.generic, `${file} is larger than ${sizeLimit} bytes`);
    return parse(host.decode(data));
  } finally {
    host.close(fd);
  }
}

function parse(text: string): Given {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    const { line = 1, column = 1, text: what = "nested too deep" } = findJsonError(text) ?? {};
    throw new CniError(Code.generic, `${file} is not JSON`, `line ${line}, column ${column}: ${what}`);
  }
  const { config, problems } = inspect("policy", raw);
  if (problems.length > 0)
    throw new CniError(Code.generic, refusal(file, problems).message, "correct the node's policy");
  return config as Given;
}

/**
 * Throws CniError(invalidConfig) when `path` of `key` lies outside the allowed roots; CniError(tryAgain) when a policy that is ignored might
 * have allowed it. Lexical check; files are opened without following links (state/files.ts).
 */
export function confinePath(key: keyof Policy["paths"], path: string): void {
  const roots = policy().paths[key];
  const steps = path.split("/").filter((step) => step !== "" && step !== ".");
  const normal = `/${steps.join("/")}`;
  const plain = path[0] === "/" && !steps.includes("..") && !path.includes("\0");
  // What an administrator names may also be the path itself; /var/lib, say, may not.
  const whole = builtIn[key].includes(normal) ? normal : `${normal}/`;
  if (plain && roots.some((root) => whole.startsWith(root.endsWith("/") ? root : `${root}/`))) return;
  if (plain && ignored !== "") {
    throw new CniError(
      Code.tryAgain,
      `whether ${key} may be ${JSON.stringify(path.slice(0, 128))} is not known`,
      ignored,
    );
  }
  throw new CniError(
    Code.invalidConfig,
    `${key} ${JSON.stringify(path.slice(0, 128))} is outside of the directories it may lie in`,
    `it must be an absolute path below ${roots.join(", ")}; the node's administrator can add directories as paths.${key} in ${file}`,
  );
}
