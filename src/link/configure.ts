// Sets the addresses and routes of an interface, and announces them (announce.ts). check.ts checks whether the interface still has them.
import { Failure } from "../errors.ts";
import { formatAddress, formatPrefix } from "../ip/address.ts";
import { log } from "../log.ts";
import { IFA_F_NODAD, IFA_F_OPTIMISTIC } from "../netlink/constants.ts";
import type { NetlinkError } from "../netlink/errors.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { beginAddAddress, broadcastOf, listAddresses } from "./address.ts";
import { replaceLearnt } from "./advertised.ts";
import { announceByPackets, beginAnnouncing } from "./announce.ts";
import { RTMGRP_IPV6_IFADDR, settleAddresses } from "./dad.ts";
import { holderOfAddress, holderOfMac } from "./held.ts";
import { beginSetLink, getLink, setLink } from "./link.ts";
import { inNamespace, type NetNs } from "./namespace.ts";
import { beginAddRoute, type NewRoute } from "./route.ts";
import { describeRoute, planRoutes, type RoutePlan } from "./route-plan.ts";
import type { AddressSpec, InterfaceSpec } from "./spec.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

export interface ConfigureOptions {
  /**
   * Duplicate address detection of the IPv6 addresses. "wait" (default): as the Go plugins do, wait for its end only when an IPv6
   * gateway is given. "always": wait for it. "skip": none, the addresses are usable at once. "optimistic": usable at once while it runs
   * (RFC 4429).
   */
  dad?: "wait" | "always" | "skip" | "optimistic";
  /** accept_ra=0: no addresses or routes from router advertisements (CVE-2020-10749). For links we create. */
  ignoreRouterAdvertisements?: boolean;
  /** arp_notify=1 and ndisc_notify=1, so that the kernel too announces addresses when the link comes up. Failure is ignored. */
  notify?: boolean;
  /** The interface's MAC: the addresses are announced (announce.ts), as far as the kernel does it in the same send. */
  announce?: string;
}

const EEXIST = 17;
const IPV6_MIN_MTU = 1280;
/** IFA_F_OPTIMISTIC counts only while the sysctl optimistic_dad allows it. */
const DAD_FLAGS = { wait: 0, always: 0, skip: IFA_F_NODAD, optimistic: IFA_F_OPTIMISTIC };

/**
 * Addresses, up, DAD, routes, in the order of the Go plugins' ConfigureIface, addresses and routes in one send each; then the announcements,
 * which cost a round trip of their own only where DAD is waited for.
 * Undo is the caller's: the link is removed or moved back. Throws Failure naming the address or route and the cure.
 */
export function configureInterface(
  pod: NetNs,
  index: number,
  name: string,
  spec: InterfaceSpec,
  options: ConfigureOptions = {},
): void {
  let plan = planRoutes(spec);
  const ipv6 = spec.ips.some((ip) => ip.address.address.family === 6);
  const dad = options.dad ?? "wait";
  const wait = spec.ips.some((ip) =>
    dad === "always" ? ip.address.address.family === 6 : dad === "wait" && ip.gateway?.family === 6,
  );
  if (plan.uncovered.length > 0) {
    // The interface may have more addresses than we are about to give it.
    plan = planRoutes(
      spec,
      listAddresses(pod.route, index, 0, name).map(({ address, length }) => ({ address, length })),
    );
  }
  for (const gateway of plan.uncovered) {
    log("warning", "a gateway is not in any subnet of the interface; routes through it get the onlink flag", {
      gateway: formatAddress(gateway),
      interface: name,
    });
  }
  let notifications: RouteSocket | undefined;
  if (ipv6 || options.ignoreRouterAdvertisements === true || options.notify === true) {
    inNamespace(pod, () => {
      prepareSysctls(name, ipv6, options);
      if (wait) notifications = RouteSocket.open(RTMGRP_IPV6_IFADDR);
    });
  }
  try {
    const route = pod.route;
    for (const ip of spec.ips) {
      const flags = ip.address.address.family === 6 ? DAD_FLAGS[dad] : 0;
      beginAddAddress(route, index, { prefix: ip.address, flags, broadcast: broadcastOf(ip.address) });
    }
    beginSetLink(route, index, { up: true });
    if (notifications === undefined) {
      // Nothing to wait for: one send.
      beginRoutes(route, index, name, plan);
      const rest = beginAnnouncing(route, index, name, options.announce ?? "", spec.ips);
      throwRefusals(pod, index, name, route.runEach(), spec, plan);
      announceByPackets(pod, index, name, options.announce ?? "", rest);
      return;
    }
    throwRefusals(pod, index, name, route.runEach(), spec, { ...plan, routes: [] });
    settleAddresses(route, notifications, index, name);
    beginRoutes(route, index, name, plan);
    const rest = beginAnnouncing(route, index, name, options.announce ?? "", spec.ips);
    throwRouteRefusals(route, index, name, route.runEach(), plan);
    announceByPackets(pod, index, name, options.announce ?? "", rest);
  } finally {
    notifications?.close();
  }
}

