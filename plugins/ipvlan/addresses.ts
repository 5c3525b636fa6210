// Refuses addresses that an ipvlan interface cannot have. In every mode, the kernel passes each packet for the interface's address that arrives on
// the master to the interface, before the node sees the packet. So an address that the node itself answers, or to which it forwards for a pod, must
// not be among them.

import type { IpConfig } from "../../src/cni/result.ts";
import { policy } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { type Address, formatAddress, formatPrefix } from "../../src/ip/address.ts";
import { getLink, type Link, listLinks } from "../../src/link/link.ts";
import { type Master, UPPERS } from "../../src/link/master.ts";
import { devicesOf, type KernelRoute, lookUpRoute } from "../../src/link/route.ts";
import { isLinkLocal } from "../../src/link/tunnel.ts";
import { RTN_UNICAST } from "../../src/netlink/constants.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { isListed } from "../../src/plugin/device-list.ts";

/** Kinds of bridge ports that lead to a pod or a virtual machine, or nowhere. */
const PORTS_OF_PODS = ["veth", "tun", "dummy"];

/**
 * Throws Failure("invalid config") if the kernel's own route lookup says that the node needs packets for one of the addresses. `master` is on the
 * host.
 */
export function refuseAddresses({ link: master, namespace: { route } }: Master, ips: IpConfig[]): void {
  const vrf = master.slaveKind === "vrf" ? master.master : 0;
  for (const { address } of ips) {
    // Each link has its own link-local addresses.
    const found = lookUpRoute(route, address.address, isLinkLocal(address.address) ? master.index : vrf);
    if (found === undefined) continue;
    if (found.type !== RTN_UNICAST)
      throw refusal(address.address, "this node itself receives packets for this address", "");
    const device = deviceOfPods(route, master, found);
    if (device === undefined || isListed(master, policy().devices.allow)) continue;
    const allow = ` To allow such addresses, add "${master.name}" to devices.allow in /etc/cni/podnic.json on this node.`;
    throw refusal(address.address, `this node has a route to ${formatPrefix(found.dst)} over ${device.name}`, allow);
  }
}

function refusal(address: Address, why: string, allow: string): Failure {
  return new Failure(
    "invalid config",
    `an ipvlan interface cannot have ${formatAddress(address)}: ${why}`,
    `The interface would receive all packets for this address that arrive on the master. Use another address in "ipam".${allow}`,
  );
}

/**
 * The device to which a route for this single address, or for a subnet of pods, leads. undefined: the route leads to the master or an interface on
 * it, or to the network outside.
 */
function deviceOfPods(route: RouteSocket, master: Link, found: KernelRoute): Link | undefined {
  const { dst, nexthops } = found;
  const isSingle = dst.length === dst.address.bytes.length * 8;
  if (!isSingle && nexthops.some(({ gateway }) => gateway !== undefined)) return undefined;
  const base = UPPERS.includes(master.kind) ? master.parent : master.index;
  for (const index of devicesOf(route, found)) {
    if (index === master.index || index === base) continue;
    const device = getLink(route, index);
    if (device === undefined || (UPPERS.includes(device.kind) && device.parent === base)) continue;
    if (isSingle || isOfPods(route, device)) return device;
  }
  return undefined;
}

/** True for a bridge without a card. Another card may be in the same network as the master, but a bridge without a card is not. */
function isOfPods(route: RouteSocket, { kind, index }: Link): boolean {
  return (
    kind === "bridge" && listLinks(route).every(({ master, kind }) => master !== index || PORTS_OF_PODS.includes(kind))
  );
}
