// Routes: `ip route add`, `ip route show`.
import { AF_INET, AF_INET6 } from "../host/constants.ts";
import { type Address, type Family, formatAddress, type Prefix } from "../ip/address.ts";
import { networkPrefix, prefixContains } from "../ip/range.ts";
import { findAttribute, type Unknown } from "../netlink/attributes.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import { bytes, u32 } from "../netlink/codecs.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import type { Operation } from "../netlink/message.ts";
import { readNexthop, writeNexthopQuery } from "../netlink/nexthop.ts";
import {
  type NextHop,
  ROUTE_HEADER,
  type RouteAttributes,
  type RouteMetrics,
  readRoute,
  readRouteType,
  writeRoute,
  writeRouteAttributes,
  writeRouteHeader,
  writeRouteQuery,
} from "../netlink/route.ts";
import type { PayloadReader, RouteSocket } from "../netlink/socket.ts";

/** A route as CNI results describe it. */
export interface RouteSpec {
  dst: Prefix;
  gw?: Address;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

/** A route as the kernel has it. */
export interface KernelRoute {
  family: Family;
  dst: Prefix;
  tos: number;
  table: number;
  protocol: number;
  scope: number;
  /** RTN_*: 1 is unicast. */
  type: number;
  priority: number;
  /** Source address of what is sent over it (`src`). */
  prefsrc: Address | undefined;
  metrics: RouteMetrics;
  /** What we have no name for (RTA_*): that of senders it is for (of `srcLength` bits), of an encapsulation. */
  unknown: Unknown[];
  srcLength: number;
  /** For a simple route: it was not checked whether an address covers the gateway. */
  onlink: boolean;
  /** One entry for a simple route, several for a multipath one. */
  nexthops: { ifIndex: number; gateway: Address | undefined; weight: number; onlink?: boolean }[];
  /** Nexthop object (`ip nexthop`) the route uses. */
  nexthopId: number | undefined;
}

type Hop = KernelRoute["nexthops"][number];

function addressFamily(family: Family): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function toAddress(family: number, bytes: Uint8Array): Address {
  return { family: family === AF_INET ? 4 : 6, bytes };
}

function gatewayOf(family: number, a: NextHop["attributes"]): Address | undefined {
  if (a.gateway !== undefined) return toAddress(family, a.gateway);
  return a.via === undefined ? undefined : toAddress(a.via.family, a.via.address);
}

function hopsOf(family: number, a: RouteAttributes): Hop[] {
  if (a.multipath !== undefined) {
    return a.multipath.map((hop) => ({
      ifIndex: hop.index,
      gateway: gatewayOf(family, hop.attributes),
      weight: hop.hops + 1,
      ...((hop.flags & c.RTNH_F_ONLINK) === 0 ? undefined : { onlink: true }),
    }));
  }
  if (a.oif === undefined) return [];
  return [{ ifIndex: a.oif, gateway: gatewayOf(family, a), weight: 1 }];
}

/** undefined for what a dump brings that is no route: cached exceptions. */
function toRoute(bytes: Bytes, start: number, end: number): KernelRoute | undefined {
  const cached = end - start >= ROUTE_HEADER && (bytes.u32[(start >> 2) + 2]! & c.RTM_F_CLONED) !== 0;
  return cached ? undefined : fromMessage(bytes, start, end);
}

function fromMessage(bytes: Bytes, start: number, end: number): KernelRoute {
  const message = readRoute(bytes, start, end, true);
  const { family, attributes: a } = message;
  const zero = new Uint8Array(family === AF_INET ? 4 : 16);
  return {
    family: family === AF_INET ? 4 : 6,
    dst: { address: toAddress(family, a.dst ?? zero), length: message.dstLength },
    tos: message.tos,
    table: a.table ?? message.table,
    protocol: message.protocol,
    scope: message.scope,
    type: message.type,
    priority: a.priority ?? 0,
    prefsrc: a.prefsrc && toAddress(family, a.prefsrc),
    metrics: a.metrics ?? {},
    unknown: a.unknown ?? [],
    srcLength: message.srcLength,
    onlink: (message.flags & c.RTNH_F_ONLINK) !== 0,
    nexthops: hopsOf(family, a),
    nexthopId: a.nhId,
  };
}

/** Larger ones are in an attribute. */
const headerTable = (table: number): number => (table < 256 ? table : c.RT_TABLE_UNSPEC);

function header(family: number, table: number) {
  return {
    family,
    dstLength: 0,
    srcLength: 0,
    tos: 0,
    table: headerTable(table),
    protocol: 0,
    scope: 0,
    type: 0,
    flags: 0,
  };
}

/** Routes of one family in one table (254 is main); table 0 is all of them. A table that does not exist has none. */
export function listRoutes(route: RouteSocket, family: Family, table: number = c.RT_TABLE_MAIN): KernelRoute[] {
  return dumpRoutes(route, family, table, () => true);
}

/** Routes in any table to the prefix or to a part of it. */
export function listRoutesWithin(route: RouteSocket, prefix: Prefix): KernelRoute[] {
  const { family, bytes: address } = prefix.address;
  return dumpRoutes(route, family, 0, (bytes, start, end) => {
    if (end - start < ROUTE_HEADER) return true;
    if (bytes.u8[start + 1]! < prefix.length) return false;
    const dst = findAttribute(bytes, start + ROUTE_HEADER, end, c.RTA_DST, address.length);
    return dst !== undefined && prefixContains(prefix, { family, bytes: bytes.u8.subarray(dst[0], dst[1]) });
  });
}

/**
 * All that is asked about a node's routes, in one dump of each family: the routes over these devices, and of those over the others what
 * leads away from the node (default routes, their halves, and routes with a gateway), one for each device and table, and IPv4's that somebody
 * gave a source address: they go with the device that has it. A node may have a hundred thousand: of the rest nothing is decoded but the device and
 * the table.
 */
export function relevantRoutes(route: RouteSocket, ...indexes: number[]): KernelRoute[] {
  return ([4, 6] as const).flatMap((family) => {
    const seen = new Set<string>();
    return dumpRoutes(route, family, 0, (bytes, start, end) => isRelevant(bytes, start, end, indexes, seen));
  });
}

/**
 * Whether a route to the subnet of an address still leads through its device: the kernel's, or one that replaces it, in any table (a VRF and sbr have
 * their own). The kernel makes none to a single address, nor in IPv4 to 0.0.0.0/8.
 */
export function isConnected(route: RouteSocket, index: number, address: Prefix): boolean {
  const subnet = networkPrefix(address);
  const { family, bytes } = subnet.address;
  if (subnet.length === bytes.length * 8 || (family === 4 && bytes[0] === 0)) return true;
  let found = false;
  const read = (from: Bytes, start: number, end: number): undefined => {
    if (found || end - start < ROUTE_HEADER) return;
    if (from.u8[start + 1] !== subnet.length || from.u8[start + 7] !== c.RTN_UNICAST) return;
    const attributes = start + ROUTE_HEADER;
    const oif = findAttribute(from, attributes, end, c.RTA_OIF, 4);
    // Several next hops, or a nexthop object.
    if (oif !== undefined && from.u32[oif[0] >> 2] !== index) return;
    const dst = findAttribute(from, attributes, end, c.RTA_DST, bytes.length);
    found = dst !== undefined && bytes.every((byte, n) => from.u8[dst[0] + n] === byte);
  };
  // Since Linux 4.20, the kernel tells only of the device's.
  const write = (writer: Writer) => writeRouteQuery(writer, addressFamily(family), 0, index);
  route.dump(`ip -${family} route show table 0 dev ${index}`, c.RTM_GETROUTE, write, read);
  return found;
}

/** Bits of the longest prefix that may lead to half of the world. */
export const WIDE = 4;
/** Of the longest of which a few may do so together. */
const SPLIT = 8;

/** `seen` has the devices and tables of which one was chosen. */
function isRelevant(bytes: Bytes, start: number, end: number, indexes: number[], seen: Set<string>): boolean {
  if (end - start < ROUTE_HEADER) return true;
  const attributes = start + ROUTE_HEADER;
  const found = findAttribute(bytes, attributes, end, c.RTA_OIF, 4);
  const device = found === undefined ? 0 : bytes.u32[found[0] >> 2]!;
  if (device !== 0 && indexes.includes(device)) return true;
  if (bytes.u8[start + 7] !== c.RTN_UNICAST) return false;
  // Several next hops, or a nexthop object.
  if (device === 0) return true;
  const isOthers = bytes.u8[start] === AF_INET && bytes.u8[start + 5] !== c.RTPROT_KERNEL;
  if (isOthers && findAttribute(bytes, attributes, end, c.RTA_PREFSRC, 4) !== undefined) return true;
  const table = findAttribute(bytes, attributes, end, c.RTA_TABLE, 4);
  const number = table === undefined ? bytes.u8[start + 4] : bytes.u32[table[0] >> 2];
  const key = `${device} ${number} ${bytes.u8[start + 5] === c.RTPROT_RA}`;
  const isWide = bytes.u8[start + 1]! <= SPLIT;
  if (seen.has(key) && !isWide) return false;
  const via =
    findAttribute(bytes, attributes, end, c.RTA_GATEWAY, 0) !== undefined ||
    findAttribute(bytes, attributes, end, c.RTA_VIA, 0) !== undefined;
  if (via) seen.add(key);
  return via || isWide;
}

/** Errors that say that there is no way (no route, `unreachable`, `prohibit`, `blackhole`; no such protocol), and none that it is not known. */
const NO_WAY = ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL", "ENETDOWN", "EAFNOSUPPORT", "EOPNOTSUPP"];

/**
 * `ip route get fibmatch`: the route that the node's own packets to `to` take, when nobody has chosen a source address or a device for them. `vrf`: its
 * device, to look the route up in there.
 */
export function lookUpRoute(route: RouteSocket, to: Address, vrf = 0): KernelRoute | undefined {
  return askRoute(route, to, fromMessage, vrf);
}

/** Whether an address is one of the node's own: of its route, all else stays unread. */
export function isNodesOwn(route: RouteSocket, address: Address): boolean {
  return askRoute(route, address, readRouteType) === c.RTN_LOCAL;
}

function askRoute<T>(route: RouteSocket, to: Address, read: PayloadReader<T>, vrf = 0): T | undefined {
  const family = addressFamily(to.family);
  const dstLength = to.bytes.length * 8;
  const write = (writer: Writer) =>
    writeRoute(writer, {
      ...header(family, 0),
      dstLength,
      // Of IPv6 the answer says the table anyway, and that it should is an invalid request.
      flags: c.RTM_F_FIB_MATCH | (to.family === 4 ? c.RTM_F_LOOKUP_TABLE : 0),
      attributes: vrf === 0 ? { dst: to.bytes } : { dst: to.bytes, oif: vrf },
    });
  try {
    return route.get(`ip route get fibmatch ${formatAddress(to)}`, c.RTM_GETROUTE, write, read);
  } catch (error) {
    if (error instanceof NetlinkError && NO_WAY.includes(error.code)) return undefined;
    throw error;
  }
}

function dumpRoutes(
  route: RouteSocket,
  family: Family,
  table: number,
  wanted: (bytes: Bytes, start: number, end: number) => boolean,
): KernelRoute[] {
  const write = (writer: Writer) => writeRouteQuery(writer, addressFamily(family), table);
  // The kernel filters by table since 4.20; before it gives all.
  const read = (bytes: Bytes, start: number, end: number) => {
    if (!wanted(bytes, start, end)) return undefined;
    const found = toRoute(bytes, start, end);
    return found?.family === family && (table === 0 || found.table === table) ? found : undefined;
  };
  try {
    return route.dump(`ip -${family} route show table ${table}`, c.RTM_GETROUTE, write, read).items;
  } catch (error) {
    // A filter by a table that was never used.
    if (error instanceof NetlinkError && error.code === "ENOENT") return [];
    throw error;
  }
}

/** One next hop of a route to add. */
export interface NewHop {
  gateway: Address | undefined;
  /** Do not ask whether an address covers the gateway (RTNH_F_ONLINK). */
  onlink: boolean;
  /** Through another device than the route's. */
  index?: number | undefined;
  /** Of several: 1 when absent. */
  weight?: number | undefined;
}

export interface NewRoute {
  /** Host bits are clear. */
  dst: Prefix;
  table: number;
  scope: number;
  /** 0: the kernel's default. */
  priority: number;
  metrics: RouteMetrics | undefined;
  /** RTPROT_*; RTPROT_BOOT when absent, as `ip` and the Go plugins have it. */
  protocol?: number;
  /** RTN_*; unicast when absent. */
  type?: number | undefined;
  tos?: number | undefined;
  srcLength?: number | undefined;
  prefsrc?: Address | undefined;
  unknown?: Unknown[];
  /** At least one; several make a multipath route. */
  hops: NewHop[];
}

function hopAttributes(family: Family, hop: NewHop): NextHop["attributes"] {
  if (hop.gateway === undefined) return {};
  if (hop.gateway.family === family) return { gateway: hop.gateway.bytes };
  return { via: { family: addressFamily(hop.gateway.family), address: hop.gateway.bytes } };
}

/** Begins `ip route append …` through the device `index`; flags as the Go plugins send them (CREATE, no EXCL). */
export function beginAddRoute(route: RouteSocket, operation: Operation, index: number, spec: NewRoute): void {
  const { dst, table, priority, hops, prefsrc, metrics, unknown = [] } = spec;
  const family = dst.address.family;
  const writer = route.begin(operation, c.RTM_NEWROUTE, c.NLM_F_CREATE);
  const single = hops.length === 1 ? hops[0]! : undefined;
  writeRouteHeader(writer, {
    family: addressFamily(family),
    dstLength: dst.length,
    srcLength: spec.srcLength ?? 0,
    tos: spec.tos ?? 0,
    table: headerTable(table),
    protocol: spec.protocol ?? c.RTPROT_BOOT,
    scope: spec.scope,
    type: spec.type ?? c.RTN_UNICAST,
    flags: single?.onlink === true ? c.RTNH_F_ONLINK : 0,
  });
  if (dst.length > 0) bytes.write(writer, c.RTA_DST, dst.address.bytes);
  if (single !== undefined && single.gateway?.family === family)
    bytes.write(writer, c.RTA_GATEWAY, single.gateway.bytes);
  if (priority !== 0) u32.write(writer, c.RTA_PRIORITY, priority);
  if (table > 255) u32.write(writer, c.RTA_TABLE, table);
  if (single !== undefined) u32.write(writer, c.RTA_OIF, single.index ?? index);
  if (prefsrc !== undefined) bytes.write(writer, c.RTA_PREFSRC, prefsrc.bytes);
  // Seldom there.
  if (single === undefined || metrics !== undefined || (single.gateway && single.gateway.family !== family)) {
    writeRouteAttributes(writer, {
      via: single && hopAttributes(family, single).via,
      metrics,
      multipath: single === undefined ? newHops(family, index, hops) : undefined,
    });
  }
  for (const { type, value } of unknown) bytes.write(writer, type, value);
}

/** Begins `ip route del …` of exactly this route, which was learnt or made by somebody else. */
export function beginDeleteRoute(route: RouteSocket, operation: string, index: number, found: KernelRoute): void {
  const hop = found.nexthops[0];
  const writer = route.begin(operation, c.RTM_DELROUTE, 0);
  writeRoute(writer, {
    ...header(addressFamily(found.family), found.table),
    dstLength: found.dst.length,
    protocol: found.protocol,
    type: found.type,
    attributes: {
      dst: found.dst.length === 0 ? undefined : found.dst.address.bytes,
      gateway: hop?.gateway?.bytes,
      priority: found.priority,
      table: found.table < 256 ? undefined : found.table,
      oif: index,
    },
  });
}

function newHops(family: Family, index: number, hops: NewHop[]): NextHop[] {
  return hops.map((hop) => ({
    flags: hop.onlink ? c.RTNH_F_ONLINK : 0,
    hops: (hop.weight ?? 1) - 1,
    index: hop.index ?? index,
    attributes: hopAttributes(family, hop),
  }));
}

/** Devices of a route, in order; those of its nexthop object when the kernel gives only its id (nexthop_compat_mode 0). */
export function devicesOf(route: RouteSocket, found: KernelRoute): number[] {
  const devices = found.nexthops.map((hop) => hop.ifIndex).filter((index) => index !== 0);
  if (devices.length > 0 || found.nexthopId === undefined) return devices;
  return nexthopDevices(route, found.nexthopId, true);
}

function nexthopDevices(route: RouteSocket, id: number, groups: boolean): number[] {
  const nexthop = route.get(
    `ip nexthop show id ${id}`,
    c.RTM_GETNEXTHOP,
    (writer) => writeNexthopQuery(writer, id),
    readNexthop,
  );
  if (nexthop.oif !== undefined) return [nexthop.oif];
  // Groups hold no groups.
  return groups ? (nexthop.group ?? []).flatMap((member) => nexthopDevices(route, member, false)) : [];
}

/** A default route that leads somewhere (not blackhole or unreachable). */
function isDefault({ type, dst }: KernelRoute): boolean {
  return dst.length === 0 && type === c.RTN_UNICAST;
}

/** Device of the best default route (lowest metric, IPv4 before IPv6, unicast, first next hop with a device). undefined: none. */
export function defaultRouteDevice(route: RouteSocket): number | undefined {
  for (const family of [4, 6] as const) {
    // What is too short for a header goes on to where that is an error.
    const isZero = (bytes: Bytes, start: number, end: number): boolean =>
      end - start < ROUTE_HEADER || bytes.u8[start + 1] === 0;
    const defaults = dumpRoutes(route, family, c.RT_TABLE_MAIN, isZero).filter(isDefault);
    defaults.sort((a, b) => a.priority - b.priority);
    for (const found of defaults) {
      const device = devicesOf(route, found)[0];
      if (device !== undefined) return device;
    }
  }
  return undefined;
}
