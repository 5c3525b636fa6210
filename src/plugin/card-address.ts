// Whose MAC address it is that a configuration wants for an interface on a card with virtual functions. The card sends a frame to the function that
// has its destination: an interface with the address of the node, or of another pod's function, would get what is sent to them.
import { Failure } from "../errors.ts";
import { hasUnicastAddress } from "../link/bridge.ts";
import { findLinksByAddress, getLink, IFF_UP, type Link } from "../link/link.ts";
import { listVfs } from "../link/vf.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import type { RecordKey } from "../state/record.ts";
import { isPciAddress, isUserspaceDriver, pciDriver, pciNetDirectory, placeOnHost } from "../sysfs/device.ts";
import { physicalFunction, physicalFunctionInterface, virtualFunction, virtualFunctionCount } from "../sysfs/vf.ts";
import { isInUse } from "./lent/claim.ts";
import { isOpenInVfio } from "./lent/function.ts";
import { ageOf, attachmentInWords, listAllLoans } from "./lent/lender.ts";

/** A physical function with its virtual ones. */
export interface Card {
  pf: Pick<Link, "index" | "name" | "mac">;
  pfPci: string;
}

type Owner = Pick<RecordKey, "containerId">;

/** The card that an interface of the host is a function of. undefined: none, or one without virtual functions. */
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
 * Of a virtual function, `own`: throws Failure("invalid config") naming whose the address is. The functions of one container may have one address
 * (a bond in the pod), and nobody has that of a function which is free.
 */
export function refuseAddressOnCard(route: RouteSocket, card: Card, mac: string, owner: Owner, own = ""): void {
  const { pf } = card;
  refuseAddressOfFunctions(route, card, mac, owner, own);
  if (hasUnicastAddress(route, pf.index, mac)) throw taken(pf, mac, `an interface on top of ${pf.name}`);
  const isOwn = ({ name }: Link): boolean => pciNetDirectory(own)?.includes(name) === true;
  // What is down takes nothing from anybody.
  const link = findLinksByAddress(route, mac).find((one) => (one.flags & IFF_UP) !== 0 && !isOwn(one));
  if (link !== undefined) throw taken(pf, mac, `${link.name} on this node`);
}

/** The same of the card's functions alone: interfaces on top of one are the kernel's to compare. */
export function refuseAddressOfFunctions(route: RouteSocket, card: Card, mac: string, owner: Owner, own = ""): void {
  const { pf, pfPci } = card;
  if (mac === pf.mac) throw taken(pf, mac, `the physical function ${pf.name}`);
  const same = listVfs(route, pf.index, pf.name).filter((vf) => vf.mac === mac);
  const functions = same.map(({ vf }) => virtualFunction(pfPci, vf)).filter((pci) => pci !== undefined);
  const others = functions.filter((pci) => pci !== own);
  refuseAddressOfPods(card, mac, owner, own, others);
  for (const pci of others) {
    const use = useOf(route, pci, owner.containerId);
    if (use !== undefined) throw taken(pf, mac, `the virtual function ${pci}, which ${use}`);
  }
}

/** The same by the records of other containers alone. `others`: functions that have the address, as the physical one says. */
export function refuseAddressOfPods(
  { pf, pfPci }: Card,
  mac: string,
  { containerId }: Owner,
  own: string,
  others: readonly string[] = [],
): void {
  for (const { lender, record } of listAllLoans()) {
    const { pci, saved, mac: given = saved?.mac } = lender.loanOf(record.data);
    if (pci === "" || pci === own || record.key.containerId === containerId || ageOf(record) !== "now") continue;
    if (!others.includes(pci) && (given !== mac || physicalFunction(pci) !== pfPci)) continue;
    if (isInUse(lender, record)) throw taken(pf, mac, attachmentInWords(record.key));
  }
}

/** What uses a function of which no other container has a record. undefined: nothing, or this container. */
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
  return isUserspaceDriver(pciDriver(pci) ?? "") && isOpenInVfio(pci) ? "a program has open (VFIO)" : undefined;
}

function taken({ name }: Card["pf"], mac: string, whose: string): Failure {
  return new Failure(
    "invalid config",
    `MAC address ${mac} belongs to ${whose}`,
    `The pod would receive its frames. Use an address that neither ${name} nor its virtual functions have.`,
  );
}
