// Which addresses isGateway may make the node's: who writes a network may be a tenant. The node's policy says it (bridges.gateways); without a
// word of it what is never right is refused. Looks, and changes nothing.
import { policy } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress, formatPrefix, type Prefix } from "../../src/ip/address.ts";
import { equalAddresses, prefixContains } from "../../src/ip/range.ts";
import { type KernelAddress, listAddresses } from "../../src/link/address.ts";
import { getLink, type Link, listLinks } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { relevantRoutes, WIDE } from "../../src/link/route.ts";
import { describeRoute, usedByNode } from "../../src/link/uplink.ts";
import { RT_SCOPE_LINK } from "../../src/netlink/constants.ts";

const FILE = "/etc/cni/podnic.json";

/** The policy's word. Throws Failure("invalid config"). */
export function refuseUnlisted(gateways: Prefix[]): void {
  const { gateways: listed } = policy().bridges;
  if (listed === undefined) return;
  const unlisted = gateways.find((gateway) => !listed.some((entry) => isWithin(gateway, entry)));
  if (unlisted === undefined) return;
  throw refusal(
    `${formatPrefix(unlisted)} is not in a subnet that this node allows for gateways`,
    `bridges.gateways in ${FILE} has to list the subnet, or a larger one. Use a listed subnet in "ipam", or remove "isGateway".`,
  );
}

function isWithin(inner: Prefix, outer: Prefix): boolean {
  return inner.length >= outer.length && prefixContains(outer, inner.address);
}

/**
 * What the node has, or reaches, elsewhere than on the interface that is to have the gateways. `holder` undefined: it is yet to be made, and
 * will be called `name`; another ADD may make it, with its addresses, while this one looks.
 */
export function refuseTaken(holder: Link | undefined, name: string, gateways: Prefix[]): void {
  if (gateways.length === 0) return;
  for (const gateway of gateways) refuseWide(gateway);
  for (const found of listAddresses(ownNamespace().route, 0)) {
    // Each link has its own.
    if (found.index === holder?.index || (found.address.family === 6 && found.scope === RT_SCOPE_LINK)) continue;
    for (const gateway of gateways) refuseClash(holder, name, found, gateway);
  }
}

function refuseWide(gateway: Prefix): void {
  if (gateway.length > WIDE) return;
  throw refusal(
    `${formatPrefix(gateway)} makes most of the node's traffic go to the bridge`,
    'Correct the prefix length in "ipam".',
  );
}

function refuseClash(holder: Link | undefined, name: string, found: KernelAddress, gateway: Prefix): void {
  const { address, length, peer } = found;
  const isOwn = equalAddresses(address, gateway.address);
  const subnet = { address: peer ?? address, length };
  if (!isOwn && (!prefixContains(subnet, gateway.address) || isNamedIn(subnet, gateway))) return;
  const other = getLink(ownNamespace().route, found.index);
  if (other?.name === name) return;
  // Its traffic is looked up in other tables.
  if (other === undefined || vrfOf(other) !== vrfOf(holder)) return;
  if (isOwn) {
    throw refusal(
      `${formatAddress(address)} is an address of this node, on ${other.name}`,
      'Use another subnet or gateway in "ipam".',
    );
  }
  throw refusal(
    `${formatPrefix(gateway)} is in the subnet ${formatPrefix(subnet)} of ${other.name}`,
    `The node reaches this address through ${other.name}. Use another subnet in "ipam". To allow the subnet, list it in bridges.gateways in ${FILE}.`,
  );
}

/** The administrator has named a part of this very subnet. */
function isNamedIn(subnet: Prefix, gateway: Prefix): boolean {
  const listed = policy().bridges.gateways ?? [];
  return listed.some((entry) => isWithin(gateway, entry) && isWithin(entry, subnet));
}

function vrfOf(link: Link | undefined): number {
  if (link?.kind === "vrf") return link.index;
  return link?.slaveKind === "vrf" ? link.master : 0;
}

/** Kinds of ports behind which there is a pod or a virtual machine. */
const PORTS_OF_PODS = ["veth", "tun"];

/** forceAddress takes an address away from `holder`: not one that the node lives on. `isOurs`: an ADD made it. */
export function refuseToRemove(holder: Link, isOurs: boolean, removed: Prefix): void {
  const { route } = ownNamespace();
  const what = `forceAddress: ${formatPrefix(removed)} on ${holder.name} is the node's own`;
  const cure = 'Use another bridge, or remove "forceAddress".';
  const use = usedByNode(route, holder, relevantRoutes(route, holder.index));
  if (use !== undefined)
    throw new Failure("invalid config", what, `${holder.name} carries ${describeRoute(use.route)}. ${cure}`);
  // The Go plugin's interface in a VLAN is a veth.
  if (isOurs || holder.kind === "veth") return;
  const port = listLinks(route).find(({ master, kind }) => master === holder.index && !PORTS_OF_PODS.includes(kind));
  const why =
    holder.kind === "bridge"
      ? port && `${port.name}, a port of ${holder.name}, does not lead to a pod`
      : "podnic did not create it";
  if (why !== undefined) throw new Failure("invalid config", what, `${why}. ${cure}`);
}

function refusal(what: string, cure: string): Failure {
  return new Failure("invalid config", `isGateway: ${what}`, cure);
}
