// What a configuration asks host-local for, checked before anything is touched.
import type { Call, NetworkConfig } from "../../src/cni/plugin.ts";
import { confinePath, type Place } from "../../src/config/policy.ts";
import { CniError, Code } from "../../src/errors.ts";
import { type Address, formatAddress, parseAddress, parsePrefix } from "../../src/ip/address.ts";
import {
  equalAddresses,
  type Interval,
  IntervalMap,
  lastAddress,
  mergeIntervals,
  networkAddress,
} from "../../src/ip/range.ts";
import type { RouteSpec } from "../../src/link/route.ts";
import { type RouteConfig, readRoutes } from "../../src/plugin/routes.ts";
import { type Range, type RangeConfig, type RangeSet, rangeSets } from "./ranges.ts";

export interface HostLocalConfig extends NetworkConfig {
  ipam?: RangeConfig & {
    type?: string;
    ranges?: RangeConfig[][];
    routes?: RouteConfig[];
    dataDir?: string;
    resolvConf?: string;
    exclude?: string[];
  };
  runtimeConfig?: { ipRanges?: RangeConfig[][]; ips?: string[] };
  args?: { cni?: { ips?: string[] } };
}

export interface Plan {
  /** Set N is that of `last_reserved_ip.N`. */
  sets: RangeSet[];
  /** The address asked for, by set. */
  wanted: (Address | undefined)[];
  /** All ranges of all sets. */
  ranges: IntervalMap<SetRange>;
  /** Addresses that are not handed out. */
  excluded: IntervalMap<Interval>;
  routes: RouteSpec[];
  resolvConf: string | undefined;
  directory: Place;
}

/** A range, and which set it is of. */
type SetRange = Range & { index: number };

export const DATA_DIR = "/var/lib/cni/networks";

const plans = new WeakMap<Call<HostLocalConfig>, Plan>();

/** Throws CniError(invalidConfig). Once for a call, which is checked first and served later. */
export function planOf(call: Call<HostLocalConfig>): Plan {
  let plan = plans.get(call);
  if (plan === undefined) {
    plan = makePlan(call);
    plans.set(call, plan);
  }
  return plan;
}

function makePlan(call: Call<HostLocalConfig>): Plan {
  const { ipam, runtimeConfig } = call.config;
  if (ipam === undefined) throw invalid("IPAM config missing 'ipam' key", 'Give "ipam" with "type" and "ranges".');
  // The order is that of the Go plugin, whose files last_reserved_ip.N count through it.
  const sources = [
    ...(runtimeConfig?.ipRanges ?? []).map((ranges, i) => ({ where: `runtimeConfig.ipRanges[${i}]`, ranges })),
    ...(ipam.subnet === undefined ? [] : [{ where: "ipam", ranges: [ipam] }]),
    ...(ipam.ranges ?? []).map((ranges, i) => ({ where: `ipam.ranges[${i}]`, ranges })),
  ];
  const sets = rangeSets(sources, call.version);
  const ranges = new IntervalMap(sets.flatMap((set, index) => set.map((range) => ({ ...range, index }))));
  const excluded = new IntervalMap(mergeIntervals((ipam.exclude ?? []).map(parseExcluded)));
  const resolvConf = ipam.resolvConf || undefined;
  if (resolvConf !== undefined) confinePath("resolvConf", resolvConf);
  return {
    sets,
    wanted: distribute(requested(call), sets.length, ranges, excluded),
    ranges,
    excluded,
    routes: readRoutes(ipam.routes),
    resolvConf,
    directory: leaseDirectory(call),
  };
}

/** `<dataDir>/<network>`. Throws CniError(invalidConfig) when configurations may not name it. */
export function leaseDirectory(call: Call<HostLocalConfig>): Place {
  const dataDir = call.config.ipam?.dataDir || DATA_DIR;
  if (dataDir !== DATA_DIR) confinePath("dataDir", dataDir);
  // The network's name may be that of a directory that is somebody else's.
  return confinePath("dataDir", `${dataDir}/${call.attachment.network}`);
}

/** Addresses asked for by name, each once. `args` makes CNI_ARGS void (spec C-142). */
function requested(call: Call<HostLocalConfig>): Address[] {
  const { args, runtimeConfig } = call.config;
  const byArgs = args?.cni?.ips ?? [];
  const byEnvironment = byArgs.length === 0 ? call.args.get("IP") : undefined;
  const texts = [...(byEnvironment ? [byEnvironment] : []), ...byArgs, ...(runtimeConfig?.ips ?? [])];
  const addresses: Address[] = [];
  for (const text of texts) {
    const address = text.includes("/") ? parsePrefix(text)?.address : parseAddress(text);
    if (address === undefined) throw notAnAddress(text, text === byEnvironment);
    if (!addresses.some((other) => equalAddresses(other, address))) addresses.push(address);
  }
  return addresses;
}

function notAnAddress(text: string, byEnvironment: boolean): CniError {
  if (byEnvironment) return new CniError(Code.invalidEnvironment, `invalid IP address ${text}`, "IP in CNI_ARGS.");
  const message = text === "" ? "cannot understand ip: IP <nil> not v4 nor v6" : `invalid IP address ${text}`;
  return invalid(message, 'Addresses in "args.cni.ips" and "runtimeConfig.ips" look like "10.1.2.3" or "10.1.2.3/24".');
}

/** One address for a set. Throws when some are left over, or not for pods. */
function distribute(
  addresses: Address[],
  sets: number,
  ranges: IntervalMap<SetRange>,
  excluded: IntervalMap<Interval>,
): (Address | undefined)[] {
  const wanted = new Array<Address | undefined>(sets).fill(undefined);
  const left: Address[] = [];
  const unusable: string[] = [];
  for (const address of addresses) {
    const range = ranges.find(address);
    if (range === undefined || wanted[range.index] !== undefined) {
      left.push(address);
      continue;
    }
    wanted[range.index] = address;
    const why = reserved(address, range, excluded);
    if (why !== "") unusable[range.index] = `requested ip ${formatAddress(address)} is ${why}`;
  }
  const first = unusable.findIndex((why) => why !== undefined);
  if (first >= 0) {
    throw new CniError(
      Code.generic,
      `failed to allocate for range ${first}: ${unusable[first]}`,
      "Ask for another one.",
    );
  }
  if (left.length === 0) return wanted;
  throw new CniError(
    Code.generic,
    `failed to allocate all requested IPs: ${left.map(formatAddress).join(" ")}`,
    "Each must lie in a range set, and a set gives one address only.",
  );
}

/** Why an address of a range is not for pods; "" when it is. */
function reserved(address: Address, range: Range, excluded: IntervalMap<Interval>): string {
  if (range.gateway !== undefined && equalAddresses(address, range.gateway)) return "subnet's gateway";
  return excluded.find(address) !== undefined ? 'excluded by "ipam.exclude"' : "";
}

function parseExcluded(text: string, i: number): Interval {
  const prefix = text.includes("/") ? parsePrefix(text) : undefined;
  if (prefix !== undefined) return { first: networkAddress(prefix), last: lastAddress(prefix) };
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid IP address: ${text}`, `This is "ipam.exclude[${i}]".`);
  return { first: address, last: address };
}

function invalid(message: string, details: string): CniError {
  return new CniError(Code.invalidConfig, message, details);
}
