// Determines from the kernel's replies whether the node itself needs a device. These are the routes that its own packets use if no source
// address was chosen, and the routes with a gateway in the tables in which the kernel looks them up.
import { formatPrefix, type Prefix, parseAddress } from "../ip/address.ts";
import { isWithin, prefixContains } from "../ip/range.ts";
import * as c from "../netlink/constants.ts";
import { type Footing, readFooting } from "../netlink/link.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { type KernelAddress, listAddresses } from "./address.ts";
import { askLink, getLink, type Link, listLinks } from "./link.ts";
import { devicesOf, type KernelRoute, listRoutesWithin, lookUpRoute, WIDE } from "./route.ts";
import { type KernelRule, listRules } from "./rule.ts";

/** Somewhere on the internet, in each half of what is: a pair of half defaults (0.0.0.0/1 and 128.0.0.0/1) is seen as well. Nothing is sent. */
const ABROAD = {
  4: ["9.9.9.9", "193.0.14.129"].map((text) => parseAddress(text)!),
  6: ["2001:7fd::1", "3000::1"].map((text) => parseAddress(text)!),
};
const RT_TABLE_DEFAULT = 253;
const MADE_OF_PORTS = ["bridge", "bond", "team", "vrf"];

/** A route that the node needs, and the device that it is over: the one asked about or one that stands on it. */
export interface Use {
  carrier: Link;
  route: KernelRoute;
}

/**
 * Why the node needs `link`, a device or what stands on it; undefined: it does not. `routes`: those of the node (relevantRoutes of the device).
 * - A route with a gateway, or to where destinations abroad are (the default, 0.0.0.0/1), in a table that the node's own traffic is looked up
 *   in. A table that only rules for the device's own addresses or for the device lead to is not one.
 * - Routes that a router advertised count only on a node that has no configured way abroad: others have not asked for them, and any device
 *   that is up may have them. Then the kernel is asked which of them it takes.
 */
export function usedByNode(route: RouteSocket, link: Link, routes: KernelRoute[]): Use | undefined {
  if (routes.length === 0) return undefined;
  const stack = new Stack(route, link);
  const tables = new Tables(route);
  for (const found of [...routes.filter(leadsAway), ...widelySplit(routes)]) {
    if (found.protocol === c.RTPROT_RA) continue;
    const carrier = stack.carrierOf(found);
    if (carrier !== undefined && tables.areUsed(found, carrier)) return { carrier, route: found };
  }
  for (const found of waysAdvertised(route, routes)) {
    const carrier = stack.carrierOf(found);
    if (carrier !== undefined) return { carrier, route: found };
  }
  return undefined;
}

function leadsAway({ type, dst, nexthops, nexthopId }: KernelRoute): boolean {
  if (type !== c.RTN_UNICAST) return false;
  return isWide(dst) || nexthopId !== undefined || nexthops.some(({ gateway }) => gateway !== undefined);
}

/**
 * Routes without a gateway that are narrow each and wide together, as 223 times a /8: one of each device and table over which as many
 * destinations are reached as over one that is wide (isWide).
 */
function widelySplit(routes: KernelRoute[]): KernelRoute[] {
  const shares = new Map<string, number>();
  return routes.filter((found) => {
    if (found.type !== c.RTN_UNICAST || found.dst.length <= WIDE || leadsAway(found)) return false;
    const { family, table, dst, nexthops } = found;
    const key = `${family} ${table} ${nexthops[0]?.ifIndex}`;
    const before = shares.get(key) ?? 0;
    const after = before + 2 ** -dst.length;
    shares.set(key, after);
    return before < 2 ** -WIDE && after >= 2 ** -WIDE;
  });
}

function isConfiguredWay({ type, protocol, dst, table }: KernelRoute): boolean {
  return type === c.RTN_UNICAST && protocol !== c.RTPROT_RA && isWide(dst) && table === c.RT_TABLE_MAIN;
}

/** To all that there is, or to a half, a quarter, … with a destination abroad in it; not 224.0.0.0/4. */
function isWide(dst: Prefix): boolean {
  if (dst.length === 0) return true;
  return dst.length <= WIDE && ABROAD[dst.address.family].some((address) => prefixContains(dst, address));
}

/** What the kernel answers for destinations abroad; nothing is asked where a way is configured, or where nothing can lead. */
function waysAdvertised(route: RouteSocket, routes: KernelRoute[]): KernelRoute[] {
  if (routes.some(isConfiguredWay)) return [];
  return ([4, 6] as const)
    .filter((family) => routes.some((found) => found.family === family && isWide(found.dst)))
    .flatMap((family) => ABROAD[family].map((address) => lookUpRoute(route, address)))
    .filter((found) => found !== undefined);
}

