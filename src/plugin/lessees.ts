// GC: finds the addresses that pods still have. GC leaves an interface without podnic's marks (a Go plugin made it, or the network's type has
// changed), because nothing shows that the interface belongs to this network. So GC must also keep the lease of the attachment that has the
// interface's address.
import { gcWithIpam, staleLeases } from "../cni/ipam.ts";
import type { Attachment, Call, Lease } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { formatAddress } from "../ip/address.ts";
import { type KernelAddress, listAddresses, listAddressesOf } from "../link/address.ts";
import { isPhysical } from "../link/identity.ts";
import { getLink, IFF_LOOPBACK, type Link, listLinksOfKind, listLinksQuietly } from "../link/link.ts";
import { isOfOtherUsers, type NetNs, ownNamespace } from "../link/namespace.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../link/visible.ts";
import { log } from "../log.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { HiddenNumbers, isNumberOf } from "../netlink/nsid.ts";
import { isSameKey } from "../state/record.ts";
import { MADE } from "./former.ts";
import { idInAlias, isNetworkInAlias } from "./hash.ts";
import { isLent, lends } from "./lent/lender.ts";
import { aliasPrefix, hasMark, ownIndex } from "./upper/own.ts";

export type Lessee = Pick<Attachment, "containerId" | "ifName">;

/**
 * Runs the IPAM plugin's GC, after the interfaces of attachments that are no longer valid have been deleted. Keeps the leases of `kept`, and those of
 * addresses that pods have. Throws Failure, and releases nothing, if podnic cannot tell which addresses these are. Calls `check` if there is a lease
 * to release.
 */
export function gcLeases(call: Call, kept: readonly Lessee[], check?: () => void): void {
  gcWithIpam(call, [...kept, ...lesseesInPods(call, [], check)]);
}

/**
 * Returns the attachments that are no longer valid, but whose leased address is in a namespace other than our own. Another network may use the same
 * addresses, so an interface does not count if a mark or a record says that it is another attachment's. `noted`: attachments that were logged before.
 * Throws Failure if the kernel does not tell which addresses there are.
 */
export function lesseesInPods(call: Call, noted: readonly Lessee[] = [], check?: () => void): Lessee[] {
  const stale = staleLeases(call);
  if (stale.length === 0) return [];
  check?.();
  const home = ownNamespace();
  const { dev, ino, route } = home;
  const veths = listLinksOfKind(route, "veth");
  const ports = veths.filter(({ alias }) => alias.startsWith(aliasPrefix));
  const hidden = new HiddenNumbers(route);
  hidden.without(home.fd);
  const lessees: Lessee[] = [];
  const report = (found: readonly Lease[], where: { [key: string]: string }): void => {
    warn(found, where, [...noted, ...lessees]);
    lessees.push(...found);
  };
  for (const { path, named, ...seen } of withThreads(seeNamespaces())) {
    if (seen.dev === dev && seen.ino === ino) continue;
    const { found = [], doubt } = lookOrDoubt(path, (pod) => {
      hidden.without(pod.fd);
      return holding(stale, listAddresses(pod.route, 0), (index, owner) => {
        const key = keyOf(call, owner);
        const link = getLink(pod.route, index);
        const port = ports.find((each) => each.parent === index && isNumberOf(route, each.linkNetnsid, pod.fd));
        if (link === undefined || isMarkOfOther(index, key) || (port && !isPortOf(port, key))) return false;
        return isMadeByUs(link, call) && mayBeAttached(link, pod, named) && !isLentToOther(pod, link, key);
      });
    });
    if (doubt !== undefined) throw doubt;
    report(found, { netns: path });
  }
  // This needs no mayBeAttached: the node has no number for a namespace that an unprivileged user has made.
  for (const number of hidden.left) {
    const addresses = addressesIn(number);
    if (addresses === undefined) throw cannotTell();
    const found = holding(stale, addresses, (index, owner) => {
      const key = keyOf(call, owner);
      const link = listLinksQuietly(route, number).find((each) => each.index === index);
      const port = ports.find((each) => each.parent === index && each.linkNetnsid === number);
      if (link === undefined || isMarkOfOther(index, key) || (port && !isPortOf(port, key))) return false;
      return isMadeByUs(link, call) && !isLoopback(link);
    });
    const port = veths.find(({ linkNetnsid }) => linkNetnsid === number)?.name;
    report(found, port === undefined ? { netns: "" } : { port });
  }
  return lessees;
}

