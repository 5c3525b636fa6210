// The addresses and routes of a device, which the kernel forgets when the device moves. podnic gives them to the pod (useInterfaceNetwork),
// and restores them on the host when the device returns.

import { host } from "../host/host.ts";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../ip/address.ts";
import { networkPrefix } from "../ip/range.ts";
import { log } from "../log.ts";
import type { Unknown } from "../netlink/attributes.ts";
import { Bytes } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import type { NetlinkError } from "../netlink/errors.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { beginAddAddress, type KernelAddress, listAddresses } from "./address.ts";
import { RTMGRP_IPV6_IFADDR, settleAddresses } from "./dad.ts";
import { getLink, type Link } from "./link.ts";
import { beginAddRoute, type KernelRoute, type NewHop, type RouteSpec } from "./route.ts";
import type { InterfaceSpec } from "./spec.ts";

/** Goes into a record as it is: plain JSON, addresses as text. What may be absent is so in records of older versions, too. */
export interface CapturedNetwork {
  addresses: CapturedAddress[];
  routes: CapturedRoute[];
}

export interface CapturedAddress {
  address: string;
  /** "" when it has none. */
  broadcast: string;
  permanent: boolean;
  flags: number;
  /** Absent: global. */
  scope?: number;
  peer?: string;
  /** Only when it is not the device's name. */
  label?: string;
  /** Other attributes (IFA_*): type and bytes of each. */
  attributes?: number[][];
}

export interface CapturedRoute {
  dst: string;
  /** RTN_*, when it is not unicast: what counts as the node's own address (local), and the like. */
  type?: number;
  /** CLOCK_MONOTONIC, in seconds, when the kernel is to forget it. Of this boot: nothing of another one is restored. */
  expires?: number;
  tos?: number;
  gateway?: string;
  onlink?: boolean;
  prefsrc?: string;
  table: number;
  scope: number;
  protocol: number;
  priority: number;
  mtu?: number;
  advmss?: number;
  /** The other metrics (RTAX_*) and attributes (RTA_*): type and bytes of each. */
  metrics?: number[][];
  attributes?: number[][];
  /** Bits of RTA_SRC, which is one of them. */
  srcLength?: number;
  /** Next hops of a multipath route. */
  hops?: CapturedHop[];
}

export interface CapturedHop {
  gateway?: string;
  onlink?: boolean;
  weight: number;
  /** Name of the device, when it is another one. */
  device?: string;
}

/** Addresses and routes kept in a record at most. */
const KEPT = 128;
/** Flags of an address that are the administrator's choice. */
const KEPT_FLAGS =
  c.IFA_F_NODAD |
  c.IFA_F_HOMEADDRESS |
  c.IFA_F_DEPRECATED |
  c.IFA_F_MANAGETEMPADDR |
  c.IFA_F_NOPREFIXROUTE |
  c.IFA_F_MCAUTOJOIN;
const RT_TABLE_LOCAL = 255;
/** Those that have a device. */
const WITH_DEVICE = [c.RTN_UNICAST, c.RTN_LOCAL, c.RTN_BROADCAST, c.RTN_ANYCAST, c.RTN_MULTICAST];
/** The kernel counts a route's life in these (USER_HZ). */
const TICKS = 100;
const RTPROT_BOOT = 3;
const RTPROT_STATIC = 4;
const RTPROT_RA = 9;

/**
 * Addresses, and of `all` (relevantRoutes) the routes over this device, but for what the kernel makes by itself. Also those over others whose source
 * is an address of this one: the kernel deletes them with the address (IPv4; of IPv6's it only drops the source).
 */