function isSingle({ address, length }: Prefix): boolean {
  return length === address.bytes.length * 8;
}

/** What stands on a device: it itself, VLANs and macvlans over it, the bridge or bond that it is a port of, and what stands on those. */
class Stack {
  readonly #route: RouteSocket;
  readonly #known = new Map<number, Link | undefined>();
  #all: Link[] | undefined;

  constructor(route: RouteSocket, base: Link) {
    this.#route = route;
    this.#known.set(base.index, base);
    this.#known.set(0, undefined);
  }

  /** The device of the route, when it stands on the base. */
  carrierOf(found: KernelRoute): Link | undefined {
    for (const device of devicesOf(this.#route, found)) {
      const carrier = this.#find(device);
      if (carrier !== undefined) return carrier;
    }
    return undefined;
  }

  #find(index: number): Link | undefined {
    if (!this.#known.has(index)) {
      // Not to be asked again while it is being answered.
      this.#known.set(index, undefined);
      const footing = askLink(this.#route, index, readFooting);
      const stands = footing !== undefined && this.#stands(index, footing);
      this.#known.set(index, stands ? getLink(this.#route, index) : undefined);
    }
    return this.#known.get(index);
  }

  #stands(upper: number, { link, linkNetnsid, linkInfo }: Footing): boolean {
    // A parent in another namespace has an index of that namespace.
    if (linkNetnsid === undefined && this.#find(link ?? 0) !== undefined) return true;
    if (!MADE_OF_PORTS.includes(linkInfo?.kind ?? "")) return false;
    this.#all ??= listLinks(this.#route);
    return this.#all.some((port) => port.master === upper && this.#find(port.index) !== undefined);
  }
}

/** Which tables the node's own traffic is looked up in. Rules and addresses are asked for when there is another table than the main one. */
class Tables {
  readonly #route: RouteSocket;
  readonly #rules = new Map<number, KernelRule[]>();
  #addresses: KernelAddress[] | undefined;

  constructor(route: RouteSocket) {
    this.#route = route;
  }

  areUsed({ family, table }: KernelRoute, carrier: Link): boolean {
    if (table === c.RT_TABLE_MAIN || table === RT_TABLE_DEFAULT) return true;
    // That of a VRF: no rule names it, and what lives in the VRF uses it.
    if (carrier.slaveKind === "vrf") return true;
    const rules = this.#rules.get(family) ?? listRules(this.#route, family);
    this.#rules.set(family, rules);
    return rules.some((rule) => rule.table === table && !this.#isOwn(rule, carrier));
  }

  /** The rule is for packets of the device's own addresses alone, or for those that come in or leave by the device. */
  #isOwn({ from, to, iif, oif, inverted }: KernelRule, carrier: Link): boolean {
    if (inverted) return false;
    if (iif === carrier.name || oif === carrier.name) return true;
    if (from === undefined && to === undefined) return false;
    if (from !== undefined && this.#isAlone(from, carrier)) return true;
    return to !== undefined && isSingle(to) && this.#isAlone(to, carrier);
  }

  /** The prefix is one address of the device, or part of a subnet of the device in which nobody else has an address or a route. */
  #isAlone(prefix: Prefix, { index }: Link): boolean {
    this.#addresses ??= listAddresses(this.#route, 0);
    const within = this.#addresses.filter(({ address }) => prefixContains(prefix, address));
    if (within.some((address) => address.index !== index)) return false;
    if (isSingle(prefix)) return within.length > 0;
    const subnets = this.#addresses.filter((address) => address.index === index);
    if (!subnets.some(({ address, peer, length }) => isWithin(prefix, { address: peer ?? address, length })))
      return false;
    // A pod's address is in no interface of the node, but there is a route to it.
    return listRoutesWithin(this.#route, prefix).every((found) =>
      devicesOf(this.#route, found).every((each) => each === index),
    );
  }
}

/** "one of this node's default routes", "this node's route to 10.96.0.0/12 (table 100)". */
export function describeRoute({ dst, table }: KernelRoute): string {
  const what = dst.length === 0 ? "one of this node's default routes" : `this node's route to ${formatPrefix(dst)}`;
  return table === c.RT_TABLE_MAIN ? what : `${what} (table ${table})`;
}
