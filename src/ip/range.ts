// Arithmetic on addresses, prefixes and intervals. It never enumerates addresses, so a /8 or ::/0 costs the same as a /30.
import type { Address, Prefix } from "./address.ts";

/** The addresses from `first` to `last`, both inclusive. Both have the same family. */
export interface Interval {
  readonly first: Address;
  readonly last: Address;
}

/** Negative, 0 or positive; IPv4 comes before IPv6. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  const ours = a.bytes;
  const theirs = b.bytes;
  for (let i = 0, count = ours.length; i < count; i++) {
    const difference = ours[i]! - theirs[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

export function equalAddresses(a: Address, b: Address): boolean {
  return compareAddresses(a, b) === 0;
}

/** A multicast address, 255.255.255.255, 0.0.0.0 or `::`: no single interface can have it. */
export function isForMany({ family, bytes }: Address): boolean {
  const first = bytes[0]!;
  if (family === 4 ? first >> 4 === 14 : first === 255) return true;
  return (first === 0 || first === 255) && bytes.every((byte) => byte === first);
}

export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && equalAddresses(a.address, b.address);
}

/** The next address; undefined for the last address of a family. */
export function nextAddress(address: Address): Address | undefined {
  return step(address, 0xff, 1);
}

/** The previous address; undefined for the first address of a family. */
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
  const whole = prefix.length >> 3;
  const kept = prefix.length & 7;
  if (kept > 0) {
    const mask = (0xff00 >> kept) & 0xff;
    out[whole] = (out[whole]! & mask) | (fill & ~mask);
  }
  out.fill(fill, kept > 0 ? whole + 1 : whole);
  return { family, bytes: out };
}

/** True if no host bit is set. */
export function isNetwork(prefix: Prefix): boolean {
  return equalAddresses(prefix.address, networkAddress(prefix));
}

/** The prefix with its host bits cleared. */
export function networkPrefix(prefix: Prefix): Prefix {
  return { address: networkAddress(prefix), length: prefix.length };
}

/** True if `address` is in the network of `prefix`; false if their families differ. */
export function prefixContains(prefix: Prefix, address: Address): boolean {
  if (prefix.address.family !== address.family) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.address.bytes[i] !== address.bytes[i]) return false;
  const rest = prefix.length & 7;
  return rest === 0 || (prefix.address.bytes[whole]! ^ address.bytes[whole]!) >> (8 - rest) === 0;
}

/** True if the network `inner` is part of the network `outer`. */
export function isWithin(inner: Prefix, outer: Prefix): boolean {
  return inner.length >= outer.length && prefixContains(outer, inner.address);
}

export function intervalContains(interval: Interval, address: Address): boolean {
  return compareAddresses(interval.first, address) <= 0 && compareAddresses(address, interval.last) <= 0;
}

export function intervalsOverlap(a: Interval, b: Interval): boolean {
  return compareAddresses(a.first, b.last) <= 0 && compareAddresses(b.first, a.last) <= 0;
}

/**
 * The indices of two intervals that overlap, the smaller index first; undefined if all intervals are disjoint. Takes O(n log n) time, because
 * a configuration can contain thousands of intervals.
 */
export function overlappingPair(intervals: readonly Interval[]): [number, number] | undefined {
  if (intervals.length < 2) return undefined;
  const sorted = intervals.map((interval, place) => ({ ...keysOf(interval), place }));
  sorted.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.place - b.place));
  let found: [number, number] | undefined;
  // Of the intervals seen so far, the one with the largest end.
  let far = sorted[0];
  for (const next of sorted.slice(1)) {
    if (next.first <= far!.last) {
      const pair: [number, number] = next.place < far!.place ? [next.place, far!.place] : [far!.place, next.place];
      if (found === undefined || pair[0] < found[0] || (pair[0] === found[0] && pair[1] < found[1])) found = pair;
    }
    if (next.last > far!.last) far = next;
  }
  return found;
}

function keysOf({ first, last }: Interval): { first: string; last: string } {
  return { first: sortKey(first), last: sortKey(last) };
}

/** A string that sorts like the address, IPv4 first. The engine compares strings much faster than compareAddresses compares bytes. */
export function sortKey({ family, bytes }: Address): string {
  return String.fromCharCode(family, ...bytes);
}

/** Finds the interval that contains an address, among disjoint intervals, with a binary search. */
export class IntervalMap<T extends Interval> {
  readonly #intervals: readonly T[];
  #keyed: { first: string; last: string; interval: T }[] | undefined;

  constructor(intervals: readonly T[]) {
    this.#intervals = intervals;
  }

  /** Sorted at the first use, because most calls never search: they request no address and exclude none. */
  get #sorted(): { first: string; last: string; interval: T }[] {
    if (this.#keyed === undefined) {
      this.#keyed = this.#intervals.map((interval) => ({ ...keysOf(interval), interval }));
      this.#keyed.sort((a, b) => (a.first < b.first ? -1 : 1));
    }
    return this.#keyed;
  }

  find(address: Address): T | undefined {
    const key = sortKey(address);
    const found = this.#sorted[this.#firstThatEndsBehind(key)];
    return found !== undefined && found.first <= key ? found.interval : undefined;
  }

  /** The intervals that overlap with `interval`, in ascending order. */
  overlapping(interval: Interval): T[] {
    if (this.#intervals.length === 0) return [];
    const { first, last } = keysOf(interval);
    const found: T[] = [];
    for (let at = this.#firstThatEndsBehind(first); at < this.#sorted.length; at++) {
      if (this.#sorted[at]!.first > last) break;
      found.push(this.#sorted[at]!.interval);
    }
    return found;
  }

  #firstThatEndsBehind(key: string): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sorted[middle]!.last < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Merges intervals into disjoint ones with the same addresses. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  if (intervals.length < 2) return [...intervals];
  const sorted = intervals.map((interval) => ({ ...keysOf(interval), interval }));
  sorted.sort((a, b) => (a.first < b.first ? -1 : 1));
  const merged: Interval[] = [];
  let end = "";
  for (const { first, last, interval } of sorted) {
    const before = merged.at(-1);
    if (before === undefined || first > end) merged.push(interval);
    else if (last > end) merged[merged.length - 1] = { first: before.first, last: interval.last };
    if (last > end) end = last;
  }
  return merged;
}
