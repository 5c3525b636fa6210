// The addresses that IPAM returned: none of the host's on this bridge, and with isGateway, each has a gateway, which is the host.
import type { IpConfig, Result, Route } from "../../src/cni/result.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress, formatPrefix, type Prefix, parsePrefix } from "../../src/ip/address.ts";
import { equalAddresses, networkAddress, nextAddress, prefixContains, samePrefix } from "../../src/ip/range.ts";
import { broadcastOf, type KernelAddress, listAddresses } from "../../src/link/address.ts";
import type { Bridge } from "../../src/link/bridge.ts";
import { getLink, type Link, listLinksOfKind } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { vlanInterfaceName } from "./vlan-gateway.ts";

const DEFAULTS = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** Throws Failure("invalid config") for an address that can have no gateway, or is that of its gateway. */
export function withGateways(result: Result, isDefault: boolean): Result {
  const ips = result.ips.map(withGateway);
  const routes = isDefault ? [...result.routes, ...defaultRoutes(ips, result.routes)] : result.routes;
  return { ...result, ips, routes };
}

function withGateway(ip: IpConfig): IpConfig {
  const { address } = ip;
  const refuse = (why: string): never => {
    throw new Failure(
      "invalid config",
      `isGateway: the bridge cannot be the gateway for ${formatPrefix(address)}, the address that IPAM returned`,
      `${why} Change "ipam", or remove "isGateway".`,
    );
  };
  if (address.length === address.address.bytes.length * 8) refuse("The subnet has no room for a second address.");
  const gateway = ip.gateway ?? firstAddress(address);
  if (!prefixContains(address, gateway)) refuse(`The gateway ${formatAddress(gateway)} is outside the subnet.`);
  if (equalAddresses(gateway, address.address)) refuse("The pod's address and the gateway are the same.");
  const broadcast = broadcastOf(address);
  if (broadcast && equalAddresses(gateway, broadcast))
    refuse(`The gateway ${formatAddress(gateway)} is the subnet's broadcast address.`);
  return { ...ip, gateway };
}

/** The subnet's first address; of two (RFC 3021) the one that the pod has not. */
function firstAddress(address: Prefix): IpConfig["address"]["address"] {
  const network = networkAddress(address);
  const isPair = address.length === address.address.bytes.length * 8 - 1;
  if (isPair && !equalAddresses(network, address.address)) return network;
  return nextAddress(network)!;
}

/** One for each family that has none: a default route without gateway goes through the first one of its family anyway. */
function defaultRoutes(ips: IpConfig[], routes: Route[]): Route[] {
  const families = [...new Set(ips.map(({ address }) => address.address.family))];
  return families
    .filter((family) => !routes.some(({ dst }) => dst.length === 0 && dst.address.family === family))
    .map((family) => {
      const { gateway } = ips.find(({ address }) => address.address.family === family)!;
      return { dst: parsePrefix(DEFAULTS[family])!, gw: gateway! };
    });
}

/** The gateways' addresses with the prefix lengths of their subnets, each once. */
export function gatewayPrefixes(ips: IpConfig[]): Prefix[] {
  const prefixes: Prefix[] = [];
  for (const { address, gateway } of ips) {
    if (gateway === undefined) continue;
    const prefix = { address: gateway, length: address.length };
    if (!prefixes.some((known) => samePrefix(known, prefix))) prefixes.push(prefix);
  }
  return prefixes;
}

/**
 * Throws Failure("invalid config") for an address that the host has on the bridge, in the VLAN of the pod. The pod and the host would answer for it
 * both, and what other pods send to the host, such as their gateway, would go to the pod. `isGateway`: planGateway looks at what has the gateway's.
 */
export function refuseHostsAddresses(bridge: Bridge, vlan: number, ips: IpConfig[], isGateway: boolean): void {
  const { route } = ownNamespace();
  const own = vlan === 0 ? bridge.name : vlanInterfaceName(bridge.name, vlan);
  const holders: Pick<Link, "index" | "name">[] = vlan === 0 ? [bridge] : vlanInterfaces(bridge, vlan);
  for (const { index, name } of holders)
    if (!isGateway || name !== own) refuseHeld(name, listAddresses(route, index), ips);
}

/** The same of what an interface of the host has. */
export function refuseHeld(name: string, has: Pick<KernelAddress, "address">[], ips: IpConfig[]): void {
  const taken = ips.find(({ address }) => has.some((held) => equalAddresses(held.address, address.address)));
  if (taken === undefined) return;
  throw new Failure(
    "invalid config",
    `the host itself has the address ${formatAddress(taken.address.address)}, on ${name}`,
    'Frames for the host would go to the pod, including frames that other pods send to their gateway. Use another address for the pod ("ipam").',
  );
}

/** Of the host: VLAN devices, by whatever name, and the Go plugin's veth. */
function vlanInterfaces(bridge: Bridge, vlan: number): Link[] {
  const { route } = ownNamespace();
  const devices = listLinksOfKind(route, "vlan").filter(
    (link) => link.parent === bridge.index && link.vlan?.id === vlan,
  );
  const veth = getLink(route, vlanInterfaceName(bridge.name, vlan));
  const isOnBridge = veth?.kind === "veth" && getLink(route, veth.parent)?.master === bridge.index;
  return isOnBridge ? [...devices, veth] : devices;
}
