// libcni's cached results (kind cniCacheV1). They show which pods the container runtime knows, and which networks exist without a
// configuration file (Multus).

import { Failure } from "../../errors.ts";
import { host, SystemError } from "../../host/host.ts";
import { type Kept, parseKept, parseKeptConfig, RESULTS } from "../../plugin/results.ts";
import { readEach, readFileAt, withDirectory } from "../../state/files.ts";
import { Progress } from "../progress.ts";

const LIMIT = 4 << 20;

export interface CachedAttachment {
  network: string;
  containerId: string;
  ifName: string;
  /** The paths of the namespaces in the entry, usually one. */
  namespaces: string[];
  /** The addresses in ADD's result, as text without prefix length. */
  addresses: string[];
  /** The network configuration; undefined if the entry does not contain it. */
  config: unknown;
}

/** Reads libcni's cache. Ignores files that are damaged or of another kind. */
export function readCache(directories = RESULTS): CachedAttachment[] {
  const configurations = new Map<string, unknown>();
  return directories.flatMap((directory) => {
    const progress = new Progress(`reading ${directory}`, 1000);
    const found = new Map<string, CachedAttachment>();
    readEachQuietly(directory, (name, text) => {
      progress.step();
      const entry = readEntry(`${directory}/${name}`, text, configurations);
      if (entry !== undefined) found.set(name, entry);
    });
    progress.done();
    return [...found.keys()].sort().map((name) => found.get(name)!);
  });
}

/** Ignores a directory that does not exist or cannot be read. */
function readEachQuietly(directory: string, each: (name: string, text: string | undefined) => void): void {
  try {
    withDirectory(directory, undefined, (dir) =>
      readEach(
        dir,
        () => true,
        (_, name, text) => each(name, text),
      ),
    );
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
  }
}

/** Parses each configuration only once, because all pods of a network have the same one. They share the resulting object. */
function readOnce(text: string, known: Map<string, unknown>): unknown {
  if (!known.has(text)) known.set(text, parseKeptConfig(text));
  return known.get(text);
}

/** Parses an entry. If `text` is undefined, because the file is large or not a regular file, reads it by its path. */
function readEntry(
  path: string,
  text: string | undefined,
  configurations: Map<string, unknown>,
): CachedAttachment | undefined {
  try {
    const entry = parseKept(text ?? host.decode(readFileAt(path, LIMIT) ?? host.encode("{}")));
    if (entry.kind !== "cniCacheV1" || typeof entry.containerId !== "string") return undefined;
    const sandboxes = (entry.result?.interfaces ?? []).map((one) => one?.sandbox ?? "");
    return {
      network: entry.networkName ?? "",
      containerId: entry.containerId,
      ifName: entry.ifName ?? "",
      namespaces: [...new Set([entry.netns ?? "", ...sandboxes])].filter((one) => one.startsWith("/")),
      addresses: addressesOf(entry),
      config: typeof entry.config !== "string" ? undefined : readOnce(entry.config, configurations),
    };
  } catch {
    return undefined;
  }
}

function addressesOf({ result = {} }: Kept): string[] {
  const all = [...(result.ips ?? []).map(({ address }) => address), result.ip4?.ip, result.ip6?.ip];
  return all.filter((one) => typeof one === "string").map((one) => one.replace(/\/.*/, ""));
}
