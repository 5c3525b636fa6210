// What libcni keeps of each ADD that succeeded, until the DEL: the result, and the configuration beside it.
import type { Attachment, Call } from "../cni/plugin.ts";
import type { Interface } from "../cni/result.ts";
import { Failure } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { namesIn } from "../link/visible.ts";
import { decodeBase64 } from "../state/base64.ts";
import { readFile, withDirectory } from "../state/files.ts";

/** Its own directory, that of Multus, and the one of before 2019. */
export const RESULTS = ["/var/lib/cni/results", "/var/lib/cni/multus/results", "/var/lib/cni/cache/results"];

/** A file of these (kind cniCacheV1). Nothing in it has been checked. */
export interface Kept {
  kind?: string;
  containerId?: string;
  ifName?: string;
  networkName?: string;
  netns?: string;
  /** The network configuration, in base64. */
  config?: unknown;
  result?: {
    interfaces?: Given[];
    ips?: { address?: string }[];
    ip4?: { ip?: string };
    ip6?: { ip?: string };
  };
}

type Given = { name?: string; mac?: unknown; sandbox?: string } | null;

/** Of a plugin: what says which device it was to take. */
export interface KeptConfig {
  type?: string;
  [key: string]: unknown;
}

/** Throws when it is no JSON. */
export function parseKept(text: string): Kept {
  return (JSON.parse(text) ?? {}) as Kept;
}

/** Throws when it is damaged. */
export function parseKeptConfig(config: string): unknown {
  return JSON.parse(host.decode(decodeBase64(config)));
}

export const fileName = ({ network, containerId, ifName }: Attachment): string => `${network}-${containerId}-${ifName}`;

/** libcni keeps the result of the attachment's ADD. Throws when that cannot be told. */
export function hasResult(key: Attachment): boolean {
  return RESULTS.some((directory) => isKept(directory, key));
}

/**
 * An ADD of a plugin that `isIt` gave the pod an interface with this MAC address: libcni keeps its result, and the configuration beside it. Whoever
 * writes networks can write a prevResult, and can give the same names to two networks, of which one gets a lease.
 */
export function isKeptAs(key: Attachment, mac: string, isIt: (plugin: KeptConfig) => boolean): boolean {
  return RESULTS.some((directory) => {
    const kept = keptIn(directory, key);
    return kept !== undefined && pluginsKept(kept, key).some(isIt) && hasGiven(kept, key.ifName, mac);
  });
}

/** The configuration with which a plugin of this type had its ADD. undefined: libcni keeps none of the attachment. */
export function configKept(key: Attachment, type: string): KeptConfig | undefined {
  return RESULTS.flatMap((directory) => pluginsKept(keptIn(directory, key) ?? {}, key)).find(
    (plugin) => plugin.type === type,
  );
}

/** One ADD that libcni keeps, of whichever attachment. */
export interface KeptAdd {
  key: Pick<Attachment, "containerId" | "ifName">;
  kept: Kept;
  /** Paths of the namespaces that it names; usually one. */
  paths: string[];
  /** Seconds since the epoch. */
  written: number;
}

/** Those whose text `mayBe` takes; damaged files are passed over. All of them are read: a node has one for each interface of its pods. */
export function listKept(mayBe: (text: string) => boolean): KeptAdd[] {
  return RESULTS.flatMap((directory) => namesIn(directory).map((name) => readKept(directory, name, mayBe))).filter(
    (one) => one !== undefined,
  );
}

function readKept(directory: string, name: string, mayBe: (text: string) => boolean): KeptAdd | undefined {
  const text = textIn(directory, name);
  const kept = text !== "" && mayBe(text) ? quietly(() => parseKept(text)) : undefined;
  const { containerId, ifName } = kept ?? {};
  if (kept === undefined || typeof containerId !== "string" || typeof ifName !== "string") return undefined;
  return { key: { containerId, ifName }, kept, paths: sandboxesIn(text), written: writtenAt(`${directory}/${name}`) };
}

/** When libcni kept the attachment's ADD, in seconds since the epoch. 0: it keeps none. */
export function keptSince(key: Attachment): number {
  return Math.max(...RESULTS.map((directory) => writtenAt(`${directory}/${fileName(key)}`)));
}

function writtenAt(path: string): number {
  try {
    const { mtime, mtimeNsec } = host.stat(path);
    return mtime + mtimeNsec / 1e9;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return 0;
  }
}

/** By permanent address of a card: the `device` that the latest ADD of a plugin of this type took which gave a pod a card with it. */
export function devicesGiven(type: string): (permanentMac: string) => string | undefined {
  const found = new Map<string, { device: string; written: number }>();
  for (const { key, kept, written } of listKept((text) => text.includes('"mac"'))) {
    const device = pluginsKept(kept, key).find((plugin) => plugin.type === type)?.device;
    const mac = ownMac(kept, key.ifName);
    if (typeof device !== "string" || device === "" || mac === undefined) continue;
    if (written > (found.get(mac)?.written ?? 0)) found.set(mac, { device, written });
  }
  return (permanentMac) => (permanentMac === "" ? undefined : found.get(permanentMac)?.device);
}

