// GC: the addresses that pods still have. An interface without our marks (the Go plugins', or one of a network whose type has changed) stays, for
// nothing shows that it is this network's; and so does the lease of whoever has its address.
import { gcWithIpam, staleLeases } from "../cni/ipam.ts";
import type { Attachment, Call, Lease } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { formatAddress } from "../ip/address.ts";
import { type KernelAddress, listAddresses, listAddressesOf } from "../link/address.ts";
import { getLink, type Link, listLinksOfKind } from "../link/link.ts";
import { type NetNs, ownNamespace } from "../link/namespace.ts";
import { lookOrDoubt, seeNamespaces } from "../link/visible.ts";
import { log } from "../log.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { isNumberOf } from "../netlink/nsid.ts";
import { isSameKey } from "../state/record.ts";
import { idInAlias, isNetworkInAlias } from "./hash.ts";
import { isLent } from "./lent/lender.ts";
import { aliasPrefix, hasMark, ownIndex } from "./upper/own.ts";

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
 * same addresses: what a mark or a record says is another attachment's does not count. `noted`: logged before.
 */
export function lesseesInPods(call: Call, noted: readonly Lessee[] = []): Lessee[] {
  const stale = staleLeases(call);
  if (stale.length === 0) return [];
  const { dev, ino, route } = ownNamespace();
  const ports = listLinksOfKind(route, "veth").filter(({ alias }) => alias.startsWith(aliasPrefix));
  const lessees: Lessee[] = [];
  for (const { path, ...seen } of seeNamespaces().namespaces) {
    if (seen.dev === dev && seen.ino === ino) continue;
    const { found = [], doubt } = lookOrDoubt(path, (pod) =>
      holding(stale, listAddresses(pod.route, 0), (index, owner) => {
        const key = keyOf(call, owner);
        const port = ports.find((each) => each.parent === index && isNumberOf(route, each.linkNetnsid, pod.fd));
        return isMarkOfOther(index, key) || (port && !isPortOf(port, key)) || isLentToOther(pod, index, key);
      }),
    );
    if (doubt !== undefined) throw doubt;
    lessees.push(...report(found, { netns: path }, [...noted, ...lessees]));
  }
  return lessees;
}

/**
 * The same behind the veths of the host that have no owner: the Go plugin's ports, whatever has become of them, the pod's end and the bridge. Also
 * when no path leads to the namespace. GC knows what is to become of the leases of those that have one. Throws Failure when the kernel does not tell
 * which addresses are there.
 */
export function lesseesBehind(call: Call, veths: readonly Link[], hasOwner: (link: Link) => boolean): Lessee[] {
  const stale = staleLeases(call);
  if (stale.length === 0) return [];
  const owned = veths.filter(hasOwner);
  const numbers = new Map(veths.filter((link) => !hasOwner(link)).map(({ linkNetnsid, name }) => [linkNetnsid, name]));
  const lessees: Lessee[] = [];
  for (const [number, port] of numbers) {
    if (number === undefined) continue;
    const found = holding(stale, addressesIn(number), (index, owner) => {
      const key = keyOf(call, owner);
      const isOwned = owned.some(({ parent, linkNetnsid }) => parent === index && linkNetnsid === number);
      return isOwned || isMarkOfOther(index, key) || isLentBehind(number, index, key);
    });
    lessees.push(...report(found, { port }, lessees));
  }
  return lessees;
}

/** Those whose address is there, on an interface that is not known to be another attachment's. */
function holding(
  stale: readonly Lease[],
  addresses: readonly KernelAddress[],
  isOthers: (index: number, owner: Lessee) => boolean | undefined,
): Lease[] {
  const leases = new Map(stale.map((lease) => [lease.ip, lease]));
  return addresses.flatMap(({ address, index }) => {
    const lease = leases.get(formatAddress(address));
    return lease === undefined || isOthers(index, lease) ? [] : [lease];
  });
}

function keyOf({ attachment: { network } }: Call, { containerId, ifName }: Lessee): Attachment {
  return { network, containerId, ifName };
}

/** A network whose type has changed has another plugin's marks, so that the mark must be that of another attachment. */
const isMarkOfOther = (index: number, key: Attachment): boolean =>
  hasMark(index) && key.ifName !== "" && ownIndex(key) !== index;

/** By the alias that bridge gives its ports. A lease of host-local before 0.8 names no interface. */
function isPortOf({ alias }: Link, { network, containerId, ifName }: Attachment): boolean {
  const [, name = "", id, end = ""] = alias.split(":");
  return isNetworkInAlias(name, network) && id === idInAlias(containerId) && ["", end].includes(ifName);
}

function isLentToOther(pod: NetNs, index: number, key: Attachment): boolean {
  const name = getLink(pod.route, index)?.name;
  return name !== undefined && isLent(pod, name, (to) => !isSameKey(to, { ...key, ifName: key.ifName || name }));
}

function isLentBehind(number: number, index: number, key: Attachment): boolean {
  const { route } = ownNamespace();
  const isIt = (pod: NetNs): boolean => isNumberOf(route, number, pod.fd) && isLentToOther(pod, index, key);
  return seeNamespaces().namespaces.some(({ path }) => lookOrDoubt(path, isIt).found === true);
}

function report(found: readonly Lease[], where: { [key: string]: string }, noted: readonly Lessee[]): Lessee[] {
  for (const { containerId, ifName, ip } of found) {
    const isNoted = noted.some((one) => one.containerId === containerId && one.ifName === ifName);
    const what = "GC keeps the lease of an attachment that is no longer valid, because its pod still has the address";
    if (!isNoted) log("warning", what, { container: containerId, address: ip, ...where });
  }
  return found.map(({ containerId, ifName }) => ({ containerId, ifName }));
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
