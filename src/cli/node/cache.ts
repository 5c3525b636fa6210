// What libcni keeps of each attachment (kind cniCacheV1), for itself: the container runtime's knowledge of its pods, and of networks
// that no file configures (Multus).
import { host } from "../../host/host.ts";
import { readFileAt } from "../../state/files.ts";
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
  return directories.flatMap((directory) =>
    namesIn(directory)
      .map((name) => readEntry(`${directory}/${name}`))
      .filter((entry) => entry !== undefined),
  );
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

function readEntry(path: string): CachedAttachment | undefined {
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
      config: entry.config === undefined ? undefined : JSON.parse(host.decode(decodeBase64(entry.config))),
    };
  } catch {
    return undefined;
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** RFC 4648. The engine has no atob. Throws when it is none. */
export function decodeBase64(text: string): Uint8Array {
  const digits = text.replace(/=+$/, "");
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  let value = 0;
  let at = 0;
  for (const digit of digits) {
    const six = ALPHABET.indexOf(digit);
    if (six < 0) throw new Error("not base64");
    value = ((value << 6) | six) & 0xfff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (value >> bits) & 0xff;
  }
  return bytes;
}