/** Types of the plugins of the attachment's ADD. None: libcni keeps no configuration of it. */
export function typesKept(key: Attachment): string[] {
  return RESULTS.flatMap((directory) => pluginsKept(keptIn(directory, key) ?? {}, key)).map(({ type = "" }) => type);
}

/** None when it is another attachment's: the names of the files do not say where one name ends. */
function pluginsKept(
  { containerId, ifName, config }: Kept,
  key: Pick<Attachment, "containerId" | "ifName">,
): KeptConfig[] {
  if (containerId !== key.containerId || ifName !== key.ifName || typeof config !== "string") return [];
  return pluginsOf(quietly(() => parseKeptConfig(config)));
}

function pluginsOf(config: unknown): KeptConfig[] {
  const { plugins = [config] } = (config ?? {}) as { plugins?: unknown };
  return Array.isArray(plugins) ? plugins.filter((one) => typeof one === "object" && one !== null) : [];
}

/** The pod got an interface of this name with this MAC address. */
export function hasGiven({ result }: Kept, name: string, mac: string): boolean {
  const given = result?.interfaces;
  const isIt = (one: Given): boolean =>
    one?.name === name && Boolean(one.sandbox) && typeof one.mac === "string" && one.mac.toLowerCase() === mac;
  return Array.isArray(given) && given.some(isIt);
}

/** The MAC address that the ADD reported. */
export function macIn(prevResult: Call["prevResult"], { ifName }: Attachment): string | undefined {
  return prevResult?.interfaces.filter((each) => each.name === ifName && (each.sandbox ?? "") !== "").at(-1)?.mac;
}

/** The same, also when the runtime passes no prevResult, as before CNI 0.4.0: libcni keeps the result. */
export function macGiven({ prevResult, attachment }: Call): string | undefined {
  return prevResult === undefined ? macKept(attachment) : macIn(prevResult, attachment);
}

/** By libcni alone. */
export function macKept(attachment: Attachment): string | undefined {
  for (const directory of RESULTS) {
    const mac = ownMac(keptIn(directory, attachment) ?? {}, attachment.ifName);
    if (mac !== undefined) return mac;
  }
  return undefined;
}

function ownMac({ result }: Kept, ifName: string): string | undefined {
  const given = result?.interfaces;
  const own = Array.isArray(given) ? given.filter((one) => one?.name === ifName && one.sandbox).at(-1) : null;
  return typeof own?.mac === "string" ? own.mac.toLowerCase() : undefined;
}

/** The interfaces that the ADD reported; also when the runtime passes no prevResult: libcni keeps them. */
export function interfacesGiven({ prevResult, attachment }: Pick<Call, "prevResult" | "attachment">): Interface[] {
  if (prevResult !== undefined) return prevResult.interfaces;
  const { containerId, ifName } = attachment;
  for (const directory of RESULTS) {
    const kept = keptIn(directory, attachment);
    const given = kept?.result?.interfaces;
    if (kept?.containerId === containerId && kept.ifName === ifName && Array.isArray(given) && given.every(isWhole))
      return given;
  }
  return [];
}

function isWhole(one: Given): one is Interface {
  return typeof one?.name === "string" && (one.mac === undefined || typeof one.mac === "string");
}

/** Paths of the namespaces that the result of the attachment's ADD names: the prevResult, or what libcni keeps. */
export function sandboxesOf(key: Attachment, prevResult: Call["prevResult"]): string[] {
  const kept = RESULTS.flatMap((directory) => sandboxesIn(textIn(directory, fileName(key))));
  return [...(prevResult?.interfaces ?? []).map(({ sandbox }) => sandbox ?? ""), ...kept].filter((path) => path !== "");
}

/** Also of a file that is cut off. */
export function sandboxesIn(text: string): string[] {
  return [...text.matchAll(/"(?:sandbox|netns)":\s*"([^"\\]+)"/g)].map(([, path]) => path!);
}

function keptIn(directory: string, key: Attachment): Kept | undefined {
  const text = textIn(directory, fileName(key));
  return quietly(() => parseKept(text));
}

/** undefined: it is damaged. */
export function quietly<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

/** "" when there is no such file, or none that can be read. */
export function textIn(directory: string, name: string): string {
  try {
    return host.decode(withDirectory(directory, undefined, (dir) => readFile(dir, name, 1 << 20)) ?? new Uint8Array(0));
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
    return "";
  }
}

function isKept(directory: string, attachment: Attachment): boolean {
  try {
    host.stat(`${directory}/${fileName(attachment)}`);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(error.code)) return false;
    throw error;
  }
}