export function captureNetwork(route: RouteSocket, link: Link, all: KernelRoute[]): CapturedNetwork {
  const addresses = listAddresses(route, link.index, 0, link.name)
    .filter(
      ({ unknown }) => !unknown.some(({ type, value }) => type === c.IFA_PROTO && value[0] === c.IFAPROT_KERNEL_LL),
    )
    .map((found) => addressToText(found, link.name));
  if (all.length === 0) return { addresses, routes: [] };
  const unrouted = unroutedSubnets(addresses);
  const routes = all
    .filter((found) => WITH_DEVICE.includes(found.type) && !isAllMulticast(found))
    .filter((found) => found.protocol !== RTPROT_RA)
    .filter((found) => found.protocol !== c.RTPROT_KERNEL || isSubnetRoute(found, unrouted))
    .filter((found) => found.nexthops.some(({ ifIndex }) => ifIndex === link.index) || isFrom(found, addresses))
    .filter((found) => !usesObject(found, link))
    .map((found) =>
      found.nexthops.length === 1 && found.nexthops[0]!.ifIndex === link.index
        ? routeToText(found)
        : { ...routeToText(found), hops: hopsToText(route, found, link) },
    )
    // The gateways and sources of the others may depend on them.
    .sort((a, b) => rank(a) - rank(b));
  return { addresses, routes };
}

/**
 * The subnets that the kernel makes no route to, as the addresses say that the administrator does. NetworkManager makes these routes, and marks them as
 * the kernel's.
 */
function unroutedSubnets(addresses: CapturedAddress[]): string[] {
  return addresses
    .filter(({ flags }) => (flags & c.IFA_F_NOPREFIXROUTE) !== 0)
    .map(({ address, peer }) => {
      const own = parsePrefix(address)!;
      return formatPrefix(networkPrefix({ address: parseAddress(peer ?? "") ?? own.address, length: own.length }));
    });
}

function isSubnetRoute({ type, dst }: KernelRoute, subnets: string[]): boolean {
  return subnets.length > 0 && type === c.RTN_UNICAST && subnets.includes(formatPrefix(dst));
}

function rank({ type, gateway }: CapturedRoute): number {
  if (type !== undefined) return 0;
  return gateway === undefined ? 1 : 2;
}

/** ff00::/8, which the kernel makes for each device: older ones do not mark it as theirs. */
function isAllMulticast({ family, dst, table }: KernelRoute): boolean {
  return family === 6 && table === RT_TABLE_LOCAL && dst.length === 8 && dst.address.bytes[0] === 0xff;
}

function isFrom({ family, prefsrc }: KernelRoute, addresses: CapturedAddress[]): boolean {
  if (family !== 4 || prefsrc === undefined) return false;
  const source = `${formatAddress(prefsrc)}/`;
  return addresses.some(({ address }) => address.startsWith(source));
}

function addressToText(found: KernelAddress, device: string): CapturedAddress {
  const { address, length, flags, scope, broadcast, peer, label } = found;
  const attributes = found.unknown.filter(({ type }) => type !== c.IFA_CACHEINFO);
  const text: CapturedAddress = {
    address: formatPrefix({ address, length }),
    broadcast: broadcast === undefined ? "" : formatAddress(broadcast),
    permanent: (flags & c.IFA_F_PERMANENT) !== 0,
    flags: flags & KEPT_FLAGS,
  };
  if (scope !== c.RT_SCOPE_UNIVERSE) text.scope = scope;
  if (peer !== undefined) text.peer = formatAddress(peer);
  if (label !== "" && label !== device) text.label = label;
  if (attributes.length > 0) text.attributes = attributes.map(toNumbers);
  return text;
}

function routeToText(found: KernelRoute): CapturedRoute {
  const { dst, type, tos, nexthops, onlink, prefsrc, table, scope, protocol, priority, srcLength } = found;
  const { mtu, advmss, unknown: metrics = [] } = found.metrics;
  // Of how long ago it was used.
  const attributes = found.unknown.filter(({ type }) => type !== c.RTA_CACHEINFO);
  const text: CapturedRoute = { dst: formatPrefix(dst), table, scope, protocol, priority };
  const gateway = nexthops[0]?.gateway;
  const ticks = ticksLeft(found);
  if (type !== c.RTN_UNICAST) text.type = type;
  if (ticks !== 0) text.expires = Math.ceil(host.monotonic() / 1000 + ticks / TICKS);
  if (tos !== 0) text.tos = tos;
  if (gateway !== undefined) text.gateway = formatAddress(gateway);
  if (onlink) text.onlink = true;
  if (prefsrc !== undefined) text.prefsrc = formatAddress(prefsrc);
  if (mtu !== undefined) text.mtu = mtu;
  if (advmss !== undefined) text.advmss = advmss;
  if (metrics.length > 0) text.metrics = metrics.map(toNumbers);
  if (attributes.length > 0) text.attributes = attributes.map(toNumbers);
  if (srcLength !== 0) text.srcLength = srcLength;
  return text;
}

