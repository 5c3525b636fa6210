// Whose an interface of a pod is, by the leases of its addresses and by the results that libcni keeps. The interface's name and MAC address are the
// pod's to choose.
import { holderOf } from "../cni/ipam.ts";
import type { Attachment, Call } from "../cni/plugin.ts";
import { type KernelAddress, listAddresses } from "../link/address.ts";
import type { Link } from "../link/link.ts";
import { type NetNs, whatIsAt } from "../link/namespace.ts";
import { namesIn } from "../link/visible.ts";
import { log } from "../log.ts";
import {
  fileName,
  hasGiven,
  type KeptAdd,
  keptSince,
  listKept,
  macIn,
  parseKept,
  quietly,
  RESULTS,
  sandboxesIn,
  sandboxesOf,
  textIn,
} from "./results.ts";

type Holder = Pick<Attachment, "containerId" | "ifName">;

/**
 * The container of another attachment that has this interface of the pod: libcni keeps the result of its ADD, or it has the lease of an address of
 * the interface, in the pool of the configuration.
 */
export function otherAttachmentOf(call: Call, pod: NetNs, link: Link): string | undefined {
  const lessee = holdersOf(call, pod, link).find((holder) => !isOf(call, holder));
  return lessee === undefined ? otherKeptFor(call, pod, link) : lessee.containerId;
}

/** By libcni's results alone: a pod can give its interface any address. */
export function otherKeptFor(call: Call, pod: NetNs, { name, mac }: Link): string | undefined {
  const { containerId, ifName } = call.attachment;
  for (const directory of RESULTS) {
    for (const file of namesIn(directory).filter(
      (one) => one.endsWith(`-${name}`) && one !== fileName(call.attachment),
    )) {
      const text = textIn(directory, file);
      const [, other] = /"containerId":\s*"([^"\\]+)"/.exec(text) ?? [];
      const isOwn = other === containerId && name === ifName;
      if (other === undefined || isOwn || !sandboxesIn(text).some((path) => isAt(path, pod))) continue;
      // A name that is not the attachment's own may be the pod's choice.
      if (name === ifName || hasGiven(quietly(() => parseKept(text)) ?? {}, name, mac)) return other;
    }
  }
  return undefined;
}

/**
 * DEL, of an interface without our marks that looks like this attachment's: it is another one's, and stays. The path of the namespace is another
 * pod's by now, and a Go plugin has made its interface, of the same name.
 */
export function isAnothers(call: Call, pod: NetNs, link: Link): boolean {
  const owner = otherOwnerOf(call, pod, link);
  if (owner !== undefined) leaveTo(owner, link);
  return owner !== undefined;
}

export function leaveTo(owner: string, { name }: Link): void {
  log("warning", "the interface belongs to another attachment; leaving it unchanged", { interface: name, owner });
}

/**
 * The container of another attachment that got the interface after this one's ADD, as libcni keeps it: the path of a namespace, the MAC address of a
 * card and the name in the pod may all be given again. What no pod can change decides, which is when libcni kept either of them.
 */
export function laterAttachmentOf(
  { attachment }: Pick<Call, "attachment">,
  pod: NetNs,
  link: Link,
): string | undefined {
  const { containerId, ifName } = attachment;
  const isIt = ({ key, kept, paths }: KeptAdd): boolean =>
    (key.containerId !== containerId || key.ifName !== ifName) &&
    [link.mac, link.permanentMac].some((mac) => mac !== "" && hasGiven(kept, link.name, mac)) &&
    paths.some((path) => isAt(path, pod));
  const others = listKept((text) => text.includes(link.name)).filter(isIt);
  if (others.length === 0) return undefined;
  const since = keptSince(attachment);
  return others.find(({ written }) => written > since)?.key.containerId;
}

/** The other one's container. */
export function otherOwnerOf(call: Call, pod: NetNs, link: Link): string | undefined {
  const lessee = otherLesseeOf(call, pod, link) ?? laterAttachmentOf(call, pod, link);
  return lessee ?? (hasOwnMac(link, call) === false ? otherAttachmentOf(call, pod, link) : undefined);
}

/** The interface has the MAC address that ADD reported. undefined: no prevResult says what it was. */
export function hasOwnMac({ mac }: Pick<Link, "mac">, { prevResult, attachment }: Call): boolean | undefined {
  const known = macIn(prevResult, attachment);
  return known === undefined ? undefined : known === mac;
}

/** The container of another attachment whose lease an address of the interface is, and none is of this one's. */
function otherLesseeOf(call: Call, pod: NetNs, link: Link): string | undefined {
  const holders = holdersOf(call, pod, link);
  return holders.some((holder) => isOf(call, holder)) ? undefined : holders[0]?.containerId;
}

/** An address of the interface is this attachment's by its lease. */
export function hasLeasedAddress(call: Call, pod: NetNs, link: Link): boolean {
  return leasedAddresses(call, pod, link).length > 0;
}

export function leasedAddresses(call: Call, pod: NetNs, { index }: Link): KernelAddress[] {
  return listAddresses(pod.route, index).filter(({ address }) => {
    const holder = holderOf(call, address);
    return holder !== undefined && isOf(call, holder);
  });
}

function holdersOf(call: Call, pod: NetNs, { index }: Link): Holder[] {
  return listAddresses(pod.route, index).flatMap(({ address }) => holderOf(call, address) ?? []);
}

/** A lease of a plugin older than 0.8 names the container only. */
function isOf({ attachment }: Call, { containerId, ifName }: Holder): boolean {
  return containerId === attachment.containerId && ["", attachment.ifName].includes(ifName);
}

/** libcni keeps that the attachment's ADD was into this namespace. A prevResult does not do: whoever writes a network can write one. */
export function isKeptAt(key: Attachment, namespace: NetNs): boolean {
  return sandboxesOf(key, undefined).some((path) => isAt(path, namespace));
}

function isAt(path: string, { dev, ino }: NetNs): boolean {
  const there = whatIsAt(path);
  return typeof there === "object" && there.dev === dev && there.ino === ino;
}
