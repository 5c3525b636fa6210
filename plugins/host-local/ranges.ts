// Range sets: what the configuration asks for, made whole and checked. One address is handed out per set.
// Texts of errors are the Go plugin's, which people and scripts know; `details` says where and what to do.

import { CniError, Code } from "../../src/errors.ts";
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

/** A range as configurations write it. */
export type RangeConfig = {
  subnet?: string;
  rangeStart?: string;
  rangeEnd?: string;
  gateway?: string;
  /** No gateway in the result, and no address kept free for one. */
  noGateway?: boolean;
};

/** Addresses `first` to `last` of a subnet, without the gateway. */
export interface Range extends Interval {
  readonly subnet: Prefix;
  readonly gateway: Address | undefined;
}

export type RangeSet = readonly Range[];

/**
 * The sets in the order of `last_reserved_ip.N`. `where` names each set for messages ("ipam.ranges[0]").
 * Throws CniError(invalidConfig).
 */
export function rangeSets(sets: { where: string; ranges: RangeConfig[] }[], version: string): RangeSet[] {
  if (sets.length === 0) throw invalid("no IP ranges specified", 'Give "ranges" (or "subnet") in "ipam".');
  const whole = sets.map(({ where, ranges }, index) => {
    try {
      return rangeSet(ranges);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      throw invalid(`invalid range set ${index}: ${error.message}`, `${where}: ${error.details}`);
    }
  });
  checkFamilies(whole, version);
  // Within a set none overlap any more.
  const pair = overlappingPair(whole.flat());
  if (pair === undefined) return whole;
  const owners = whole.flatMap((set, index) => set.map(() => index));
  const [i, j] = [owners[pair[0]]!, owners[pair[1]]!];
  const details = `${sets[i]!.where} and ${sets[j]!.where} would hand out the same addresses.`;
  throw invalid(`range set ${i} overlaps with ${j}`, details);
}

/** `first-last`, as messages name a range. */
export function formatRange(range: Interval): string {
  return `${formatAddress(range.first)}-${formatAddress(range.last)}`;
}

export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

/** The range of the set that `address` lies in. */
export function rangeOf(set: RangeSet, address: Address): Range | undefined {
  return set.find((range) => intervalContains(range, address));
}

function rangeSet(configs: RangeConfig[]): RangeSet {
  if (configs.length === 0) throw invalid("empty range set", "Give at least one range, or leave the set out.");
  const set = configs.map(range);
  const family = set[0]!.first.family;
  if (set.some((other) => other.first.family !== family)) {
    throw invalid("mixed address families", "A set gives one address: put IPv4 and IPv6 into sets of their own.");
  }
  const pair = overlappingPair(set);
  if (pair === undefined) return set;
  const [a, b] = [set[pair[0]]!, set[pair[1]]!];
  throw invalid(`subnets ${formatRange(a)} and ${formatRange(b)} overlap`, "Each address may be in one range only.");
}

function range(config: RangeConfig): Range {
  const subnet = parseSubnet(config.subnet);
  const bounds = { first: nextAddress(subnet.address)!, last: lastUsable(subnet) };
  const last = parseOptional(config.rangeEnd, "rangeEnd");
  const first = parseOptional(config.rangeStart, "rangeStart");
  // An end below the start is reported at the start, as the Go plugin does: there the end bounds the network too.
  const inside = (address: Address, from?: Address, to?: Address): boolean =>
    prefixContains(subnet, address) &&
    intervalContains({ first: from ?? networkAddress(subnet), last: to ?? lastAddress(subnet) }, address);
  if (first !== undefined && !inside(first, undefined, last)) {
    throw invalid(
      `RangeStart ${formatAddress(first)} not in network ${formatPrefix(subnet)}`,
      '"rangeStart" must lie in "subnet" and not behind "rangeEnd".',
    );
  }
  if (last !== undefined && !inside(last, first ?? bounds.first)) {
    throw invalid(
      `RangeEnd ${formatAddress(last)} not in network ${formatPrefix(subnet)}`,
      '"rangeEnd" must lie in "subnet" and not before "rangeStart".',
    );
  }
  return { subnet, first: first ?? bounds.first, last: last ?? bounds.last, gateway: gateway(config, subnet) };
}

function parseSubnet(text: string | undefined): Prefix {
  if (text === undefined) throw invalid("IP <nil> not v4 nor v6", 'The range has no "subnet".');
  const subnet = parsePrefix(text);
  if (subnet === undefined) throw invalid(`invalid CIDR address: ${text}`, 'Write "subnet" like "10.1.2.0/24".');
  const bits = subnet.address.bytes.length * 8;
  if (subnet.length > bits - 2) {
    throw invalid(
      `Network ${formatPrefix(subnet)} too small to allocate from`,
      `The longest prefix with room for a gateway and a pod is /${bits - 2}.`,
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

/** Next to the last for IPv4, whose last address is broadcast. */
function lastUsable(subnet: Prefix): Address {
  const last = lastAddress(subnet);
  return last.family === 4 ? previousAddress(last)! : last;
}

/** Outside of the subnet is fine (an on-link route leads there); another family is not. */
function gateway(config: RangeConfig, subnet: Prefix): Address | undefined {
  if (config.noGateway === true) return undefined;
  const address = parseOptional(config.gateway, "gateway") ?? nextAddress(subnet.address)!;
  if (address.family !== subnet.address.family) {
    throw invalid(
      `gateway ${formatAddress(address)} is not of the family of ${formatPrefix(subnet)}`,
      "Give a gateway that pods of this subnet can send to.",
    );
  }
  return address;
}

/** Empty is "not given", as for Go's decoder. */
function parseOptional(text: string | undefined, key: string): Address | undefined {
  if (text === undefined || text === "") return undefined;
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid IP address: ${text}`, `This is the "${key}" of a range.`);
  return address;
}

/** Before 0.3.0 a result had room for one address of each family. */
function checkFamilies(sets: RangeSet[], version: string): void {
  if (!version.startsWith("0.1.") && !version.startsWith("0.2.")) return;
  for (const family of [4, 6]) {
    if (sets.filter((set) => set[0]!.first.family === family).length > 1) {
      throw invalid(
        `CNI version ${version} does not support more than 1 address per family`,
        'Raise "cniVersion" to 0.3.0 or later, or leave one set for each family.',
      );
    }
  }
}

function invalid(message: string, details: string): CniError {
  return new CniError(Code.invalidConfig, message, details);
}
