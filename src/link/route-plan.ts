// Converts the routes of a result to kernel routes: chooses the next hops and the onlink flag, and combines routes that belong together. The
// rules are the Go plugins' if those work. docs/differences.md lists the cases in which the Go plugins fail or do not do what the
// configuration says.
import { Failure } from "../errors.ts";
import { type Address, formatAddress, formatPrefix, type Prefix } from "../ip/address.ts";
import { equalAddresses, networkPrefix, prefixContains } from "../ip/range.ts";
import { RT_SCOPE_LINK, RT_TABLE_MAIN } from "../netlink/constants.ts";
import type { NewHop, NewRoute, RouteSpec } from "./route.ts";
import type { AddressSpec, InterfaceSpec } from "./spec.ts";

export interface RoutePlan {
  /** Without gateway first: the others may depend on them. */
  routes: NewRoute[];
  /** Gateways that neither an address nor a route of the interface covers. */
  uncovered: Address[];
}

/**
 * `present`: addresses the interface has besides those of `spec`.
 * Throws Failure for a route that cannot be: an IPv6 destination behind an IPv4 gateway.
 */
export function planRoutes(spec: InterfaceSpec, present: Prefix[] = []): RoutePlan {
  if (spec.routes.length === 0) return { routes: [], uncovered: [] };
  const subnets = [...spec.ips.map((ip) => ip.address), ...present];
  const withoutGateway = new Map<string, NewRoute>();
  const withGateway = new Map<string, NewRoute>();
  for (const route of spec.routes) {
    const gateway = gatewayOf(route, spec.ips);
    const planned = newRoute(route, gateway);
    const routes = gateway === undefined ? withoutGateway : withGateway;
    if (spec.routes.length === 1) routes.set("", planned);
    else merge(routes, planned);
  }
  const onLink = [...withoutGateway.values()];
  const through = [...withGateway.values()];
  const uncovered: Address[] = [];
  for (const route of through) {
    for (const hop of route.hops) {
      const coverage = coverageOf(hop.gateway!, route, subnets, onLink);
      hop.onlink = coverage !== "kernel";
      if (coverage === "none" && !uncovered.some((known) => equalAddresses(known, hop.gateway!))) {
        uncovered.push(hop.gateway!);
      }
    }
  }
  return { routes: [...onLink, ...through], uncovered };
}

/** The route's own gateway, else the first one that an address of its family brings; in both 0.0.0.0 and :: say "none". */
function gatewayOf(route: RouteSpec, ips: AddressSpec[]): Address | undefined {
  const family = route.dst.address.family;
  if (route.gw !== undefined) {
    if (route.gw.bytes.every((byte) => byte === 0)) return undefined;
    if (family === 6 && route.gw.family === 4) {
      throw new Failure(
        "invalid config",
        `route ${formatPrefix(route.dst)}: the gateway ${formatAddress(route.gw)} is not an IPv6 address`,
        'The gateway of an IPv6 route must be an IPv6 address. Correct "gw", or remove it.',
      );
    }
    return route.gw;
  }
  // The kernel ignores the scope of IPv6 routes, and so do the Go plugins.
  if (family === 4 && (route.scope ?? 0) >= RT_SCOPE_LINK) return undefined;
  const inherited = ips.find((ip) => ip.gateway?.family === family)?.gateway;
  return inherited?.bytes.every((byte) => byte === 0) === true ? undefined : inherited;
}

function newRoute(route: RouteSpec, gateway: Address | undefined): NewRoute {
  const [mtu, advmss] = [positive(route.mtu), positive(route.advmss)];
  return {
    dst: networkPrefix(route.dst),
    table: route.table === undefined || route.table === 0 ? RT_TABLE_MAIN : route.table,
    scope: (route.scope ?? 0) & 0xff,
    priority: route.priority ?? 0,
    metrics: mtu === undefined && advmss === undefined ? undefined : { mtu, advmss },
    hops: [{ gateway, onlink: false }],
  };
}

function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

/** Adds a route, or its next hop to a route that differs in nothing else. An exact duplicate adds nothing. */
function merge(routes: Map<string, NewRoute>, route: NewRoute): void {
  const { dst, table, priority, scope, metrics: { mtu = 0, advmss = 0 } = {} } = route;
  const key = `${formatPrefix(dst)} ${table} ${priority} ${scope} ${mtu} ${advmss}`;
  const same = routes.get(key);
  if (same === undefined) {
    routes.set(key, route);
    return;
  }
  const hop = route.hops[0]!;
  if (!same.hops.some((other) => sameHop(other, hop))) same.hops.push(hop);
}

function sameHop(a: NewHop, b: NewHop): boolean {
  if (a.gateway === undefined || b.gateway === undefined) return a.gateway === b.gateway;
  return equalAddresses(a.gateway, b.gateway);
}

/**
 * Who says that the gateway is on the link: "kernel", by itself; "config", by an on-link route whose scope the kernel does not
 * accept as proof (IPv4 wants scope link); "none", nobody.
 */
function coverageOf(
  gateway: Address,
  route: NewRoute,
  subnets: Prefix[],
  onLink: NewRoute[],
): "kernel" | "config" | "none" {
  // fe80::/10 is on every link.
  if (gateway.family === 6 && gateway.bytes[0] === 0xfe && (gateway.bytes[1]! & 0xc0) === 0x80) return "kernel";
  if (subnets.some((subnet) => prefixContains(subnet, gateway))) return "kernel";
  let coverage: "config" | "none" = "none";
  for (const candidate of onLink) {
    if (!prefixContains(candidate.dst, gateway)) continue;
    if (candidate.table !== route.table && candidate.table !== RT_TABLE_MAIN) continue;
    if (gateway.family === 6 || candidate.scope >= RT_SCOPE_LINK) return "kernel";
    coverage = "config";
  }
  return coverage;
}

/** "10.0.0.0/8 via 10.1.0.1 via 10.1.0.2 table 500 metric 10", as messages name a route. */
export function describeRoute(route: NewRoute): string {
  let text = formatPrefix(route.dst);
  for (const hop of route.hops) if (hop.gateway !== undefined) text += ` via ${formatAddress(hop.gateway)}`;
  if (route.table !== RT_TABLE_MAIN) text += ` table ${route.table}`;
  if (route.priority !== 0) text += ` metric ${route.priority}`;
  return text;
}
