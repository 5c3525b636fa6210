// Determines for DEL whether an ADD of this attachment succeeded. An interface without podnic's mark can belong to a Go plugin's ADD, or it
// can be the reason why podnic's ADD failed. The Go plugins delete any interface with the name.
import { holderOf, holdsAddress } from "../cni/ipam.ts";
import type { Attachment, Call } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { listAddresses } from "../link/address.ts";
import type { Link } from "../link/link.ts";
import { type NetNs, whatIsAt } from "../link/namespace.ts";
import { namesIn } from "../link/visible.ts";
import { decodeBase64 } from "../state/base64.ts";
import { readFile, withDirectory } from "../state/files.ts";

/** Where libcni keeps the result of each ADD that succeeded, until its DEL: its own, that of Multus, and the one of before 2019. */
export const RESULTS = ["/var/lib/cni/results", "/var/lib/cni/multus/results", "/var/lib/cni/cache/results"];

/** What wasAdded has said of a call. */
const answers = new WeakMap<Call, boolean>();

/** The call that has a lock for which others wait. */
let locked: Call | undefined;

class Unasked extends Error {}

/**
 * By the prevResult, by its lease, or by what libcni keeps for every version of the specification. False: nothing says so. Throws when that cannot
 * be told.
 */
export function wasAdded(call: Call): boolean {
  // The undo of an ADD: what it made has our marks, and the lease is its own.
  if (call.command === "ADD") return false;
  if (call.prevResult !== undefined) return true;
  const known = answers.get(call);
  if (known !== undefined) return known;
  if (locked === call) throw new Unasked("wasAdded");
  const answer = holdsAddress(call) || hasResult(call.attachment);
  answers.set(call, answer);
  return answer;
}

/**
 * Runs `body`, which takes a lock for which others wait. When it needs wasAdded, it is run again, with the answer: a tenant names the pool, and
 * whoever keeps that busy must not keep others waiting. Until then `body` changes nothing.
 */
export function askingUnlocked<T>(call: Call, body: () => T): T {
  locked = call;
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Unasked)) throw error;
  } finally {
    locked = undefined;
  }
  wasAdded(call);
  return body();
}

/** libcni keeps the result of the attachment's ADD. Throws when that cannot be told. */
export function hasResult(key: Attachment): boolean {
  return RESULTS.some((directory) => isKept(directory, key));
}

/**
 * An ADD of the plugin `type` with this device gave the pod an interface with this MAC address: libcni keeps its result, and the configuration beside
 * it. Whoever writes networks can write a prevResult, and can give the same names to two networks, of which one gets a lease.
 */
export function isKeptAs(key: Attachment, mac: string, type: string, device: string): boolean {
  return RESULTS.some((directory) => {
    const kept = parsed(textIn(directory, fileName(key))) as Kept | undefined;
    if (kept?.containerId !== key.containerId || kept.ifName !== key.ifName || typeof kept.config !== "string")
      return false;
    const config = parsed(host.decode(decoded(kept.config))) as KeptConfig | undefined;
    const plugins = config?.plugins ?? [config];
    const given = kept.result?.interfaces;
    if (!Array.isArray(plugins) || !Array.isArray(given)) return false;
    const isAdded = plugins.some((one) => one?.type === type && one.device === device);
    return isAdded && given.some((one) => isGiven(one, key.ifName, mac));
  });
}

type Given = { name?: string; mac?: string; sandbox?: string } | null;

interface Kept {
  containerId?: string;
  ifName?: string;
  config?: unknown;
  result?: { interfaces?: Given[] };
}

function isGiven(one: Given, name: string, mac: string): boolean {
  return one?.name === name && Boolean(one.sandbox) && one.mac?.toLowerCase() === mac;
}

/** What libcni keeps says that the pod got an interface of this name with this MAC address. */
function namesMac(text: string, name: string, mac: string): boolean {
  const kept = parsed(text) as Kept | undefined;
  const given = kept?.result?.interfaces;
  return Array.isArray(given) && given.some((one) => isGiven(one, name, mac));
}

interface KeptConfig {
  type?: string;
  device?: string;
  plugins?: (KeptConfig | null)[];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined;
  }
}

function decoded(text: string): Uint8Array {
  try {
    return decodeBase64(text);
  } catch {
    return new Uint8Array(0);
  }
}

/** Paths of the namespaces that the result of the attachment's ADD names: the prevResult, or what libcni keeps. */
export function sandboxesOf(key: Attachment, prevResult: Call["prevResult"]): string[] {
  const kept = RESULTS.flatMap((directory) => sandboxesIn(textIn(directory, fileName(key))));
  return [...(prevResult?.interfaces ?? []).map(({ sandbox }) => sandbox ?? ""), ...kept].filter((path) => path !== "");
}

function sandboxesIn(text: string): string[] {
  return [...text.matchAll(/"(?:sandbox|netns)":\s*"([^"\\]+)"/g)].map(([, path]) => path!);
}

/**
 * The container of another attachment that has this interface of the pod: libcni keeps the result of its ADD, or it has the lease of an address of
 * the interface, in the pool of the configuration.
 */
export function otherAttachmentOf(call: Call, pod: NetNs, { name, index, mac }: Link): string | undefined {
  const { containerId, ifName } = call.attachment;
  for (const { address } of listAddresses(pod.route, index)) {
    const holder = holderOf(call, address);
    if (holder !== undefined && !isOf(call, holder)) return holder.containerId;
  }
  for (const directory of RESULTS) {
    for (const file of namesIn(directory).filter(
      (one) => one.endsWith(`-${name}`) && one !== fileName(call.attachment),
    )) {
      const text = textIn(directory, file);
      const [, other] = /"containerId":\s*"([^"\\]+)"/.exec(text) ?? [];
      const isOwn = other === containerId && name === ifName;
      if (other === undefined || isOwn || !sandboxesIn(text).some((path) => isAt(path, pod))) continue;
      // A name that is not the attachment's own may be the pod's choice.
      if (name === ifName || namesMac(text, name, mac)) return other;
    }
  }
  return undefined;
}

/** The container of another attachment whose lease an address of the interface is, and none is of this one's. */
export function otherLesseeOf(call: Call, pod: NetNs, { index }: Link): string | undefined {
  const holders = listAddresses(pod.route, index).flatMap(({ address }) => holderOf(call, address) ?? []);
  return holders.some((holder) => isOf(call, holder)) ? undefined : holders[0]?.containerId;
}

/** A lease of a plugin older than 0.8 names the container only. */
function isOf({ attachment }: Call, { containerId, ifName }: Pick<Attachment, "containerId" | "ifName">): boolean {
  return containerId === attachment.containerId && ["", attachment.ifName].includes(ifName);
}

function isAt(path: string, { dev, ino }: NetNs): boolean {
  const there = whatIsAt(path);
  return typeof there === "object" && there.dev === dev && there.ino === ino;
}

const fileName = ({ network, containerId, ifName }: Attachment): string => `${network}-${containerId}-${ifName}`;

function textIn(directory: string, name: string): string {
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
