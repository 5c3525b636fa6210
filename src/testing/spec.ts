// Describes an interface's addresses and routes in text.
import { parseAddress, parsePrefix } from "../ip/address.ts";
import type { RouteSpec } from "../link/route.ts";
import type { InterfaceSpec } from "../link/spec.ts";

export interface Route extends Omit<RouteSpec, "dst" | "gw"> {
  dst: string;
  gw?: string;
}

/** Addresses as "10.1.2.3/24" or "10.1.2.3/24 via 10.1.2.1". */
export function spec(ips: string[], routes: Route[]): InterfaceSpec {
  return {
    ips: ips.map((ip) => {
      const [address, gateway] = ip.split(" via ");
      const prefix = parsePrefix(address!)!;
      return gateway === undefined ? { address: prefix } : { address: prefix, gateway: parseAddress(gateway)! };
    }),
    routes: routes.map(({ dst, gw, ...rest }) => {
      const prefix = parsePrefix(dst)!;
      return gw === undefined ? { dst: prefix, ...rest } : { dst: prefix, gw: parseAddress(gw)!, ...rest };
    }),
  };
}
