// What libcni keeps of each attachment (kind cniCacheV1), for itself: the container runtime's knowledge of its pods, and of networks
// that no file configures (Multus).

import { host } from "../../host/host.ts";
import { readFileAt } from "../../state/files.ts";
import { decodeBase64 } from "../base64.ts";
import { namesIn } from "./namespaces.ts";

/** libcni's own, that of Multus, and the one of before 2019. */
const DIRECTORIES = ["/var/lib/cni/results", "/var/lib/cni/multus/results", "/var/lib/cni/cache/results"];
const LIMIT = 4 << 20;

export interface CachedAttachment {
  network: string;
  containerId: string;
  ifName: string;
  /** Paths of the namespaces that it names; usually one. */
  namespaces: string[];
  /** The network configuration, or undefined when it is not kept. */
  config: unknown;
}

/** Files that are damaged, or of another kind, are passed over. */
export function readCache(directories = DIRECTORIES): CachedAttachment[] {
  const configurations = new Map<string, unknown>();
  return directories.flatMap((directory) =>
    namesIn(directory)
      .map((name) => readEntry(`${directory}/${name}`, configurations))
      .filter((entry) => entry !== undefined),
  );
}

/** All pods of a network have the same one: it is read once, and each gets the same object. */
function readOnce(text: string, known: Map<string, unknown>): unknown {
  if (!known.has(text)) known.set(text, JSON.parse(host.decode(decodeBase64(text))));
  return known.get(text);
}

interface Entry {
  kind?: string;
  containerId?: string;
  ifName?: string;
  networkName?: string;
  netns?: string;
  config?: string;
  result?: { interfaces?: { sandbox?: string }[] };
}

function readEntry(path: string, configurations: Map<string, unknown>): CachedAttachment | undefined {
  try {
    const data = readFileAt(path, LIMIT);
    const entry = JSON.parse(data === undefined ? "{}" : host.decode(data)) as Entry;
    if (entry.kind !== "cniCacheV1" || typeof entry.containerId !== "string") return undefined;
    const sandboxes = (entry.result?.interfaces ?? []).map(({ sandbox }) => sandbox ?? "");
    return {
      network: entry.networkName ?? "",
      containerId: entry.containerId,
      ifName: entry.ifName ?? "",
      namespaces: [...new Set([entry.netns ?? "", ...sandboxes])].filter((one) => one.startsWith("/")),
      config: typeof entry.config !== "string" ? undefined : readOnce(entry.config, configurations),
    };
  } catch {
    return undefined;
  }
}
