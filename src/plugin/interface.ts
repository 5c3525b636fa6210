// The pod's own interface in results: ADD adds it, and CHECK and DEL find it. For all plugins that create CNI_IFNAME.

import type { Call } from "../cni/plugin.ts";
import { type Dns, emptyResult, type Interface, type IpConfig, type Result } from "../cni/result.ts";
import { Failure } from "../errors.ts";
import { lookInto, type NetNs, sameNamespace } from "../link/namespace.ts";

/**
 * The result of ADD: the result of the plugins before us, then our interface with what IPAM gave it. Spec C-120: a prevResult is passed on, never
 * dropped. The configuration's `dns` takes precedence over IPAM's, as in the Go plugins, which use only the configuration's.
 */
export function resultWith(call: Call, own: Interface, addresses: Result = emptyResult()): Result {
  const before = call.prevResult ?? emptyResult();
  const position = before.interfaces.length;
  return {
    interfaces: [...before.interfaces, own],
    ips: [...before.ips, ...addresses.ips.map((ip) => ({ ...ip, interface: position }))],
    routes: [...before.routes, ...addresses.routes],
    dns: dnsOf(call, addresses, before),
  };
}

/** The DNS settings of the configuration, or else of IPAM, or else of the plugins before us. */
export function dnsOf(call: Call, addresses: Result, before: Result): Dns {
  return [call.config.dns, addresses.dns, before.dns].find(hasDns) ?? {};
}

function hasDns(dns: Dns | undefined): dns is Dns {
  return dns !== undefined && Object.values(dns).some((value) => value !== undefined && value.length > 0);
}

/** Our part of a prevResult. */
export interface OwnInterface {
  interface: Interface;
  ips: IpConfig[];
  /** Empty if other interfaces of the pod may own the routes: results do not say to which interface a route belongs. */
  routes: Result["routes"];
  /** True if the version of the prevResult describes only the destination and the gateway of a route. */
  plainRoutes: boolean;
}

/**
 * CHECK: finds our interface in the prevResult (the last match, as in the Go plugins). Compares `sandbox` as a namespace and not as text, because
 * /var/run is /run. Throws Failure if the prevResult does not contain CNI_IFNAME in this namespace, or if IPAM is configured and no address belongs
 * to the interface.
 */
export function findOwnInterface(call: Call, pod: NetNs): OwnInterface {
  const previous = call.prevResult;
  if (previous === undefined) {
    throw new Failure(
      "invalid config",
      "Required prevResult missing",
      "CHECK compares the interface with the result of ADD.",
    );
  }
  const { ifName } = call.attachment;
  const position = previous.interfaces
    .map((each) => each.name === ifName && isSandbox(each, call, pod))
    .lastIndexOf(true);
  const found = previous.interfaces[position];
  if (found === undefined) {
    throw new Failure(
      "invalid config",
      `Sandbox in prevResult doesn't match configured netns: ${call.netns}`,
      `prevResult has no interface ${ifName} in this namespace.`,
    );
  }
  const ips = ownAddresses(call, position, previous);
  if (ips.length === 0 && (call.config.ipam?.type ?? "") !== "") {
    throw new Failure(
      "invalid config",
      `prevResult has no address for ${ifName}`,
      `The configuration uses IPAM (${call.config.ipam?.type}), so ADD should have set one.`,
    );
  }
  const alone = previous.interfaces.every((each, at) => at === position || (each.sandbox ?? "") === "");
  return { interface: found, ips, routes: alone ? previous.routes : [], plainRoutes: call.version !== "1.1.0" };
}

function isSandbox(candidate: Interface, call: Call, pod: NetNs): boolean {
  const { sandbox } = candidate;
  if (sandbox === call.netns) return true;
  if (sandbox === undefined || sandbox === "") return false;
  return lookInto(sandbox, (namespace) => sameNamespace(namespace, pod)) === true;
}

/**
 * ADD gives each of its addresses the index of its interface. Only if IPAM is configured, and no address has the index, addresses without a (valid)
 * index are ours: the results of other programs may lack it. Otherwise, they are those of a plugin before us.
 */
function ownAddresses(call: Call, position: number, { ips, interfaces }: Result): IpConfig[] {
  const own = ips.filter((ip) => ip.interface === position);
  if (own.length > 0 || (call.config.ipam?.type ?? "") === "") return own;
  return ips.filter((ip) => ip.interface === undefined || interfaces[ip.interface] === undefined);
}