/** rta_expires of struct rta_cacheinfo; 0: it stays. Only IPv6 has such routes. */
function ticksLeft({ family, unknown }: KernelRoute): number {
  const info = family === 6 ? unknown.find(({ type }) => type === c.RTA_CACHEINFO)?.value : undefined;
  if (info === undefined || info.length < 12) return 0;
  return Bytes.from(info).u32[2]! | 0;
}

/** Nexthop objects go with the device, and are their owner's (a routing daemon's): said, so that nobody looks for the routes in vain. */
function usesObject({ nexthopId, dst }: KernelRoute, link: Link): boolean {
  if (nexthopId === undefined) return false;
  const what = { device: link.name, route: formatPrefix(dst), nexthop: nexthopId };
  log("warning", "not restoring a route on the host, because it uses a nexthop object", what);
  return true;
}

function hopsToText(route: RouteSocket, { nexthops }: KernelRoute, link: Link): CapturedHop[] {
  return nexthops.map(({ ifIndex, gateway, weight, onlink }) => ({
    weight,
    ...(gateway === undefined ? undefined : { gateway: formatAddress(gateway) }),
    ...(onlink === true ? { onlink } : undefined),
    ...(ifIndex === link.index ? undefined : { device: getLink(route, ifIndex)?.name ?? "" }),
  }));
}

function toNumbers({ type, value }: Unknown): number[] {
  return [type, ...value];
}

function fromNumbers([type, ...value]: number[]): Unknown {
  return { type: type!, value: Uint8Array.from(value) };
}

/**
 * What a pod gets of it, as a result says it: every global IPv4 address (nothing in the pod renews a DHCP lease) and the permanent
 * IPv6 ones (the pod hears router advertisements itself), and the routes for all packets. A route without gateway says so, because
 * a route of a result without gateway gets that of an address.
 */
export function capturedSpec(captured: CapturedNetwork): InterfaceSpec {
  // The pod's addresses have no flags, so that the kernel makes the routes to their subnets.
  const forAll = ({ tos, srcLength, type, table, protocol }: CapturedRoute): boolean =>
    tos === undefined &&
    srcLength === undefined &&
    type === undefined &&
    table !== RT_TABLE_LOCAL &&
    protocol !== c.RTPROT_KERNEL;
  return {
    ips: captured.addresses
      .filter(({ scope }) => scope === undefined)
      .map((each) => ({ address: parsePrefix(each.address)!, permanent: each.permanent }))
      .filter(({ address, permanent }) => permanent || address.address.family === 4)
      .map(({ address }) => ({ address })),
    routes: captured.routes
      .filter(({ hops }) => hops === undefined)
      .filter(forAll)
      .map((each) => {
        const dst = parsePrefix(each.dst)!;
        const spec: RouteSpec = {
          dst,
          gw: parseAddress(each.gateway ?? (dst.address.family === 4 ? "0.0.0.0" : "::"))!,
        };
        if (each.table !== 254) spec.table = each.table;
        if (each.scope !== 0) spec.scope = each.scope;
        if (each.priority !== 0) spec.priority = each.priority;
        if (each.mtu !== undefined) spec.mtu = each.mtu;
        if (each.advmss !== undefined) spec.advmss = each.advmss;
        return spec;
      }),
  };
}

/**
 * What the host gets back: what an administrator gave it. Leases, advertisements and routing daemons look after themselves. Of a
 * device with very many (they would not fit a record), the first.
 */
