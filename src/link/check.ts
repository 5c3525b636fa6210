// CHECK: compares an interface with what ADD configured. It looks exactly where ADD configured something (the same table, all next hops, this
// device). It therefore neither reports correct settings nor overlooks wrong ones.
import { Failure } from "../errors.ts";
import { type Address, type Family, formatAddress, formatPrefix } from "../ip/address.ts";
import { equalAddresses, networkPrefix, samePrefix } from "../ip/range.ts";
import { IFA_F_DADFAILED, IFA_F_NOPREFIXROUTE, RT_TABLE_MAIN, RTN_UNICAST } from "../netlink/constants.ts";
import { listAddresses } from "./address.ts";
import { IPV6_DEFAULT_METRIC, isLearnt } from "./advertised.ts";
import { getLink, IFF_UP, type Link } from "./link.ts";
import type { NetNs } from "./namespace.ts";
import { isConnected, type KernelRoute, listRoutes, type NewHop, type NewRoute } from "./route.ts";
import { describeRoute, planRoutes } from "./route-plan.ts";
import type { InterfaceSpec } from "./spec.ts";

/** CHECK: up, every address with its prefix length and the route to its subnet, every route with its next hop, metric and device in its table, or in any when that is main. Throws Failure for the first thing missing. */
export function checkInterface(pod: NetNs, index: number, name: string, spec: InterfaceSpec): void {
  const link = getLink(pod.route, index);
  if (link === undefined) throw missing(`interface ${name} does not exist in the pod`);
  if ((link.flags & IFF_UP) === 0) throw missing(`interface ${name} is down`);
  checkAddresses(pod, index, name, spec);
  if (spec.plainRoutes === true) checkPlainRoutes(pod, index, name, spec);
  else checkRoutes(pod, link, name, spec);
}

/** Details of what CHECK throws, where there is nothing better to say. */
export const changedSinceAdd = "The interface has been changed since ADD. DEL and a new ADD restore it.";

function missing(message: string): Failure {
  return new Failure("failed", message, changedSinceAdd);
}

function checkAddresses(pod: NetNs, index: number, name: string, spec: InterfaceSpec): void {
  if (spec.ips.length === 0) return;
  const actual = listAddresses(pod.route, index, 0, name);
  for (const { address: wanted } of spec.ips) {
    const found = actual.find((candidate) => samePrefix(candidate, wanted));
    if (found === undefined) throw missing(`interface ${name} does not have the address ${formatPrefix(wanted)}`);
    if ((found.flags & IFA_F_DADFAILED) !== 0) {
      throw missing(`address ${formatAddress(wanted.address)} on ${name} is also used by another host (DADFAILED)`);
    }
    // Who wants no route for an address has others.
    if ((found.flags & IFA_F_NOPREFIXROUTE) === 0 && !isConnected(pod.route, index, wanted))
      throw missing(`the route ${formatPrefix(networkPrefix(wanted))} to the subnet of ${name} is missing`);
  }
}

function checkRoutes(pod: NetNs, { index, mtu }: Link, name: string, spec: InterfaceSpec): void {
  const tables = new Map<string, KernelRoute[]>();
  const { routes } = planRoutes(spec);
  for (const wanted of routes) {
    const family: Family = wanted.dst.address.family;
    // A later plugin of the chain, such as sbr or vrf, moves routes from the main table to its own without saying so in the result.
    const table = wanted.table === RT_TABLE_MAIN ? 0 : wanted.table;
    const key = `${family} ${table}`;
    let actual = tables.get(key);
    if (actual === undefined) {
      actual = listRoutes(pod.route, family, table);
      tables.set(key, actual);
    }
    const candidates = actual.filter((candidate) => sameDestination(candidate, wanted));
    // Routes of different tables, as sbr makes them, do not compete.
    const places = new Set<number>();
    for (const hop of wanted.hops) {
      const through = candidates.filter((candidate) => hasHop(candidate, index, hop));
      if (through.length === 0) throw routeMissing(name, wanted, hop, candidates);
      for (const one of through) places.add(one.table);
      checkMetrics(name, wanted, hop, through, mtu);
    }
    const others = candidates
      .filter((one) => places.has(one.table) && one.tos === 0 && one.srcLength === 0)
      .flatMap(({ nexthops }) => nexthops)
      .filter((hop) => isOther(hop, index, wanted.hops));
    if (others.length === 0) continue;
    // With another metric, or in another table.
    const told = routes.filter(({ dst }) => samePrefix(dst, wanted.dst)).flatMap(({ hops }) => hops);
    const other = others.find((hop) => isOther(hop, index, told));
    if (other === undefined) continue;
    const through = formatAddress(other.gateway!);
    throw missing(`the route ${describeRoute(wanted)} on ${name} also goes through ${through}`);
  }
}

