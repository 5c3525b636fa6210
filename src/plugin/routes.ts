// Routes in configurations.
import type { RouteConfig } from "../config/defs.schema.ts";
import { Failure } from "../errors.ts";
import { parseAddress, parsePrefix } from "../ip/address.ts";
import type { RouteSpec } from "../link/route.ts";

/** The routes of an IPAM configuration, in order. Throws Failure("invalid config") for texts that are no addresses. */
export function readRoutes(routes: RouteConfig[] = []): RouteSpec[] {
  return routes.map(({ dst, gw, ...numbers }, i) => {
    const to = parsePrefix(dst);
    if (to === undefined) throw invalid(`invalid CIDR address: ${dst}`, `ipam.routes[${i}].dst`);
    if (gw === undefined || gw === "") return { ...numbers, dst: to };
    const via = parseAddress(gw);
    if (via === undefined) throw invalid(`invalid IP address: ${gw}`, `ipam.routes[${i}].gw`);
    return { ...numbers, dst: to, gw: via };
  });
}

function invalid(message: string, where: string): Failure {
  return new Failure("invalid config", message, `Correct "${where}".`);
}