export function administered(captured: CapturedNetwork): CapturedNetwork {
  if (captured.addresses.length === 0 && captured.routes.length === 0) return captured;
  const addresses = captured.addresses.filter(({ permanent }) => permanent).slice(0, KEPT);
  const unrouted = unroutedSubnets(addresses);
  const byHand = ({ protocol, dst }: CapturedRoute): boolean =>
    protocol === RTPROT_BOOT || protocol === RTPROT_STATIC || (protocol === c.RTPROT_KERNEL && unrouted.includes(dst));
  return {
    addresses,
    routes: captured.routes.filter(byHand).slice(0, KEPT),
  };
}

/** Gives a device on the host back what is missing. Never fails: the device is home, and the rest is said in the log. */
export function restoreNetwork(route: RouteSocket, index: number, name: string, captured: CapturedNetwork): void {
  if (captured.addresses.length === 0 && captured.routes.length === 0) return;
  const present = listAddresses(route, index, 0, name).map((found) => addressToText(found, name));
  for (const each of captured.addresses) {
    if (present.some(({ address, peer }) => address === each.address && peer === each.peer)) continue;
    beginAddAddress(route, index, {
      prefix: parsePrefix(each.address)!,
      flags: each.flags,
      broadcast: parseAddress(each.broadcast),
      scope: each.scope ?? c.RT_SCOPE_UNIVERSE,
      peer: parseAddress(each.peer ?? ""),
      label: each.label,
      unknown: (each.attributes ?? []).map(fromNumbers),
    });
  }
  warn(name, route.runEach());
  if (captured.routes.some(({ prefsrc }) => prefsrc?.includes(":"))) settle(route, index, name);
  // Asked before a batch is begun.
  const left = captured.routes.filter(({ expires }) => expires === undefined || secondsUntil(expires) > 0);
  const hops = left.map(({ hops, dst }) => hops && hopsOf(route, dst, hops));
  for (const [i, each] of left.entries()) restoreRoute(route, index, each, hops[i]);
  warn(name, route.runEach());
}

function secondsUntil(time: number): number {
  return Math.ceil(time - host.monotonic() / 1000);
}

function restoreRoute(route: RouteSocket, index: number, captured: CapturedRoute, several?: NewHop[]): void {
  const {
    dst,
    gateway = "",
    onlink = false,
    prefsrc = "",
    mtu,
    advmss,
    metrics = [],
    attributes = [],
    hops: _,
    expires,
    ...same
  } = captured;
  const unknown = attributes.map(fromNumbers);
  if (expires !== undefined) {
    const value = new Uint8Array(Uint32Array.of(secondsUntil(expires)).buffer);
    unknown.push({ type: c.RTA_EXPIRES, value });
  }
  beginAddRoute(route, `ip route add ${dst}`, index, {
    ...same,
    dst: parsePrefix(dst)!,
    prefsrc: parseAddress(prefsrc),
    metrics: { mtu, advmss, unknown: metrics.map(fromNumbers) },
    unknown,
    hops: several ?? [{ gateway: parseAddress(gateway), onlink }],
  });
}

/** Of IPv6 only those of the device: the kernel has kept the others, as a route. Of IPv4 it has forgotten all. */
function hopsOf(route: RouteSocket, dst: string, hops: CapturedHop[]): NewHop[] {
  return hops
    .filter(({ device }) => device === undefined || !dst.includes(":"))
    .map(({ gateway = "", onlink = false, weight, device }) => {
      const index = device === undefined ? undefined : (getLink(route, device)?.index ?? -1);
      return { gateway: parseAddress(gateway), onlink, weight, index };
    })
    .filter(({ index }) => index !== -1);
}

/** The kernel takes no route with a source address that it is still checking for duplicates: the IPv6 ones that have just come back. */
function settle(route: RouteSocket, index: number, name: string): void {
  const notifications = RouteSocket.open(RTMGRP_IPV6_IFADDR);
  try {
    settleAddresses(route, notifications, index, name);
  } catch (error) {
    log("warning", "routes with a source address might be missing", { device: name, error: String(error) });
  } finally {
    notifications.close();
  }
}

function warn(device: string, results: (NetlinkError | undefined)[]): void {
  for (const result of results) {
    if (result === undefined || result.code === "EEXIST") continue;
    log("warning", "cannot restore an address or route on the host", { device, error: result.message });
  }
}
