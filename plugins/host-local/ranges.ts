// Range sets: checks the ranges in a configuration and fills in default values. host-local allocates one address from each set. Error messages
// are the same as the Go plugin's, which people and scripts know. `details` says where the error is and what to do.

import { orFail, type Try } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import {
  type Address,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../src/ip/address.ts";
import {
  type Interval,
  intervalContains,
  isNetwork,
  lastAddress,
  networkAddress,
  nextAddress,
  overlappingPair,
  prefixContains,
  previousAddress,
} from "../../src/ip/range.ts";
import type { RangeConfig } from "./config.schema.ts";

/** Addresses `first` to `last` of a subnet, without the gateway. */
export interface Range extends Interval {
  readonly subnet: Prefix;
  readonly gateway: Address | undefined;
}

export type RangeSet = readonly Range[];

/** One set, as a configuration describes it. */
export interface SetConfig {
  /** Its name in messages, such as "ipam.ranges[0]". */
  where: string;
  /** JSON pointers of the set and of its ranges. */
  at: string;
  ranges: { at: string; config: RangeConfig }[];
}

/**
 * Returns the sets in the order of `last_reserved_ip.N`. Throws Failure("invalid config"). undefined: at least one set is invalid, and `attempt` does
 * not throw.
 */
export function rangeSets(sets: SetConfig[], version: string, attempt = orFail): RangeSet[] | undefined {
  if (sets.length === 0) throw invalid("no IP ranges specified", 'Add "ranges" (or "subnet") to "ipam".');
  const whole: RangeSet[] = [];
  sets.forEach(({ where, at, ranges }, index) => {
    const inSet: Try = (at, rule) => attempt(at, () => naming(index, where, rule));
    const set = rangeSet(ranges, at, inSet);
    if (set !== undefined) whole.push(set);
  });
  if (whole.length < sets.length) return undefined;
  attempt("/cniVersion", () => checkFamilies(whole, version));
  // rangeSet has made sure that the ranges of one set do not overlap.
  const pair = overlappingPair(whole.flat());
  if (pair === undefined) return whole;
  const owners = whole.flatMap((set, index) => set.map(() => index));
  const [i, j] = [owners[pair[0]]!, owners[pair[1]]!];
  const later = sets.flatMap(({ ranges }) => ranges)[Math.max(...pair)]!;
  return attempt(later.at, () => {
    const details = `${sets[i]!.where} and ${sets[j]!.where} would allocate the same addresses.`;
    throw invalid(`range set ${i} overlaps with ${j}`, details);
  });
}

/** Adds to an error in which set it is. */
function naming<T>(index: number, where: string, rule: () => T): T {
  try {
    return rule();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw invalid(`invalid range set ${index}: ${error.message}`, `${where}: ${error.details}`);
  }
}

/** `first-last`, as messages name a range. */
export function formatRange(range: Interval): string {
  return `${formatAddress(range.first)}-${formatAddress(range.last)}`;
}

export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

/** The range of the set that contains `address`. */
export function rangeOf(set: RangeSet, address: Address): Range | undefined {
  return set.find((range) => intervalContains(range, address));
}

/** undefined: the set is invalid, and `attempt` does not throw. */
function rangeSet(configs: SetConfig["ranges"], at: string, attempt: Try): RangeSet | undefined {
  const set: Range[] = [];
  for (const { at, config } of configs) {
    const made = range(config, at, attempt);
    if (made !== undefined) set.push(made);
  }
  if (set.length < configs.length) return undefined;
  if (set.length === 0) {
    return attempt(at, () => {
      throw invalid("empty range set", "Add at least one range, or remove the set.");
    });
  }
  const other = set.findIndex(({ first }) => first.family !== set[0]!.first.family);
  if (other >= 0) {
    return attempt(configs[other]!.at, () => {
      throw invalid("mixed address families", "A set allocates one address. Put IPv4 and IPv6 in separate sets.");
    });
  }
  const pair = overlappingPair(set);
  if (pair === undefined) return set;
  return attempt(configs[Math.max(...pair)]!.at, () => {
    const [a, b] = [set[pair[0]]!, set[pair[1]]!];
    throw invalid(`subnets ${formatRange(a)} and ${formatRange(b)} overlap`, "Each address can be in only one range.");
  });
}

// Checks only the keys that are there: an ADD spends as much on the rule for a missing key, and most ranges have neither start nor end.
function range(config: RangeConfig, at: string, attempt: Try): Range | undefined {
  const subnet = attempt(`${at}/subnet`, () => parseSubnet(config.subnet));
  const bound = (key: "rangeStart" | "rangeEnd"): Address | null | undefined => {
    const text = config[key];
    return text ? attempt(`${at}/${key}`, () => parseKey(text, key)) : null;
  };
  const last = bound("rangeEnd");
  const first = bound("rangeStart");
  if (subnet === undefined) return undefined;
  const usable = { first: nextAddress(subnet.address)!, last: lastUsable(subnet) };
  const startFits = first == null || attempt(`${at}/rangeStart`, () => checkStart(subnet, first, last));
  // With "rangeStart", a range may begin with the subnet's own address.
  const lowest = first === null ? usable.first : networkAddress(subnet);
  const endFits = last == null || attempt(`${at}/rangeEnd`, () => checkEnd(subnet, last, lowest));
  const leading = attempt(`${at}/gateway`, () => gateway(config, subnet));
  if (first === undefined || last === undefined || !startFits || !endFits || leading === undefined) return undefined;
  return { subnet, first: first ?? usable.first, last: last ?? usable.last, gateway: leading ?? undefined };
}

function checkStart(subnet: Prefix, start: Address, end: Address | null | undefined): boolean {
  if (!prefixContains(subnet, start)) {
    throw invalid(
      `RangeStart ${formatAddress(start)} not in network ${formatPrefix(subnet)}`,
      '"rangeStart" must be in "subnet".',
    );
  }
  const order = end != null && prefixContains(subnet, end) ? { first: start, last: end } : undefined;
  if (order !== undefined && !intervalContains(order, start)) {
    throw invalid(
      `RangeStart ${formatAddress(start)} is above RangeEnd ${formatAddress(order.last)}`,
      'A range goes from "rangeStart" up to "rangeEnd". Swap them, or correct one.',
    );
  }
  return true;
}

function checkEnd(subnet: Prefix, end: Address, lowest: Address): boolean {
  if (!prefixContains(subnet, end)) {
    throw invalid(
      `RangeEnd ${formatAddress(end)} not in network ${formatPrefix(subnet)}`,
      '"rangeEnd" must be in "subnet".',
    );
  }
  if (!intervalContains({ first: lowest, last: lastAddress(subnet) }, end)) {
    throw invalid(
      `RangeEnd ${formatAddress(end)} is the address of the network ${formatPrefix(subnet)} itself`,
      `The first address that a pod can get is ${formatAddress(lowest)}.`,
    );
  }
  return true;
}

function parseSubnet(text: string | undefined): Prefix {
  if (text === undefined) throw invalid('a range has no "subnet"', 'Give each range a "subnet" like "10.1.2.0/24".');
  const subnet = parsePrefix(text);
  if (subnet === undefined) throw invalid(`invalid CIDR address: ${text}`, 'Write "subnet" like "10.1.2.0/24".');
  const bits = subnet.address.bytes.length * 8;
  if (subnet.length > bits - 2) {
    throw invalid(
      `Network ${formatPrefix(subnet)} too small to allocate from`,
      `The longest prefix that has room for a gateway and a pod is /${bits - 2}.`,
    );
  }
  if (subnet.address.family === 4 && text.includes(":")) {
    throw invalid("IPNet IP and Mask version mismatch", `Write ${formatPrefix(subnet)}.`);
  }
  if (!isNetwork(subnet)) {
    const network = formatAddress(networkAddress(subnet));
    throw invalid(
      `Network has host bits set. For a subnet mask of length ${subnet.length} the network address is ${network}`,
      `Write ${network}/${subnet.length}.`,
    );
  }
  return subnet;
}

/** The last address of the subnet, or for IPv4 the address before it, because the last is the broadcast address. */
function lastUsable(subnet: Prefix): Address {
  const last = lastAddress(subnet);
  return last.family === 4 ? previousAddress(last)! : last;
}

/** The gateway may be outside the subnet (an on-link route leads there), but must be of the same address family. null: there is none. */
function gateway(config: RangeConfig, subnet: Prefix): Address | null {
  if (config.noGateway === true) return null;
  const address = config.gateway ? parseKey(config.gateway, "gateway") : nextAddress(subnet.address)!;
  if (address.family !== subnet.address.family) {
    throw invalid(
      `gateway ${formatAddress(address)} is not of the same family as ${formatPrefix(subnet)}`,
      "Use a gateway of the subnet's address family.",
    );
  }
  return address;
}

/** Throws Failure("invalid config") if `text` is not an address. */
function parseKey(text: string, key: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid IP address: ${text}`, `Correct "${key}" in the range.`);
  return address;
}

/** Before version 0.3.0, a result had room for only one address of each family. */
function checkFamilies(sets: RangeSet[], version: string): void {
  if (!version.startsWith("0.1.") && !version.startsWith("0.2.")) return;
  for (const family of [4, 6]) {
    if (sets.filter((set) => set[0]!.first.family === family).length > 1) {
      throw invalid(
        `CNI version ${version} does not support more than 1 address per family`,
        'Raise "cniVersion" to 0.3.0 or later, or keep only one set per family.',
      );
    }
  }
}

function invalid(message: string, details: string): Failure {
  return new Failure("invalid config", message, details);
}
