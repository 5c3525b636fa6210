// The node's neighbours: whom it has found behind which interface, with which MAC address.
import type { Address } from "../ip/address.ts";
import { parseMac } from "../ip/mac.ts";
import { equalAddresses } from "../ip/range.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import { NDA_LLADDR, RTM_GETNEIGH } from "../netlink/constants.ts";
import { NEIGHBOUR_HEADER, readNeighbour, writeNeighbour } from "../netlink/neighbour.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { relevantRoutes } from "./route.ts";

export interface Neighbour {
  index: number;
  address: Address;
}

/** Those that have a MAC address. One that did not answer has none. */
export function listNeighbours(route: RouteSocket, mac: string): Neighbour[] {
  const wanted = parseMac(mac)!;
  // Of all families.
  const write = (writer: Writer) => writeNeighbour(writer, { family: 0, index: 0, state: 0, flags: 0, attributes: {} });
  const read = (from: Bytes, start: number, end: number): Neighbour | undefined => {
    const [at, to] = findAttribute(from, start + NEIGHBOUR_HEADER, end, NDA_LLADDR, 0) ?? [0, 0];
    if (to - at !== wanted.length || wanted.some((byte, n) => from.u8[at + n] !== byte)) return undefined;
    const { index, attributes } = readNeighbour(from, start, end);
    const bytes = attributes.destination;
    if (bytes?.length !== 4 && bytes?.length !== 16) return undefined;
    return { index, address: { family: bytes.length === 4 ? 4 : 6, bytes } };
  };
  return route.dump("ip neigh show", RTM_GETNEIGH, write, read).items;
}

/** The one of these to which a route of the node leads. */
export function findGateway(route: RouteSocket, neighbours: Neighbour[]): Neighbour | undefined {
  const hops = relevantRoutes(route, ...new Set(neighbours.map(({ index }) => index))).flatMap(
    ({ nexthops }) => nexthops,
  );
  return neighbours.find(({ index, address }) =>
    hops.some(({ ifIndex, gateway }) => ifIndex === index && gateway !== undefined && equalAddresses(gateway, address)),
  );
}