/** The leases whose address is on an interface that counts. */
function holding(
  stale: readonly Lease[],
  addresses: readonly KernelAddress[],
  counts: (index: number, owner: Lessee) => boolean,
): Lease[] {
  const leases = new Map(stale.map((lease) => [lease.ip, lease]));
  return addresses.flatMap(({ address, index }) => {
    const lease = leases.get(formatAddress(address));
    return lease === undefined || !counts(index, lease) ? [] : [lease];
  });
}

/**
 * True if a plugin may have made or lent this interface of a pod. Loopback does not count. Nor does an interface that an unprivileged user has made
 * in a user namespace of their own: it leads nowhere. A namespace with a name (`named`) is the runtime's, even if the pod has a user namespace.
 */
export function mayBeAttached(link: Link, pod: NetNs, named: boolean): boolean {
  if (isLoopback(link)) return false;
  const isTrusted = named || isPhysical(link) || !isOfOtherUsers(pod);
  return isTrusted || isNumberOf(pod.route, link.linkNetnsid, ownNamespace().fd);
}

export const isLoopback = ({ flags }: Link): boolean => (flags & IFF_LOOPBACK) !== 0;

/** True for a kind of link that plugins make. A plugin that lends devices lends links of any kind. */
const isMadeByUs = (link: Link, { config }: Call): boolean =>
  MADE.includes(link.kind) || isPhysical(link) || lends(config.type);

function keyOf({ attachment: { network } }: Call, { containerId, ifName }: Lessee): Attachment {
  return { network, containerId, ifName };
}

/** True if the mark is that of another attachment. A mark of this attachment may be another plugin's, because the network's type may have changed. */
const isMarkOfOther = (index: number, key: Attachment): boolean =>
  hasMark(index) && key.ifName !== "" && ownIndex(key) !== index;

/** Recognizes the attachment's port by the alias that bridge gives its ports. A lease of host-local before 0.8 names no interface. */
function isPortOf({ alias }: Link, { network, containerId, ifName }: Attachment): boolean {
  const [, name = "", id, end = ""] = alias.split(":");
  return isNetworkInAlias(name, network) && id === idInAlias(containerId) && ["", end].includes(ifName);
}

function isLentToOther(pod: NetNs, link: Link, key: Attachment): boolean {
  return isLent(pod, link, (to) => !isSameKey(to, { ...key, ifName: key.ifName || link.name }));
}

function warn(found: readonly Lease[], where: { [key: string]: string }, noted: readonly Lessee[]): void {
  for (const { containerId, ifName, ip } of found) {
    const isNoted = noted.some((one) => one.containerId === containerId && one.ifName === ifName);
    const what = "GC keeps the lease of an attachment that is no longer valid, because its pod still has the address";
    if (!isNoted) log("warning", what, { container: containerId, address: ip, ...where });
  }
}

/**
 * The addresses in the namespace with this number. Empty if the namespace is about to end, or belongs to a user namespace out of reach. undefined:
 * the kernel does not tell.
 */
export function addressesIn(number: number): KernelAddress[] | undefined {
  try {
    return listAddressesOf(ownNamespace().route, number);
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === "EINVAL" || error.code === "EACCES")) return [];
    throw error;
  }
}

function cannotTell(): Failure {
  return new Failure(
    "try again",
    "cannot tell which addresses pods have in network namespaces without a path",
    "A pod may still have an address whose lease GC would release, so GC released none. GC can tell only on Linux 4.20 or later. Use `podnic gc` instead.",
  );
}
