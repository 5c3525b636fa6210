// RTM_*ROUTE messages: struct rtmsg and its attributes.
import { type Codec, Table, type Values } from "./attributes.ts";
import { align4, type Bytes, type Writer } from "./bytes.ts";
import { bytes, nested, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

/** RTA_VIA, struct rtvia: a gateway of another family than the route's. */
export interface Via {
  family: number;
  address: Uint8Array;
}

const via: Codec<Via> = {
  min: 2,
  write(writer, type, value) {
    const at = writer.attribute(type, 2 + value.address.length);
    writer.u16[at >> 1] = value.family;
    writer.u8.set(value.address, at + 2);
  },
  read: (from, start, end) => ({ family: from.u16[start >> 1]!, address: from.copy(start + 2, end) }),
};

const metrics = new Table("route metrics", {
  mtu: [c.RTAX_MTU, u32],
  advmss: [c.RTAX_ADVMSS, u32],
});

export type RouteMetrics = Values<typeof metrics.rows>;

const hopAttributes = new Table("next hop", {
  gateway: [c.RTA_GATEWAY, bytes],
  via: [c.RTA_VIA, via],
});

/** struct rtnexthop with its attributes. */
export interface NextHop {
  /** RTNH_F_*. */
  flags: number;
  /** Weight - 1. */
  hops: number;
  index: number;
  attributes: Values<typeof hopAttributes.rows>;
}

/** Size of struct rtnexthop. */
const HOP_HEADER = 8;

const multipath: Codec<NextHop[]> = {
  min: 0,
  write(writer, type, value) {
    const list = writer.open(type);
    for (const hop of value) {
      const start = writer.reserve(HOP_HEADER);
      writer.u8[start + 2] = hop.flags;
      writer.u8[start + 3] = hop.hops;
      writer.u32[(start >> 2) + 1] = hop.index;
      hopAttributes.write(writer, hop.attributes);
      writer.u16[start >> 1] = writer.length - start;
    }
    writer.close(list);
  },
  read(from, start, end, keep) {
    const hops: NextHop[] = [];
    let at = start;
    while (at < end) {
      const length = end - at < HOP_HEADER ? 0 : from.u16[at >> 1]!;
      if (length < HOP_HEADER || at + length > end) throw new ProtocolError(`next hop: bad length at ${at - start}`);
      hops.push({
        flags: from.u8[at + 2]!,
        hops: from.u8[at + 3]!,
        index: from.u32[(at >> 2) + 1]!,
        attributes: hopAttributes.read(from, at + HOP_HEADER, at + length, keep),
      });
      at += align4(length);
    }
    return hops;
  },
};

export const routeAttributes = new Table("route", {
  dst: [c.RTA_DST, bytes],
  oif: [c.RTA_OIF, u32],
  gateway: [c.RTA_GATEWAY, bytes],
  priority: [c.RTA_PRIORITY, u32],
  prefsrc: [c.RTA_PREFSRC, bytes],
  metrics: [c.RTA_METRICS, nested(metrics)],
  multipath: [c.RTA_MULTIPATH, multipath],
  table: [c.RTA_TABLE, u32],
  via: [c.RTA_VIA, via],
  nhId: [c.RTA_NH_ID, u32],
});

export type RouteAttributes = Values<typeof routeAttributes.rows>;

export interface RouteMessage {
  /** AF_INET or AF_INET6. */
  family: number;
  dstLength: number;
  srcLength: number;
  tos: number;
  /** Tables above 255 are in RTA_TABLE. */
  table: number;
  protocol: number;
  scope: number;
  type: number;
  /** RTM_F_* and RTNH_F_* bits. */
  flags: number;
  attributes: RouteAttributes;
}

/** Size of struct rtmsg. */
export const ROUTE_HEADER = 12;

/** Asks for all routes of a family in a table; 0: in any. */
export function writeRouteQuery(writer: Writer, family: number, table: number, oif = 0): void {
  const start = writer.reserve(ROUTE_HEADER);
  writer.u8[start] = family;
  if (table < 256) writer.u8[start + 4] = table;
  if (table !== 0) u32.write(writer, c.RTA_TABLE, table);
  if (oif !== 0) u32.write(writer, c.RTA_OIF, oif);
}

export function writeRoute(writer: Writer, message: RouteMessage): void {
  writeRouteHeader(writer, message);
  routeAttributes.write(writer, message.attributes);
}

export function writeRouteAttributes(writer: Writer, attributes: RouteAttributes): void {
  routeAttributes.write(writer, attributes);
}

/** What attributes follow. */
export function writeRouteHeader(writer: Writer, message: Omit<RouteMessage, "attributes">): void {
  const start = writer.room(ROUTE_HEADER);
  const { u8 } = writer;
  u8[start] = message.family;
  u8[start + 1] = message.dstLength;
  u8[start + 2] = message.srcLength;
  u8[start + 3] = message.tos;
  u8[start + 4] = message.table;
  u8[start + 5] = message.protocol;
  u8[start + 6] = message.scope;
  u8[start + 7] = message.type;
  writer.u32[(start >> 2) + 2] = message.flags;
}

/** RTN_* of a route, of which nothing else is read. */
export function readRouteType(from: Bytes, start: number, end: number): number {
  if (end - start < ROUTE_HEADER) throw new ProtocolError(`route: message has ${end - start} bytes`);
  return from.u8[start + 7]!;
}

export function readRoute(from: Bytes, start: number, end: number, keep = false): RouteMessage {
  if (end - start < ROUTE_HEADER) throw new ProtocolError(`route: message has ${end - start} bytes`);
  return {
    family: from.u8[start]!,
    dstLength: from.u8[start + 1]!,
    srcLength: from.u8[start + 2]!,
    tos: from.u8[start + 3]!,
    table: from.u8[start + 4]!,
    protocol: from.u8[start + 5]!,
    scope: from.u8[start + 6]!,
    type: from.u8[start + 7]!,
    flags: from.u32[(start >> 2) + 2]!,
    attributes: routeAttributes.read(from, start + ROUTE_HEADER, end, keep),
  };
}
