// Decides which addresses isGateway may add to the node. The author of a network can be a tenant. The node's policy lists the allowed subnets
// (bridges.gateways). Without this list, addresses that would harm the node are refused. Changes nothing.
import type { Call } from "../../src/cni/plugin.ts";
import { policy } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress, formatPrefix, type Prefix, parsePrefix } from "../../src/ip/address.ts";
import { equalAddresses, isWithin, prefixContains } from "../../src/ip/range.ts";
import { type KernelAddress, listAddresses } from "../../src/link/address.ts";
import { getLink, type Link, listLinks, listLinksOfKind } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { devicesOf, lookUpRoute, relevantRoutes, WIDE } from "../../src/link/route.ts";
import { describeRoute, usedByNode } from "../../src/link/uplink.ts";
import { RT_SCOPE_LINK, RTN_UNICAST } from "../../src/netlink/constants.ts";
import { isListed } from "../../src/plugin/device-list.ts";
import { isNetworkInAlias } from "../../src/plugin/hash.ts";
import { ownerOf } from "./alias.ts";

const FILE = "/etc/cni/podnic.json";

/** The policy's word. Throws Failure("invalid config"). */
export function refuseUnlisted(gateways: Prefix[]): void {
  const { gateways: listed } = policy().bridges;
  if (listed === undefined) return;
  const unlisted = gateways.find((gateway) => !listed.some((entry) => isWithin(gateway, entry)));
  if (unlisted === undefined) return;
  throw refusal(
    `${formatPrefix(unlisted)} is not in any subnet that this node allows for gateways`,
    `bridges.gateways in ${FILE} must list this subnet, or a larger one. Use a listed subnet in "ipam", or remove "isGateway".`,
  );
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
  if (vrfOf(holder) === 0) for (const gateway of gateways) refuseReached(holder, name, gateway);
}

/** What no one else's traffic goes to: RFC 1918, 6598, 2544, 3927, 4193, loopback's and documentation's. */
const PRIVATE = [
  ...[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "169.254.0.0/16",
    "127.0.0.0/8",
  ],
  ...["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "fc00::/7", "2001:db8::/32"],
].map((text) => parsePrefix(text)!);
/** Bits of the largest subnet of public addresses that somebody may have for pods. */
const PUBLIC = { 4: 16, 6: 32 };

/** All of it is somebody's traffic, or nobody's address: this network, multicast, reserved; RFC 6052, 8215, 3056, 4380. */
const SPECIAL = [
  ...["0.0.0.0/8", "224.0.0.0/3", "::/8", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "ff00::/8"],
].map((text) => parsePrefix(text)!);

/** Without the node's word. */
export function refuseWide(gateway: Prefix): void {
  const named = gateway.length > WIDE && policy().bridges.gateways !== undefined;
  if (named) return;
  if (gateway.length < PUBLIC[gateway.address.family] && !PRIVATE.some((subnet) => isWithin(gateway, subnet)))
    throw refusal(
      `${formatPrefix(gateway)} would make the node send its traffic for public addresses to the bridge`,
      `Correct the prefix length in "ipam". To allow the subnet, list it in bridges.gateways in ${FILE}.`,
    );
  if (SPECIAL.some((subnet) => isWithin(gateway, subnet) || isWithin(subnet, gateway)))
    throw refusal(
      `${formatPrefix(gateway)} is in a reserved or multicast range, or in a range of addresses that are translated to IPv4`,
      `Use another subnet in "ipam". To allow the subnet, list it in bridges.gateways in ${FILE}.`,
    );
}

/**
 * By the kernel's own answer: an address that the node has without a subnet around it, or that a route without a gateway leads to, such as
 * a pod's, or a route no wider than the subnet.
 */
function refuseReached(holder: Link | undefined, name: string, gateway: Prefix): void {
  const { route } = ownNamespace();
  const found = lookUpRoute(route, gateway.address);
  if (found === undefined || found.dst.length === 0) return;
  const direct = found.nexthops.every((hop) => hop.gateway === undefined);
  if (found.type === RTN_UNICAST && !direct && found.dst.length < gateway.length) return;
  if (isNamedIn(found.dst, gateway)) return;
  const device = devicesOf(route, found)[0];
  const other = device === undefined ? undefined : getLink(route, device);
  if (other === undefined || other.index === holder?.index || other.name === name) return;
  throw refusal(
    `the node has a route to ${formatPrefix(found.dst)} over ${other.name}`,
    `The node reaches ${formatAddress(gateway.address)} through ${other.name}. Use another subnet in "ipam". To allow the subnet, list it in bridges.gateways in ${FILE}.`,
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
      `this node already has ${formatAddress(address)}, on ${other.name}`,
      'Use another subnet or gateway in "ipam".',
    );
  }
  throw refusal(
    `${formatPrefix(gateway)} is in the subnet ${formatPrefix(subnet)} of ${other.name}`,
    `The node reaches this address through ${other.name}. Use another subnet in "ipam". To allow the subnet, list it in bridges.gateways in ${FILE}.`,
  );
}

