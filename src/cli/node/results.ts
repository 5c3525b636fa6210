// Results of ADD that `podnic add` cached for `podnic del`. Runtimes remove their own cached results, but nothing else removes podnic's if
// `podnic del` is never called.

import { findPlugin } from "../../cni/registry.ts";
import { host } from "../../host/host.ts";
import { decodeBase64 } from "../../state/base64.ts";
import { readFile, removeFile, withDirectory } from "../../state/files.ts";
import { isObject } from "../../state/shape.ts";
import { DIRECTORY, WRITER } from "../runtime/cache.ts";
import { pluginsOf } from "./configurations.ts";
import { type Namespaces, namesIn } from "./namespaces.ts";

const LIMIT = 1 << 20;

export interface KeptResult {
  file: string;
  network: string;
  containerId: string;
  ifName: string;
}

/**
 * The cached results of attachments whose namespace is gone. Keeps the results of networks with third-party plugins (portmap, firewall),
 * because these plugins may still need them for DEL.
 */
export function staleResults(namespaces: Namespaces): KeptResult[] {
  return namesIn(DIRECTORY).flatMap((file) => {
    const entry = readOwn(file);
    if (entry === undefined || namespaces.lifeOf({ path: entry.netns, dev: 0, ino: 0 }) !== "gone") return [];
    const { network, containerId, ifName } = entry;
    return [{ file, network, containerId, ifName }];
  });
}

export function removeResult(file: string): void {
  withDirectory(DIRECTORY, undefined, (dir) => removeFile(dir, file));
}

interface Entry extends KeptResult {
  netns: string;
}

/** Reads a cached result. undefined: podnic did not write it, it is damaged, it is not a file, or its network has a third-party plugin. */
function readOwn(file: string): Entry | undefined {
  try {
    const data = withDirectory(DIRECTORY, undefined, (dir) => readFile(dir, file, LIMIT));
    const entry: unknown = JSON.parse(data === undefined ? "" : host.decode(data));
    if (!isObject(entry) || entry.writer !== WRITER) return undefined;
    const config: unknown = JSON.parse(host.decode(decodeBase64(String(entry.config))));
    const types = pluginsOf(config).flatMap(({ config: { type, ipam } }) => [type, isObject(ipam) ? ipam.type : type]);
    if (types.length === 0 || types.some((type) => findPlugin(String(type)) === undefined)) return undefined;
    const [network, containerId, ifName, netns] = [entry.networkName, entry.containerId, entry.ifName, entry.netns].map(
      (value) => (typeof value === "string" ? value : ""),
    ) as [string, string, string, string];
    return { file, network, containerId, ifName, netns };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}
