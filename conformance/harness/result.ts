// The V-rules: what every successful result must satisfy, by spec version.
import { addressFamily, parsePrefix } from "./address.ts";

export interface ResultInterface {
  name: string;
  mac?: string;
  sandbox?: string;
  mtu?: number;
  pciID?: string;
  socketPath?: string;
}

export interface ResultIp {
  address: string;
  gateway?: string;
  interface?: number;
  version?: string;
}

export interface ResultRoute {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number;
  scope?: number;
}

export interface OldFamily {
  ip: string;
  gateway?: string;
  routes?: ResultRoute[];
}

export interface Result {
  cniVersion: string;
  interfaces?: ResultInterface[];
  ips?: ResultIp[];
  routes?: ResultRoute[];
  dns?: { nameservers?: string[]; domain?: string; search?: string[]; options?: string[] };
  ip4?: OldFamily;
  ip6?: OldFamily;
}

export const SPEC_VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export function isOld(version: string): boolean {
  return version === "0.1.0" || version === "0.2.0";
}

/** True for 0.3.0 to 0.4.0, whose ips carry `version`. */
export function isMiddle(version: string): boolean {
  return version === "0.3.0" || version === "0.3.1" || version === "0.4.0";
}

interface Shape {
  readonly required: readonly string[];
  readonly optional: readonly string[];
}

function shapes(version: string): Record<"top" | "interface" | "ip" | "route", Shape> {
  const last = version === "1.1.0";
  // Keys of 1.1.0 that the Go library reads and writes in 1.0.0 too: sriov-cni reports the mtu, and Multus hands it on.
  const described = last || version === "1.0.0" ? ["mtu", "socketPath", "pciID"] : [];
  return {
    top: { required: ["cniVersion"], optional: ["interfaces", "ips", "routes", "dns"] },
    interface: { required: ["name"], optional: ["mac", "sandbox", ...described] },
    ip: { required: isMiddle(version) ? ["address", "version"] : ["address"], optional: ["gateway", "interface"] },
    route: { required: ["dst"], optional: ["gw", ...(last ? ["mtu", "advmss", "priority", "table", "scope"] : [])] },
  };
}

/** Breaches of V1 to V3, V8 and V10 (shape only); empty when the result is well-formed for the version. */
export function shapeFaults(result: unknown, version: string, ipam: boolean): string[] {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return ["V1: the result is no object"];
  const faults: string[] = [];
  nulls(result, "result", faults);
  const r = result as Result;
  if (r.cniVersion !== version) faults.push(`V2: cniVersion ${JSON.stringify(r.cniVersion)} instead of "${version}"`);
  if (isOld(version)) oldFaults(r, faults);
  else newFaults(r, version, ipam, faults);
  return faults;
}

function oldFaults(r: Result, faults: string[]): void {
  keys(r, { required: ["cniVersion"], optional: ["ip4", "ip6", "dns"] }, "result", faults);
  for (const [name, family] of [
    ["ip4", 4],
    ["ip6", 6],
  ] as const) {
    const part = r[name];
    if (part === undefined) continue;
    keys(part, { required: ["ip"], optional: ["gateway", "routes"] }, name, faults);
    cidr(part.ip, `${name}.ip`, faults, family);
    gateway(part.gateway, family, `${name}.gateway`, faults);
    for (const route of part.routes ?? []) {
      keys(route, { required: ["dst"], optional: ["gw"] }, `${name}.routes[]`, faults);
      routeFaults(route, `${name}.routes[]`, faults, family);
    }
  }
  if (r.ip4 === undefined && r.ip6 === undefined) faults.push("V1: neither ip4 nor ip6");
}

function newFaults(r: Result, version: string, ipam: boolean, faults: string[]): void {
  const shape = shapes(version);
  keys(r, shape.top, "result", faults);
  if (ipam && r.interfaces !== undefined) faults.push("V1: an IPAM result has interfaces");
  if (!ipam && (r.interfaces ?? []).length === 0) faults.push("V1: no interfaces");
  for (const item of r.interfaces ?? []) keys(item, shape.interface, "interfaces[]", faults);
  for (const ip of r.ips ?? []) {
    keys(ip, shape.ip, "ips[]", faults);
    const family = cidr(ip.address, "ips[].address", faults);
    if (family !== undefined) gateway(ip.gateway, family, "ips[].gateway", faults);
    if (isMiddle(version) && ip.version !== String(family)) faults.push(`V10: version ${ip.version} of ${ip.address}`);
    if (ipam && ip.interface !== undefined) faults.push("V1: an IPAM result has an interface index");
    if (!ipam && ip.interface === undefined) faults.push("V4: an address without interface index");
  }
  for (const route of r.routes ?? []) {
    keys(route, shape.route, "routes[]", faults);
    routeFaults(route, "routes[]", faults);
  }
}

function keys(value: object, shape: Shape, where: string, faults: string[]): void {
  for (const key of shape.required) if (!(key in value)) faults.push(`V1: ${where} lacks ${key}`);
  for (const key of Object.keys(value)) {
    if (!shape.required.includes(key) && !shape.optional.includes(key)) faults.push(`V1: ${where} has unknown ${key}`);
  }
}

function cidr(text: unknown, where: string, faults: string[], want?: 4 | 6): 4 | 6 | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined) faults.push(`V3: ${where} is ${JSON.stringify(text)}`);
  else if (want !== undefined && prefix.family !== want) faults.push(`V3: ${where} is of the other family`);
  return prefix?.family;
}

function gateway(text: unknown, family: 4 | 6, where: string, faults: string[]): void {
  if (text === undefined) return;
  if (typeof text !== "string" || addressFamily(text) !== family)
    faults.push(`V3: ${where} is ${JSON.stringify(text)}`);
}

function routeFaults(route: ResultRoute, where: string, faults: string[], want?: 4 | 6): void {
  const family = cidr(route.dst, `${where}.dst`, faults, want);
  if (family !== undefined) gateway(route.gw, family, `${where}.gw`, faults);
}

function nulls(value: unknown, where: string, faults: string[]): void {
  if (value === null) faults.push(`V8: ${where} is null`);
  else if (typeof value === "object") for (const [k, v] of Object.entries(value)) nulls(v, `${where}.${k}`, faults);
}
