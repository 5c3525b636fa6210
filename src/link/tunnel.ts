// Tunnels of the node that send their packets over a device. Even if a tunnel has an IFLA_LINK, this is not the device that it uses.

import { type Address, addressOf } from "../ip/address.ts";
import { equalAddresses } from "../ip/range.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { LINK_HEADER, writeLink } from "../netlink/link.ts";
import type { PayloadReader, RouteSocket } from "../netlink/socket.ts";
import { IFF_UP, type Link, toLink } from "./link.ts";
import { devicesOf, type KernelRoute, lookUpRoute } from "./route.ts";

/** Attributes with the local and the remote address, and with those of IPv6 where they have others. 0: none. */
type Ends = readonly number[];

const GRE: Ends = [6, 7];
const IPTUN: Ends = [2, 3];
const VTI: Ends = [4, 5];
const VXLAN: Ends = [4, 2, 17, 16];
/** Its local address is that of the route. */
const GENEVE: Ends = [0, 2, 0, 7];
/** Kinds whose IFLA_LINK is the device that they are bound to; Geneve is bound to none. */
const KINDS: { [kind: string]: Ends } = {
  ...{ gre: GRE, gretap: GRE, erspan: GRE, ip6gre: GRE, ip6gretap: GRE, ip6erspan: GRE },
  ...{ ipip: IPTUN, sit: IPTUN, ip6tnl: IPTUN, vti: VTI, vti6: VTI, xfrm: [], geneve: GENEVE },
};

/** A tunnel, and where it sends. */
interface Tunnel {
  link: Link;
  /** Of the device that it is bound to; 0: it sends as the routes say. */
  device: number;
  local: Address | undefined;
  remote: Address | undefined;
}

/**
 * A tunnel that sends over the device: one that is bound to it (`ip link add … dev DEVICE`), or that is bound to none and has an address of the
 * device, or its other end is reached over the device. undefined: none. The kernel deletes a VXLAN together with its routes when its device
 * leaves. `routes`: those of the node (relevantRoutes of the device).
 */
export function tunnelOver(route: RouteSocket, { index, flags }: Link, routes: KernelRoute[]): Link | undefined {
  const own = routes.filter((one) => one.type === c.RTN_LOCAL && devicesOf(route, one).includes(index));
  const isOver = ({ device, local, remote }: Tunnel): boolean => {
    if (device !== 0) return device === index;
    const isLocal = local !== undefined && own.some(({ dst }) => equalAddresses(dst.address, local));
    const way = isLocal || remote === undefined ? undefined : lookUpRoute(route, remote);
    return isLocal || (way !== undefined && devicesOf(route, way).includes(index));
  };
  const vxlan = vxlans(route).find(isOver);
  if (vxlan !== undefined) return vxlan.link;
  // The others need not be looked for among all links over a device that is down and without an address. (A tunnel's local address can be on
  // another device, such as lo.)
  const isUsed = (flags & IFF_UP) !== 0 || own.some(({ dst }) => !isLinkLocal(dst.address));
  return isUsed ? otherTunnels(route, index).find(isOver)?.link : undefined;
}

/** Every device that is up has a link-local address. */
export function isLinkLocal({ bytes: [first, second] }: Address): boolean {
  return first === 0xfe && (second! & 0xc0) === 0x80;
}

type Span = [start: number, end: number];

/** IFLA_INFO_DATA. */
function dataOf(bytes: Bytes, start: number, end: number): Span | undefined {
  const info = findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_LINKINFO, 0);
  return info && findAttribute(bytes, info[0], info[1], c.IFLA_INFO_DATA, 0);
}

/** The address in the first of these attributes that has one. */
function endIn(bytes: Bytes, [start, end]: Span, types: (number | undefined)[]): Address | undefined {
  for (const type of types) {
    const found = type && findAttribute(bytes, start, end, type, 4);
    if (!found) continue;
    const address = bytes.copy(found[0], found[1]);
    const isWhole = address.length === 4 || address.length === 16;
    if (isWhole && address.some((byte) => byte !== 0)) return addressOf(address);
  }
  return undefined;
}

/** `data`: of the link, in the answer. */
function toTunnel(link: Link, device: number, bytes: Bytes, data: Span, ends: Ends): Tunnel {
  const [local, remote, local6, remote6] = ends;
  return {
    link,
    device,
    local: endIn(bytes, data, [local, local6]),
    remote: endIn(bytes, data, [remote, remote6]),
  };
}

function vxlans(route: RouteSocket): Tunnel[] {
  const write = (writer: Writer) =>
    writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS, linkInfo: { kind: "vxlan" } });
  const read: PayloadReader<Tunnel | undefined> = (bytes, start, end) => {
    const data = dataOf(bytes, start, end);
    if (data === undefined) return undefined;
    const device = findAttribute(bytes, data[0], data[1], c.IFLA_VXLAN_LINK, 4);
    const link = toLink(bytes, start, end);
    return toTunnel(link, device === undefined ? 0 : bytes.u32[device[0] >> 2]!, bytes, data, VXLAN);
  };
  // A kernel without that kind gives all links.
  const found = route.dump("ip link show type vxlan", c.RTM_GETLINK, write, read).items;
  return found.filter(({ link }) => link.kind === "vxlan" && sendsHere(link));
}

/** Those of other kinds that are bound to the device or to none. All other links are read no further than that. */
function otherTunnels(route: RouteSocket, index: number): Tunnel[] {
  const read: PayloadReader<Tunnel | undefined> = (bytes, start, end) => {
    const on = findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_LINK, 4);
    const device = on === undefined ? 0 : bytes.u32[on[0] >> 2]!;
    if (device !== 0 && device !== index) return undefined;
    const data = dataOf(bytes, start, end);
    if (data === undefined) return undefined;
    const link = toLink(bytes, start, end);
    const ends = KINDS[link.kind];
    return ends && toTunnel(link, device, bytes, data, ends);
  };
  const write = (writer: Writer) => writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS });
  return route.dump("ip link show", c.RTM_GETLINK, write, read).items.filter(({ link }) => sendsHere(link));
}

/** A tunnel that was moved sends from the namespace in which it was made. */
const sendsHere = ({ linkNetnsid }: Link): boolean => linkNetnsid === undefined;
