// Gives an interface its addresses and routes, and checks that it still has them.
import type { Address, Prefix } from "../ip/address.ts";
import type { NetNs } from "./namespace.ts";
import type { RouteSpec } from "./route.ts";

export interface AddressSpec {
  address: Prefix;
  gateway?: Address;
}

/** What an interface is to have. cni/result.ts has the same shape. */
export interface InterfaceSpec {
  ips: AddressSpec[];
  routes: RouteSpec[];
}

export interface ConfigureOptions {
  /** Wait for duplicate address detection: as the Go plugins do (only when an IPv6 gateway is given), or never. */
  dad?: "wait" | "skip" | "optimistic";
}

/**
 * Addresses, up, DAD, routes, in the order of the Go plugins' ConfigureIface, addresses and routes in one send each.
 * Undo is the caller's: the link is removed or moved back. Throws CniError naming the address or route and the cure.
 */
export function configureInterface(
  _pod: NetNs,
  _index: number,
  _name: string,
  _spec: InterfaceSpec,
  _options: ConfigureOptions = {},
): void {
  throw new Error("not built yet");
}

/** CHECK: up, every address with its prefix length, every route in its table with its next hop, metric and device. Throws CniError for the first thing missing. */
export function checkInterface(_pod: NetNs, _index: number, _name: string, _spec: InterfaceSpec): void {
  throw new Error("not built yet");
}

/** 2 gratuitous ARP requests or unsolicited neighbour advertisements per address, from the interface itself. Never fails. */
export function announceAddresses(_pod: NetNs, _index: number, _name: string, _mac: string, _ips: AddressSpec[]): void {
  throw new Error("not built yet");
}