/** Another gateway on this interface; of two such routes of one metric, the kernel uses the first, or both. */
function isOther(
  { ifIndex, gateway }: KernelRoute["nexthops"][number],
  index: number,
  told: readonly NewHop[],
): boolean {
  if (ifIndex !== index || gateway === undefined) return false;
  return !told.some((hop) => hop.gateway !== undefined && equalAddresses(hop.gateway, gateway));
}

/** Table, metric and scope were not told: whatever they are, the destination must be reached through the interface. */
function checkPlainRoutes(pod: NetNs, index: number, name: string, spec: InterfaceSpec): void {
  const all: Partial<Record<Family, KernelRoute[]>> = {};
  for (const { dst, gw } of spec.routes) {
    const wanted = networkPrefix(dst);
    const { family } = wanted.address;
    all[family] ??= listRoutes(pod.route, family, 0);
    const hops = all[family]
      .filter((candidate) => isConfigured(candidate) && samePrefix(candidate.dst, wanted))
      .flatMap((candidate) => candidate.nexthops)
      .filter((hop) => hop.ifIndex === index);
    if (!hops.some((hop) => isPlainHop(hop.gateway, gw, spec))) {
      const via = gw === undefined ? "" : ` via ${formatAddress(gw)}`;
      throw missing(`the route ${formatPrefix(wanted)}${via} on ${name} is missing`);
    }
  }
}

/** A route told without gateway is on-link, or goes through the gateway of an address. */
function isPlainHop(actual: Address | undefined, gw: Address | undefined, spec: InterfaceSpec): boolean {
  if (actual === undefined) return gw === undefined || gw.bytes.every((byte) => byte === 0);
  if (gw !== undefined) return equalAddresses(actual, gw);
  return spec.ips.some((ip) => ip.gateway !== undefined && equalAddresses(ip.gateway, actual));
}

function sameDestination(candidate: KernelRoute, wanted: NewRoute): boolean {
  const metric = wanted.priority === 0 && wanted.dst.address.family === 6 ? IPV6_DEFAULT_METRIC : wanted.priority;
  return isConfigured(candidate) && candidate.priority === metric && samePrefix(candidate.dst, wanted.dst);
}

/** Not one that a router advertised and may withdraw. */
function isConfigured(candidate: KernelRoute): boolean {
  return candidate.type === RTN_UNICAST && !isLearnt(candidate);
}

function hasHop(candidate: KernelRoute, index: number, hop: NewHop): boolean {
  return candidate.nexthops.some((actual) => {
    if (actual.ifIndex !== index) return false;
    if (actual.gateway === undefined || hop.gateway === undefined) return actual.gateway === hop.gateway;
    return equalAddresses(actual.gateway, hop.gateway);
  });
}

/** The kernel sets these at most (ip_metrics_convert). */
const LARGEST = { mtu: 65520, advmss: 65495 };

/**
 * Another value than was configured. Routes without one are those of Go plugins that set none. When tuning changes the MTU of an interface, the
 * kernel gives its IPv6 routes that one.
 */
function checkMetrics(name: string, wanted: NewRoute, hop: NewHop, through: KernelRoute[], linkMtu: number): void {
  for (const key of ["mtu", "advmss"] as const) {
    const told = wanted.metrics?.[key];
    const value = told && Math.min(told, LARGEST[key]);
    const actual = through.map(({ metrics }) => metrics[key]);
    const accepted = [undefined, value, key === "mtu" ? linkMtu : value];
    if (value === undefined || actual.some((one) => accepted.includes(one))) continue;
    const route = describeRoute({ ...wanted, hops: [hop] });
    throw missing(`the route ${route} on ${name} has ${key} ${actual[0]} instead of ${value}`);
  }
}

function routeMissing(name: string, wanted: NewRoute, hop: NewHop, candidates: KernelRoute[]): Failure {
  const route = describeRoute({ ...wanted, hops: [hop] });
  if (candidates.length === 0) return missing(`the route ${route} on ${name} is missing`);
  const hops = candidates.flatMap((candidate) => candidate.nexthops);
  const instead = hops.map(
    ({ gateway, ifIndex }) => `${gateway === undefined ? "on-link" : formatAddress(gateway)} on device ${ifIndex}`,
  );
  return missing(`the route ${route} does not go through ${name} as configured; the kernel has ${instead.join(", ")}`);
}
