// Arithmetic on addresses, prefixes and intervals. Never enumerates: a /8 or ::/0 costs what a /30 costs.
import type { Address, Prefix } from "./address.ts";

/** Addresses from `first` to `last`, both included and of one family. */
export interface Interval {
  readonly first: Address;
  readonly last: Address;
}

/** Negative, 0 or positive; IPv4 comes before IPv6. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  for (let i = 0; i < a.bytes.length; i++) {
    const difference = a.bytes[i]! - b.bytes[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

export function equalAddresses(a: Address, b: Address): boolean {
  return compareAddresses(a, b) === 0;
}

/** The address after this one. undefined after the last of its family. */
export function nextAddress(address: Address): Address | undefined {
  return step(address, 0xff, 1);
}

/** The address before this one. undefined before the first of its family. */
export function previousAddress(address: Address): Address | undefined {
  return step(address, 0, -1);
}

function step(address: Address, edge: number, by: number): Address | undefined {
  const bytes = address.bytes.slice();
  for (let i = bytes.length - 1; i >= 0; i--) {
    if (bytes[i] !== edge) {
      bytes[i]! += by;
      return { family: address.family, bytes };
    }
    bytes[i] = 0xff - edge;
  }
  return undefined;
}

/** The first address of the prefix: host bits cleared. */
export function networkAddress(prefix: Prefix): Address {
  return withHostBits(prefix, 0);
}

/** The last address of the prefix: host bits set (IPv4: the broadcast address). */
export function lastAddress(prefix: Prefix): Address {
  return withHostBits(prefix, 0xff);
}

function withHostBits(prefix: Prefix, fill: number): Address {
  const { family, bytes } = prefix.address;
  const out = bytes.slice();
  for (let i = prefix.length >> 3; i < out.length; i++) {
    const kept = Math.max(0, Math.min(8, prefix.length - i * 8));
    const mask = (0xff00 >> kept) & 0xff;
    out[i] = (out[i]! & mask) | (fill & ~mask);
  }
  return { family, bytes: out };
}

/** True when no host bit is set. */
export function isNetwork(prefix: Prefix): boolean {
  return equalAddresses(prefix.address, networkAddress(prefix));
}

/** The prefix with its host bits cleared. */
export function networkPrefix(prefix: Prefix): Prefix {
  return { address: networkAddress(prefix), length: prefix.length };
}

/** True when `address` lies in the network of `prefix`; false across families. */
export function prefixContains(prefix: Prefix, address: Address): boolean {
  if (prefix.address.family !== address.family) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.address.bytes[i] !== address.bytes[i]) return false;
  const rest = prefix.length & 7;
  return rest === 0 || (prefix.address.bytes[whole]! ^ address.bytes[whole]!) >> (8 - rest) === 0;
}

export function intervalContains(interval: Interval, address: Address): boolean {
  return compareAddresses(interval.first, address) <= 0 && compareAddresses(address, interval.last) <= 0;
}

export function intervalsOverlap(a: Interval, b: Interval): boolean {
  return compareAddresses(a.first, b.last) <= 0 && compareAddresses(b.first, a.last) <= 0;
}
