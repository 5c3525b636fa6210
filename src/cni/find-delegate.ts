// Finds a plugin's executable in CNI_PATH, without ever leaving the directories in it (CVE-2021-20206).
import { didYouMean } from "../config/messages.ts";
import { policy } from "../config/policy.ts";
import { addDetails, Failure } from "../errors.ts";
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
} from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { excerpt, isPlainName, plainNameRule } from "./names.ts";
import type { Delegate } from "./plugin.ts";
import { ipamNames } from "./registry.ts";

const maxHops = 8;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;

function errnoOf(error: unknown): string {
  if (error instanceof SystemError) return error.code;
  throw error;
}

/** Throws Failure("invalid config") if the text is not a valid plugin name. */
export function checkDelegateName(name: string): void {
  if (name.length <= 255 && isPlainName(name)) return;
  const cure = `"ipam.type" ${plainNameRule}`;
  throw new Failure("invalid config", `invalid plugin name: ${excerpt(name)}`, cure);
}

/**
 * Searches the directories `path` (CNI_PATH) for the plugin and opens it. Throws Failure: "invalid config" if the name is not valid, "invalid
 * environment" without CNI_PATH, and "failed" if no directory has a suitable file.
 */
export function findDelegate(name: string, path: readonly string[]): Delegate {
  checkDelegateName(name);
  if (path.length === 0) {
    throw new Failure(
      "invalid environment",
      "required env variables [CNI_PATH] missing",
      `CNI_PATH must list, as absolute paths, the directories that can contain the plugin ${JSON.stringify(name)}.`,
    );
  }
  const refused: string[] = [];
  for (const directory of path) {
    const file = openBeneath(directory, name, path, refused, maxHops);
    if (file === undefined) continue;
    const reason = whyNot(file);
    if (reason === "") return { name, path: `${directory}/${name}`, file };
    host.close(file);
    refused.push(`${directory}/${name} ${reason}`);
  }
  throw new Failure(
    "failed",
    `failed to find plugin ${JSON.stringify(name)} in path [${excerpt(path.join(" "))}]`,
    refused.length === 0
      ? `${suggestion(name)}nstall ${JSON.stringify(name)} in one of these directories (CNI_PATH).`
      : excerpt(refused.reduce(addDetails, "")),
  );
}

/** The beginning of the message, up to and including the first letter of "Install". */
function suggestion(name: string): string {
  const meant = didYouMean(name, ipamNames());
  return meant === "" ? "I" : `D${meant.slice("; d".length)} If not, i`;
}

/**
 * Opens `name`, which can have several components, below `directory`. Follows a link only if its target is in a directory of CNI_PATH or
 * of the policy. Adds the reason to `refused` if it does not follow one. `hops` is the number of links that it may still follow.
 */
function openBeneath(
  directory: string,
  name: string,
  path: readonly string[],
  refused: string[],
  hops: number,
): Fd | undefined {
  let dir: Fd;
  try {
    dir = host.open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  } catch (error) {
    errnoOf(error);
    return undefined;
  }
  try {
    return host.open(name, O_PATH | O_CLOEXEC, 0, dir, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
  } catch (error) {
    const code = errnoOf(error);
    // EXDEV: a link leads out of the directory. ENOSYS, EPERM: openat2 is missing (kernels before 5.6, old seccomp filters).
    if (code === "EXDEV") return followLink(dir, directory, name, path, refused, hops);
    if (code === "ENOSYS" || code === "EPERM") return openWithoutOpenat2(dir, directory, name, path, refused, hops);
    return undefined;
  } finally {
    host.close(dir);
  }
}

function openWithoutOpenat2(
  dir: Fd,
  directory: string,
  name: string,
  path: readonly string[],
  refused: string[],
  hops: number,
) {
  if (!isPlainName(name)) return undefined;
  try {
    const file = host.open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, dir);
    if ((host.fstat(file).mode & S_IFMT) !== S_IFLNK) return file;
    host.close(file);
  } catch (error) {
    errnoOf(error);
    return undefined;
  }
  return followLink(dir, directory, name, path, refused, hops);
}

function followLink(
  dir: Fd,
  directory: string,
  name: string,
  path: readonly string[],
  refused: string[],
  hops: number,
) {
  let target: string;
  try {
    target = host.readlink(name, dir);
  } catch (error) {
    errnoOf(error);
    refused.push(`${directory}/${name} is a link to a file outside the link's directory`);
    return undefined;
  }
  const absolute = target.startsWith("/") ? target : `${directory}/${target}`;
  const normal = normalize(absolute);
  if (hops > 0) {
    for (const root of [directory, ...path, ...policy().paths.plugins]) {
      const below = `${normalize(root)}/`;
      if (!normal.startsWith(below)) continue;
      const file = openBeneath(root, normal.slice(below.length), path, refused, hops - 1);
      if (file !== undefined) return file;
    }
  }
  refused.push(
    `${directory}/${name} is a link to ${target}, which is not in CNI_PATH. The node's administrator can allow the target's directory with paths.plugins in /etc/cni/podnic.json.`,
  );
  return undefined;
}

/**
 * Removes empty, "." and ".." components, without access to the file system. If a directory in the path is a link, ".." makes the result
 * wrong. This is harmless: the file is then just not found.
 */
function normalize(path: string): string {
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}

/** Why podnic must not run the file, or "". Does not check the owner, because files from release archives have the user IDs of their builders. */
function whyNot(file: Fd): string {
  const { mode } = host.fstat(file);
  if ((mode & S_IFMT) !== S_IFREG) return "is not a regular file";
  if ((mode & 0o111) === 0) return "is not executable";
  if ((mode & (S_ISUID | S_ISGID)) !== 0) return "is set-user-ID or set-group-ID, which no plugin needs";
  if ((mode & 0o002) !== 0) return "is writable by everyone";
  return "";
}
