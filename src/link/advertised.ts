// Handles routes from router advertisements that conflict with a configured route.
import { samePrefix } from "../ip/range.ts";
import { NetlinkError } from "../netlink/errors.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { beginAddRoute, beginDeleteRoute, type KernelRoute, listRoutes, type NewRoute } from "./route.ts";

/** IP6_RT_PRIO_USER: what the kernel makes of an IPv6 route without metric. */
export const IPV6_DEFAULT_METRIC = 1024;
/** RTPROT_REDIRECT and RTPROT_RA: learnt from a router, and gone when it says so. */
const LEARNT = [1, 9];
/** The router may advertise again between our two requests. */
const TRIES = 5;

/** It is not configured. */
export function isLearnt(route: KernelRoute): boolean {
  return LEARNT.includes(route.protocol);
}

/**
 * The kernel says EEXIST for an IPv6 route also when the one that is there came from an advertisement, with a lifetime. Puts `wanted` in its place.
 * Returns the refusal, or undefined when the route is there and stays.
 */
export function replaceLearnt(
  route: RouteSocket,
  operation: string,
  index: number,
  wanted: NewRoute,
): NetlinkError | undefined {
  let refusal: NetlinkError | undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const learnt = listRoutes(route, 6, wanted.table).filter(
      (found) => isLearnt(found) && isAlike(found, wanted, index),
    );
    if (learnt.length === 0) return undefined;
    for (const found of learnt) beginDeleteRoute(route, `${operation}: deleting the advertised route`, index, found);
    // One that has gone meanwhile is as good.
    route.runEach();
    beginAddRoute(route, operation, index, wanted);
    refusal = route.runEach()[0];
    if (!(refusal instanceof NetlinkError && refusal.code === "EEXIST")) return refusal;
  }
  return refusal;
}

function isAlike(found: KernelRoute, wanted: NewRoute, index: number): boolean {
  const metric = wanted.priority === 0 ? IPV6_DEFAULT_METRIC : wanted.priority;
  const ours = found.nexthops.length > 0 && found.nexthops.every(({ ifIndex }) => ifIndex === index);
  return ours && found.priority === metric && samePrefix(found.dst, wanted.dst);
}
