// The result of an ADD, in one format for all versions of the specification: the format of 1.1.0, with parsed addresses. result-json.ts
// converts it from and to the format of each version.
import type { RouteSpec } from "../link/route.ts";
import type { AddressSpec } from "../link/spec.ts";

export interface Interface {
  name: string;
  /** Lower-case colon form; absent when the interface has no link-layer address. */
  mac?: string;
  mtu?: number;
  /** CNI_NETNS, unchanged; absent for an interface on the host. */
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}

export interface IpConfig extends AddressSpec {
  /** Index into `interfaces`; IPAM plugins leave it out. */
  interface?: number;
}

export type Route = RouteSpec;

export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

export interface Result {
  interfaces: Interface[];
  ips: IpConfig[];
  routes: Route[];
  dns: Dns;
}

export function emptyResult(): Result {
  return { interfaces: [], ips: [], routes: [], dns: {} };
}