/**
 * Sets up an interface that has no addresses yet, for an IPAM plugin that asks over it. Before it is up: the kernel would take a router's
 * advertisement at once.
 */
export function bringUp(pod: NetNs, index: number, name: string, options: ConfigureOptions): void {
  inNamespace(pod, () => prepareSysctls(name, false, options));
  setLink(pod.route, index, { up: true });
}

function beginRoutes(route: RouteSocket, index: number, name: string, plan: RoutePlan): void {
  for (const planned of plan.routes) beginAddRoute(route, () => addition(name, planned), index, planned);
}

function addition(name: string, planned: NewRoute): string {
  return `ip route add ${describeRoute(planned)} dev ${name}`;
}

/** Answers to addresses, up and (perhaps) routes, in this order. Throws Failure for the first refusal. */
function throwRefusals(
  pod: NetNs,
  index: number,
  name: string,
  results: (NetlinkError | undefined)[],
  spec: InterfaceSpec,
  plan: RoutePlan,
): void {
  for (let i = 0; i <= spec.ips.length; i++) {
    const error = results[i];
    if (error === undefined) continue;
    const cure = i < spec.ips.length ? addressCure(pod, index, error, spec.ips[i]!) : upCure(pod, index, error);
    throw new Failure("failed", `cannot configure ${name}: ${error.message}`, cure);
  }
  throwRouteRefusals(pod.route, index, name, results.slice(spec.ips.length + 1), plan);
}

/** Refusals of an address or a MAC that another interface of the same master has. */
const TAKEN = ["EADDRINUSE", "EBUSY"];

function addressCure(pod: NetNs, index: number, error: NetlinkError, { address }: AddressSpec): string {
  if (error.code === "EEXIST")
    return "The interface already has this address. The IPAM result contains it twice, or another program set it.";
  if (error.code === "EACCES" || error.code === "EOPNOTSUPP")
    return "IPv6 is disabled in the pod. Enable it, or remove the IPv6 address.";
  if (!TAKEN.includes(error.code)) return "";
  const text = formatAddress(address.address);
  return inUse(
    `The address ${text}`,
    holderOfAddress(pod, index, address.address),
    "IPAM must give each address to only one pod.",
  );
}

function upCure(pod: NetNs, index: number, error: NetlinkError): string {
  if (!TAKEN.includes(error.code)) return "";
  const mac = getLink(pod.route, index)?.mac ?? "";
  const holder = holderOfMac(pod, index, mac);
  return inUse(`The MAC address ${mac}`, holder, "Choose another MAC address, or let the kernel choose one.");
}

function inUse(what: string, holder: string, cure: string): string {
  const who = holder === "" ? "another interface on the same master" : holder;
  return `${what} is in use by ${who}. ${cure}`;
}

function throwRouteRefusals(
  route: RouteSocket,
  index: number,
  name: string,
  results: (NetlinkError | undefined)[],
  plan: RoutePlan,
): void {
  for (const [i, planned] of plan.routes.entries()) {
    let error = results[i];
    // Without NLM_F_EXCL the kernel says EEXIST of IPv4 only when it has exactly this route.
    if (error?.errno === EEXIST) {
      error =
        planned.dst.address.family === 4 ? undefined : replaceLearnt(route, addition(name, planned), index, planned);
    }
    if (error === undefined) continue;
    throw new Failure("failed", `cannot configure ${name}: ${error.message}`, routeCure(error, planned));
  }
}