/** The administrator has named a part of this very subnet. All of it is how the network that has it is named. */
function isNamedIn(subnet: Prefix, gateway: Prefix): boolean {
  const listed = policy().bridges.gateways ?? [];
  return listed.some((entry) => entry.length > subnet.length && isWithin(gateway, entry) && isWithin(entry, subnet));
}

function vrfOf(link: Link | undefined): number {
  if (link?.kind === "vrf") return link.index;
  return link?.slaveKind === "vrf" ? link.master : 0;
}

/** Kinds of ports behind which there is a pod or a virtual machine. */
const PORTS_OF_PODS = ["veth", "tun"];

/** forceAddress takes the gateway away from the pods of other networks: only where the administrator allows it. `isUser`: the port has this gateway. */
export function refuseToTake(
  { attachment }: Call,
  bridge: Link,
  removed: Prefix,
  isUser: (port: Link) => boolean,
): void {
  if (isListed(bridge, policy().bridges.forceAddress)) return;
  for (const port of listLinksOfKind(ownNamespace().route, "veth")) {
    const owner = port.master === bridge.index ? ownerOf(port.alias) : undefined;
    if (owner === undefined || isNetworkInAlias(owner.network, attachment.network) || !isUser(port)) continue;
    throw new Failure(
      "invalid config",
      `forceAddress: pods of network ${owner.network} on ${bridge.name} might use the gateway ${formatPrefix(removed)}`,
      `Use another bridge, or the subnet of that network. To allow forceAddress on this bridge, list the bridge in bridges.forceAddress in ${FILE}.`,
    );
  }
}

/** forceAddress takes an address away from `holder`: not one that the node lives on. `isOurs`: an ADD made it. */
export function refuseToRemove(holder: Link, isOurs: boolean, removed: Prefix): void {
  const { route } = ownNamespace();
  const what = `forceAddress: the node itself uses ${formatPrefix(removed)} on ${holder.name}`;
  const cure = 'Use another bridge, or remove "forceAddress".';
  const use = usedByNode(route, holder, relevantRoutes(route, holder.index));
  if (use !== undefined)
    throw new Failure("invalid config", what, `${holder.name} carries ${describeRoute(use.route)}. ${cure}`);
  // The Go plugin's interface in a VLAN is a veth.
  if (isOurs || holder.kind === "veth") return;
  const port = listLinks(route).find(({ master, kind }) => master === holder.index && !PORTS_OF_PODS.includes(kind));
  const why =
    holder.kind === "bridge"
      ? port && `${port.name}, a port of ${holder.name}, is not a veth or tap interface, so it does not belong to a pod`
      : "podnic did not create it";
  if (why !== undefined) throw new Failure("invalid config", what, `${why}. ${cure}`);
}

function refusal(what: string, cure: string): Failure {
  return new Failure("invalid config", `isGateway: ${what}`, cure);
}
