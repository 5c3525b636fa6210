// Routes: `ip route add`, `ip route show`.
import type { Address, Family, Prefix } from "../ip/address.ts";
import type { RouteSocket } from "../netlink/socket.ts";

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
  table: number;
  protocol: number;
  scope: number;
  /** RTN_*: 1 is unicast. */
  type: number;
  priority: number;
  mtu: number | undefined;
  advmss: number | undefined;
  /** One entry for a simple route, several for a multipath one. */
  nexthops: { ifIndex: number; gateway: Address | undefined; weight: number }[];
}

/** Routes of one family in one table (254 is main); table 0 is all of them. */
export function listRoutes(_route: RouteSocket, _family: Family, _table?: number): KernelRoute[] {
  throw new Error("not built yet");
}

/** Device of the best default route (lowest metric, IPv4 before IPv6, unicast, first next hop with a device). undefined: none. */
export function defaultRouteDevice(_route: RouteSocket): number | undefined {
  throw new Error("not built yet");
}

/** Indices of every device that carries a default route of any table, multipath too. */
export function defaultRouteDevices(_route: RouteSocket): Set<number> {
  throw new Error("not built yet");
}
