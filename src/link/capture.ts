// The addresses and routes of a device, which the kernel forgets when the device moves: kept to give them to the pod
// (useInterfaceNetwork), and to the host again when the device is back.
import { formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../ip/address.ts";
import { equalAddresses } from "../ip/range.ts";
import { log } from "../log.ts";
import type { NetlinkError } from "../netlink/errors.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { beginAddAddress, listAddresses } from "./address.ts";
import type { InterfaceSpec } from "./configure.ts";
import { beginAddRoute, type KernelRoute, type RouteSpec } from "./route.ts";

/** Goes into a record as it is: plain JSON, addresses as text. */
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
}

export interface CapturedRoute {
  dst: string;
  gateway?: string;
  table: number;
  scope: number;
  protocol: number;
  priority: number;
  mtu?: number;
  advmss?: number;
}

/** Addresses and routes kept in a record at most. */
const KEPT = 128;
const IFA_F_PERMANENT = 0x80;
/** Flags of an address that are the administrator's choice: home address, no automatic prefix route. */
const IFA_F_KEEP = 0x10 | 0x200;
const RT_SCOPE_UNIVERSE = 0;
const RT_TABLE_LOCAL = 255;
const RTN_UNICAST = 1;
const RTPROT_KERNEL = 2;
const RTPROT_BOOT = 3;
const RTPROT_STATIC = 4;
const RTPROT_RA = 9;

/**
 * Global addresses, and of `all` (relevantRoutes) the routes over this device alone that the kernel does not make by itself.
 */
export function captureNetwork(route: RouteSocket, index: number, all: KernelRoute[]): CapturedNetwork {
  const addresses = listAddresses(route, index)
    .filter((found) => found.scope === RT_SCOPE_UNIVERSE)
    .map(({ address, length, flags, broadcast }) => ({
      address: formatPrefix({ address, length }),
      broadcast: broadcast === undefined ? "" : formatAddress(broadcast),
      permanent: (flags & IFA_F_PERMANENT) !== 0,
      flags: flags & IFA_F_KEEP,
    }));
  const routes = all
    .filter((found) => found.type === RTN_UNICAST && found.table !== RT_TABLE_LOCAL)
    .filter((found) => found.protocol !== RTPROT_KERNEL && found.protocol !== RTPROT_RA)
    .filter((found) => found.nexthops.length === 1 && found.nexthops[0]?.ifIndex === index)
    .map(toText)
    // The gateways of the others may depend on them.
    .sort((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined));
  return { addresses, routes };
}

function toText({ dst, nexthops, table, scope, protocol, priority, mtu, advmss }: KernelRoute): CapturedRoute {
  const text: CapturedRoute = { dst: formatPrefix(dst), table, scope, protocol, priority };
  const gateway = nexthops[0]?.gateway;
  if (gateway !== undefined) text.gateway = formatAddress(gateway);
  if (mtu !== undefined) text.mtu = mtu;
  if (advmss !== undefined) text.advmss = advmss;
  return text;
}

/**
 * What a pod gets of it, as a result says it: every IPv4 address (nothing in the pod renews a DHCP lease) and the permanent IPv6
 * ones (the pod hears router advertisements itself). A route without gateway says so, because a route of a result without
 * gateway gets that of an address.
 */
export function capturedSpec(captured: CapturedNetwork): InterfaceSpec {
  return {
    ips: captured.addresses
      .map((each) => ({ address: parsePrefix(each.address)!, permanent: each.permanent }))
      .filter(({ address, permanent }) => permanent || address.address.family === 4)
      .map(({ address }) => ({ address })),
    routes: captured.routes.map((each) => {
      const dst = parsePrefix(each.dst)!;
      const spec: RouteSpec = { dst, gw: parseAddress(each.gateway ?? (dst.address.family === 4 ? "0.0.0.0" : "::"))! };
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
  const byHand = ({ protocol }: CapturedRoute): boolean => protocol === RTPROT_BOOT || protocol === RTPROT_STATIC;
  return {
    addresses: captured.addresses.filter(({ permanent }) => permanent).slice(0, KEPT),
    routes: captured.routes.filter(byHand).slice(0, KEPT),
  };
}

/** Gives a device on the host back what is missing. Never fails: the device is home, and the rest is said in the log. */
export function restoreNetwork(route: RouteSocket, index: number, name: string, captured: CapturedNetwork): void {
  if (captured.addresses.length === 0 && captured.routes.length === 0) return;
  const present = listAddresses(route, index);
  const isPresent = (prefix: Prefix): boolean =>
    present.some(({ address, length }) => length === prefix.length && equalAddresses(address, prefix.address));
  for (const { address, broadcast, flags } of captured.addresses) {
    const prefix = parsePrefix(address)!;
    if (!isPresent(prefix)) beginAddAddress(route, index, prefix, flags, parseAddress(broadcast));
  }
  warn(name, route.runEach());
  for (const each of captured.routes) {
    const { dst, table, scope, priority, mtu, advmss } = each;
    const gateway = each.gateway === undefined ? undefined : parseAddress(each.gateway);
    beginAddRoute(route, `ip route add ${dst}`, index, {
      dst: parsePrefix(dst)!,
      table,
      scope,
      priority,
      mtu,
      advmss,
      hops: [{ gateway, onlink: false }],
    });
  }
  warn(name, route.runEach());
}

function warn(device: string, results: (NetlinkError | undefined)[]): void {
  for (const result of results) {
    if (result === undefined || result.code === "EEXIST") continue;
    log("warning", "not given back to the host", { device, error: result.message });
  }
}