function routeCure(error: NetlinkError, { dst }: NewRoute): string {
  if (dst.address.family === 6 && ["EOPNOTSUPP", "EAFNOSUPPORT", "EACCES"].includes(error.code))
    return `IPv6 is disabled on this node or on the interface. Remove the route ${formatPrefix(dst)} from the configuration.`;
  if (error.code === "ENETUNREACH")
    return "The gateway is not reachable on this interface. Add its subnet, or an on-link route to it.";
  if (error.code === "EINVAL")
    return "The kernel does not accept such a route. The gateway might be a broadcast or multicast address.";
  return "";
}

/** Settings of the interface in the namespace this process is in. Throws Failure for those without which addresses do not work. */
function prepareSysctls(name: string, ipv6: boolean, options: ConfigureOptions): void {
  if (options.notify === true) {
    trySysctl(`net/ipv4/conf/${name}/arp_notify`, "1");
    trySysctl(`net/ipv6/conf/${name}/ndisc_notify`, "1");
  }
  if (options.ignoreRouterAdvertisements === true) trySysctl(`net/ipv6/conf/${name}/accept_ra`, "0");
  if (!ipv6) return;
  for (const device of ["lo", name]) {
    const disabled = readSysctl(`net/ipv6/conf/${device}/disable_ipv6`);
    if (disabled !== undefined && disabled !== "0") writeSysctl(`net/ipv6/conf/${device}/disable_ipv6`, "0");
  }
  // Addresses stay when the link goes down; the Go plugins insist on it since 1.7.
  const keep = readSysctl(`net/ipv6/conf/${name}/keep_addr_on_down`);
  if (keep === undefined) {
    throw withoutIpv6(name);
  }
  // Without it the pod works until somebody takes its interface down: no reason to fail where /proc/sys is read-only.
  if (keep !== "1") trySysctl(`net/ipv6/conf/${name}/keep_addr_on_down`, "1");
  if (options.dad === "optimistic") trySysctl(`net/ipv6/conf/${name}/optimistic_dad`, "1");
}

/** Before anything is changed: what would be refused later. `mtu`: what the interface will have. Throws Failure. */
export function requireIpv6(name: string, mtu: number, ips: InterfaceSpec["ips"]): void {
  if (!ips.some(isIpv6)) return;
  if (readSysctl(HAS_IPV6) === undefined) throw withoutIpv6(name);
  refuseSmallMtu(name, mtu, ips);
}

const isIpv6 = ({ address }: AddressSpec): boolean => address.address.family === 6;

/** The same of the MTU alone. */
export function refuseSmallMtu(name: string, mtu: number, ips: InterfaceSpec["ips"]): void {
  if (mtu < IPV6_MIN_MTU && ips.some(isIpv6)) throw smallMtu(name);
}

/** The kernel has it when it supports IPv6. */
const HAS_IPV6 = "net/ipv6/conf/all/disable_ipv6";

const without = (name: string): string => `cannot give ${name} an IPv6 address`;

/** The interface has no IPv6 settings: neither has any, or its MTU is too small for IPv6. */
function withoutIpv6(name: string): Failure {
  if (readSysctl(HAS_IPV6) !== undefined) return smallMtu(name);
  const cure = "Boot without ipv6.disable=1, or remove IPv6 addresses from the IPAM configuration.";
  return new Failure("failed", `${without(name)}: the kernel does not support IPv6`, cure);
}

function smallMtu(name: string): Failure {
  return new Failure(
    "invalid config",
    `${without(name)}: its MTU is below ${IPV6_MIN_MTU}, the minimum for IPv6`,
    `Raise "mtu" (and the MTU of the master or bridge) to at least ${IPV6_MIN_MTU}, or remove IPv6 addresses from the IPAM configuration.`,
  );
}

/** For settings whose lack is no reason to fail (a kernel without the option, a read-only /proc/sys). */
function trySysctl(key: string, value: string): void {
  try {
    writeSysctl(key, value);
  } catch (error) {
    log("debug", `cannot set ${key}`, { cause: String(error) });
  }
}
