// GC: the addresses that pods still have. An interface without our marks (the Go plugins', or one of a network whose type has changed) stays, for
// nothing shows that it is this network's; and so does the lease of whoever has its address.
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
 * GC of the IPAM plugin, when the interfaces of attachments that are not valid any more have been deleted; the leases of `kept` stay, and those of
 * addresses that pods have. Throws Failure, and releases nothing, when it cannot be told which these are. `check` is made if there is any to release.
 */
export function gcLeases(call: Call, kept: readonly Lessee[], check?: () => void): void {
  gcWithIpam(call, [...kept, ...lesseesInPods(call, [], check)]);
}

/**
 * Attachments that are not valid any more, and have the lease of an address that is in a namespace other than our own. Another network may use the
 * same addresses: what a mark or a record says is another attachment's does not count. `noted`: logged before. Throws Failure when the kernel does
 * not tell which addresses are there.
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
  // The node has no number for a namespace that somebody without privileges has made.
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

/** Those whose address is there, on an interface that counts. */
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
 * The interface of a pod may be one that a plugin made or lent. Loopback is not, nor what somebody without privileges has made in a user namespace of
 * his own: it leads nowhere. A namespace that has a name (`named`) is the runtime's, also that of a pod with a user namespace.
 */
export function mayBeAttached(link: Link, pod: NetNs, named: boolean): boolean {
  if (isLoopback(link)) return false;
  const isTrusted = named || isPhysical(link) || !isOfOtherUsers(pod);
  return isTrusted || isNumberOf(pod.route, link.linkNetnsid, ownNamespace().fd);
}

export const isLoopback = ({ flags }: Link): boolean => (flags & IFF_LOOPBACK) !== 0;

/** Of a kind that plugins make; one that lends devices lends those of any kind. */
const isMadeByUs = (link: Link, { config }: Call): boolean =>
  MADE.includes(link.kind) || isPhysical(link) || lends(config.type);

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
 * None of a namespace that is about to end, or that is of a user namespace out of reach. undefined: the kernel does not tell.
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
