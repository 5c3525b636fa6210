// Tunnels of the node that send their packets over a device. Even if a tunnel has an IFLA_LINK, this is not the device that it uses.

import { findAttribute } from "../netlink/attributes.ts";
import type { Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { LINK_HEADER, writeLink } from "../netlink/link.ts";
import type { PayloadReader, RouteSocket } from "../netlink/socket.ts";
import { IFF_UP, type Link, listLinksOn, toLink } from "./link.ts";
import { devicesOf, type KernelRoute } from "./route.ts";

/** Kinds whose IFLA_LINK is the device that they are bound to. */
const BOUND = [
  ...["gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan"],
  ...["ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm"],
];

/**
 * A tunnel that is bound to the device (`ip link add … dev DEVICE`); undefined: none. The kernel deletes a VXLAN together with its routes when
 * its device leaves. `routes`: those of the node (relevantRoutes of the device).
 */
export function tunnelOver(route: RouteSocket, { index, flags }: Link, routes: KernelRoute[]): Link | undefined {
  const vxlan = vxlanOver(route, index);
  if (vxlan !== undefined) return vxlan;
  // The others need not be looked for among all links over a device that is down and without an address. (A tunnel's local address can be on
  // another device, such as lo.)
  const isUsed =
    (flags & IFF_UP) !== 0 || routes.some((one) => isOwnAddress(one) && devicesOf(route, one).includes(index));
  return isUsed ? listLinksOn(route, index).find(({ kind }) => BOUND.includes(kind)) : undefined;
}

/** Every device that is up has a link-local address. */
function isOwnAddress({ type, dst }: KernelRoute): boolean {
  const [first, second] = dst.address.bytes;
  return type === c.RTN_LOCAL && !(first === 0xfe && (second! & 0xc0) === 0x80);
}

function vxlanOver(route: RouteSocket, index: number): Link | undefined {
  const write = (writer: Writer) =>
    writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS, linkInfo: { kind: "vxlan" } });
  const read: PayloadReader<Link | undefined> = (bytes, start, end) => {
    const info = findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_LINKINFO, 0);
    const data = info && findAttribute(bytes, info[0], info[1], c.IFLA_INFO_DATA, 0);
    const device = data && findAttribute(bytes, data[0], data[1], c.IFLA_VXLAN_LINK, 4);
    return device !== undefined && bytes.u32[device[0] >> 2] === index ? toLink(bytes, start, end) : undefined;
  };
  // A kernel without that kind gives all links.
  const found = route.dump("ip link show type vxlan", c.RTM_GETLINK, write, read).items;
  return found.find(({ kind, linkNetnsid }) => kind === "vxlan" && linkNetnsid === undefined);
}
