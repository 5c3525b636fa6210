// Refuses a MAC address that already belongs to somebody else, for an interface on a card with virtual functions. The card sends each frame to the
// function that has the frame's destination address. An interface with the address of the node, or of another pod's function, would receive their
// frames.
import { Failure, shellWord } from "../errors.ts";
import { formatAddress } from "../ip/address.ts";
import { hasUnicastAddress, listEntriesOf } from "../link/bridge.ts";
import { findLinksByAddress, getLink, IFF_UP, isPair, type Link, listLinksOfKind } from "../link/link.ts";
import { findGateway, listNeighbours } from "../link/neighbour.ts";
import { listVfs } from "../link/vf.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import type { RecordKey } from "../state/record.ts";
import { isPciAddress, pciNetDirectory, placeOnHost, withUppers } from "../sysfs/device.ts";
import { physicalFunction, physicalFunctionInterface, virtualFunction, virtualFunctionCount } from "../sysfs/vf.ts";
import { idInAlias } from "./hash.ts";
import { isInUse } from "./lent/claim.ts";
import { isOpen } from "./lent/function.ts";
import { ageOf, attachmentInWords, listAllLoans } from "./lent/lender.ts";
import { aliasPrefix } from "./upper/own.ts";

/** A card with virtual functions: the interface and the PCI address of its physical function. */
export interface Card {
  pf: Pick<Link, "index" | "name" | "mac">;
  pfPci: string;
}

type Owner = Pick<RecordKey, "containerId">;

/**
 * The card of an interface of the host. undefined: the interface is on no card with virtual functions, or the physical function has no interface
 * here.
 */
export function cardOf(route: RouteSocket, link: Link): Card | undefined {
  const pci = placeOnHost(link);
  if (!isPciAddress(pci)) return undefined;
  const pfPci = physicalFunction(pci) ?? pci;
  if (pfPci === pci) return virtualFunctionCount(pci) === 0 ? undefined : { pf: link, pfPci };
  const name = physicalFunctionInterface(pfPci);
  const pf = name === undefined ? undefined : getLink(route, name);
  return pf && { pf, pfPci };
}

/**
 * Throws Failure("invalid config"), which names the owner, if the address belongs to somebody else on the card or on the node. `own` is the PCI
 * address of the virtual function that is to get the address. The functions of one container may share an address (for a bond in the pod). The
 * address of an unused function belongs to nobody.
 */
export function refuseAddressOnCard(route: RouteSocket, card: Card, mac: string, owner: Owner, own = ""): void {
  const { pf } = card;
  refuseAddressOfGateway(route, pf, mac);
  refuseAddressOfFunctions(route, card, mac, owner, own);
  if (hasUnicastAddress(route, pf.index, mac)) throw taken(mac, `an interface on top of ${pf.name}`);
  refuseAddressOnBridges(route, card, mac, owner);
  const isOwn = ({ name }: Link): boolean => pciNetDirectory(own)?.includes(name) === true;
  // An interface that is down receives no frames.
  const link = findLinksByAddress(route, mac).find((one) => (one.flags & IFF_UP) !== 0 && !isOwn(one));
  if (link !== undefined) throw taken(mac, `${link.name} on this node`);
}

/**
 * Like refuseAddressOnCard, but checks only the bridges on top of the card. Ignores the addresses that a bridge has learned, because any pod on the
 * bridge could send frames with somebody's address and so keep them from using it. Also, an address that a bridge has learned from the card may have
 * moved since, as the address of a virtual machine does when it migrates.
 */
export function refuseAddressOnBridges(route: RouteSocket, { pf }: Card, mac: string, { containerId }: Owner): void {
  const above = withUppers(pf.name);
  const bridges = above.size > 1 ? listLinksOfKind(route, "bridge") : [];
  for (const { index: bridge, name } of bridges) {
    if (!above.has(name)) continue;
    for (const { index, kind } of listEntriesOf(route, bridge, mac)) {
      if (kind === "stacked") throw taken(mac, `an interface on top of ${name}`);
      const port = kind === "static" ? getLink(route, index) : undefined;
      if (port === undefined || above.has(port.name) || isPortOf(port, containerId)) continue;
      throw taken(mac, `port ${port.name} of bridge ${name}, to which it is pinned`);
    }
  }
}

/**
 * Like refuseAddressOnCard, but checks only the gateways of the node's routes over `link` or over an interface on top of it. The kernel looks for the
 * destination of a frame among the macvlan interfaces on a device first, and a card looks among its functions. All other neighbours may move: a
 * virtual machine migrates with its address, and any pod can answer for any neighbour. For a veth, also checks the routes over its other end, which
 * may be a port of a bridge.
 */
