// GC: the addresses that pods still have. An interface without our marks (the Go plugins', or one of a network whose type has changed) stays, for
// nothing shows that it is this network's; and so does the lease of whoever has its address.
import { isValidAttachment } from "../cni/attachments.ts";
import { gcWithIpam, holderOf, knowsHolders } from "../cni/ipam.ts";
import type { Attachment, Call } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { formatAddress } from "../ip/address.ts";
import { type KernelAddress, listAddresses, listAddressesOf } from "../link/address.ts";
import type { Link } from "../link/link.ts";
import { type NetNs, ownNamespace } from "../link/namespace.ts";
import { lookOrDoubt, seeNamespaces } from "../link/visible.ts";
import { log } from "../log.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { hasMark, ownIndex } from "./upper/own.ts";

export type Lessee = Pick<Attachment, "containerId" | "ifName">;

/**
 * GC of the IPAM plugin, when the interfaces of attachments that are not valid any more have been deleted; the leases of `kept` stay, and those of
 * addresses that pods have. Throws Failure, and releases nothing, when it cannot be told which these are.
 */
export function gcLeases(call: Call, kept: readonly Lessee[]): void {
  gcWithIpam(call, [...kept, ...lesseesInPods(call)]);
}

/**
 * Attachments that are not valid any more, and have the lease of an address that is in a namespace other than our own. Another network may use the
 * same addresses: what the marks say is another attachment's does not count. `noted`: logged before. `isMarked`: the link's other end, on the host,
 * has an owner.
 */
export function lesseesInPods(
  call: Call,
  noted: readonly Lessee[] = [],
  isMarked: (pod: NetNs, index: number) => boolean = () => false,
): Lessee[] {
  if (!knowsHolders(call)) return [];
  const { dev, ino } = ownNamespace();
  const lessees: Lessee[] = [];
  for (const { path, ...seen } of seeNamespaces().namespaces) {
    if (seen.dev === dev && seen.ino === ino) continue;
    const { found = [], doubt } = lookOrDoubt(path, (pod) =>
      lesseesOf(call, listAddresses(pod.route, 0), (index) => isMarked(pod, index)),
    );
    if (doubt !== undefined) throw doubt;
    lessees.push(...report(found, { netns: path }, [...noted, ...lessees]));
  }
  return lessees;
}

/**
 * The same behind the veths of the host that have no owner: the Go plugin's ports, whatever has become of them, the pod's end and the bridge. Also
 * when no path leads to the namespace. Throws Failure when the kernel does not tell which addresses are there.
 */
export function lesseesBehind(call: Call, veths: readonly Link[], hasOwner: (link: Link) => boolean): Lessee[] {
  if (!knowsHolders(call)) return [];
  const owned = veths.filter(hasOwner);
  const numbers = new Map(veths.filter((link) => !hasOwner(link)).map(({ linkNetnsid, name }) => [linkNetnsid, name]));
  const lessees: Lessee[] = [];
  for (const [number, port] of numbers) {
    if (number === undefined) continue;
    const found = lesseesOf(call, addressesIn(number), (index) => isEndOf(owned, index, (one) => one === number));
    lessees.push(...report(found, { port }, lessees));
  }
  return lessees;
}

/** Whether a link is the pod's end of one of these veths of the host: GC knows what is to become of their leases. `isIn`: the number means where it is. */
export function isEndOf(veths: readonly Link[], index: number, isIn: (number: number | undefined) => boolean): boolean {
  return veths.some(({ parent, linkNetnsid }) => parent === index && isIn(linkNetnsid));
}

type Leased = Lessee & { address: KernelAddress["address"] };

function lesseesOf(call: Call, addresses: readonly KernelAddress[], isMarked: (index: number) => boolean): Leased[] {
  const { network } = call.attachment;
  return addresses.flatMap(({ address, index }) => {
    const holder = holderOf(call, address);
    if (holder === undefined || isValid(call, holder)) return [];
    // A network whose type has changed has another plugin's marks, so that the mark must be that of another attachment.
    const isOthers = hasMark(index) && holder.ifName !== "" && ownIndex({ network, ...holder }) !== index;
    return isOthers || isMarked(index) ? [] : [{ ...holder, address }];
  });
}

function report(found: readonly Leased[], where: { [key: string]: string }, noted: readonly Lessee[]): Lessee[] {
  for (const { containerId, ifName, address } of found) {
    const isNoted = noted.some((one) => one.containerId === containerId && one.ifName === ifName);
    const what = "GC keeps the lease of an attachment that is no longer valid, because its pod still has the address";
    if (!isNoted) log("warning", what, { container: containerId, address: formatAddress(address), ...where });
  }
  return found.map(({ containerId, ifName }) => ({ containerId, ifName }));
}

/** A lease of host-local before 0.8 names no interface. */
function isValid(call: Call, holder: Lessee): boolean {
  if (holder.ifName !== "") return isValidAttachment(call, holder);
  return call.validAttachments.some(({ containerId }) => containerId === holder.containerId);
}

/** None of a namespace that is about to end. */
function addressesIn(number: number): KernelAddress[] {
  try {
    const found = listAddressesOf(ownNamespace().route, number);
    if (found !== undefined) return found;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "EINVAL") return [];
    throw error;
  }
  throw new Failure(
    "try again",
    "cannot tell which addresses pods have behind the veth interfaces of other plugins",
    "A pod may still have an address whose lease GC would release, so GC released none. This needs Linux 4.20. Use `podnic gc`.",
  );
}