export function refuseAddressOfGateway(
  route: RouteSocket,
  link: Pick<Link, "index" | "name"> & Partial<Link>,
  mac: string,
): void {
  const neighbours = listNeighbours(route, mac);
  if (neighbours.length === 0) return;
  const isVeth = link.kind !== undefined && isPair({ kind: link.kind }) && link.linkNetnsid === undefined;
  const far = isVeth ? getLink(route, link.parent ?? 0) : undefined;
  const names = new Set([link, far].flatMap((one) => (one === undefined ? [] : [...withUppers(one.name)])));
  const near = neighbours.filter(({ index }) => index === link.index || names.has(getLink(route, index)?.name ?? ""));
  const found = near.length === 0 ? undefined : findGateway(route, near);
  if (found === undefined) return;
  const gateway = formatAddress(found.address);
  const name = getLink(route, found.index)?.name ?? "";
  throw taken(
    mac,
    `${gateway}, a gateway of this node's routes over ${name}`,
    ` If the pod is this gateway and has been restarted, remove the node's neighbour entry (ip neigh del ${gateway} dev ${shellWord(name)}).`,
  );
}

/** Recognizes a port of the container by the alias that bridge gives its ports. */
function isPortOf({ alias }: Link, containerId: string): boolean {
  return alias.startsWith(aliasPrefix) && alias.split(":")[2] === idInAlias(containerId);
}

/** Like refuseAddressOnCard, but checks only the card's functions. The kernel itself compares the interfaces on top of one function. */
export function refuseAddressOfFunctions(route: RouteSocket, card: Card, mac: string, owner: Owner, own = ""): void {
  const { pf, pfPci } = card;
  if (mac === pf.mac) throw taken(mac, `the physical function ${pf.name}`);
  const same = listVfs(route, pf.index, pf.name).filter((vf) => vf.mac === mac);
  const functions = same.map(({ vf }) => virtualFunction(pfPci, vf)).filter((pci) => pci !== undefined);
  const others = functions.filter((pci) => pci !== own);
  refuseAddressOfPods(card, mac, owner, own, others);
  for (const pci of others) {
    const use = useOf(route, pci, owner.containerId);
    if (use !== undefined) throw taken(mac, `the virtual function ${pci}, which ${use}`);
  }
}

/**
 * Like refuseAddressOnCard, but checks only the records of other containers. `others`: the functions that have the address according to the physical
 * function.
 */
export function refuseAddressOfPods(
  { pfPci }: Card,
  mac: string,
  owner: Owner,
  own: string,
  others: readonly string[] = [],
): void {
  refuseAddressOfLoans(mac, owner, (pci, given) => {
    if (pci === own) return false;
    return others.includes(pci) || (given === mac && physicalFunction(pci) === pfPci);
  });
}

/**
 * The same check of records, for an interface that reaches a card through `name`, a bridge or a bond of this namespace on top of the physical
 * function.
 */
export function refuseAddressBelow(name: string, mac: string, owner: Owner): void {
  refuseAddressOfLoans(mac, owner, (pci, given) => {
    const pfPci = given === mac ? physicalFunction(pci) : undefined;
    const pf = pfPci && physicalFunctionInterface(pfPci);
    return pf !== undefined && withUppers(pf).has(name);
  });
}

function refuseAddressOfLoans(
  mac: string,
  { containerId }: Owner,
  concerns: (pci: string, given: string | undefined) => boolean,
): void {
  for (const { lender, record } of listAllLoans()) {
    const { pci, saved, mac: given = saved?.mac } = lender.loanOf(record.data);
    if (pci === "" || record.key.containerId === containerId || ageOf(record) !== "now") continue;
    if (concerns(pci, given) && isInUse(lender, record)) throw taken(mac, attachmentInWords(record.key));
  }
}

/** Says how a function is used for which no other container has a record. undefined: nothing uses it, or this container does. */
function useOf(route: RouteSocket, pci: string, containerId: string): string | undefined {
  const interfaces = pciNetDirectory(pci);
  if (interfaces?.length === 0) {
    const isOurs = listAllLoans().some(
      ({ lender, record }) => lender.loanOf(record.data).pci === pci && record.key.containerId === containerId,
    );
    return isOurs ? undefined : "is in another namespace";
  }
  const up = interfaces?.find((name) => ((getLink(route, name)?.flags ?? 0) & IFF_UP) !== 0);
  if (up !== undefined) return `is up on this node (${up})`;
  return isOpen(pci) ? "a program has open" : undefined;
}

function taken(mac: string, whose: string, more = ""): Failure {
  return new Failure(
    "invalid config",
    `MAC address ${mac} belongs to ${whose}`,
    `The pod would receive its frames. Use an address that nobody else has.${more}`,
  );
}
