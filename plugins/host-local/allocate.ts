// Chooses the next address: round-robin over all ranges of a set, starting after the last allocated address.
import type { Address } from "../../src/ip/address.ts";
import {
  compareAddresses,
  equalAddresses,
  type Interval,
  type IntervalMap,
  intervalContains,
  nextAddress,
  previousAddress,
} from "../../src/ip/range.ts";
import { type Range, type RangeSet, rangeOf } from "./ranges.ts";

/** What the search needs of the lease directory. */
export interface Leases {
  /** The first address of the interval that seems free. */
  firstFree(interval: Interval): Address | undefined;
  /** Takes the address. false: it is taken after all, and firstFree does not return it again. */
  take(address: Address): boolean;
}

interface Piece extends Interval {
  range: Range;
}

/**
 * Takes the first free address after `last`, the address that was allocated last (undefined at first). Tries every address of the set once, and
 * `last` itself at the end. Never takes a gateway or an address in `excluded`. undefined: no address is free.
 */
export function allocate(
  set: RangeSet,
  last: Address | undefined,
  excluded: IntervalMap<Interval>,
  leases: Leases,
): { address: Address; range: Range } | undefined {
  for (const piece of walk(set, last, excluded)) {
    for (let address = leases.firstFree(piece); address !== undefined; address = leases.firstFree(piece)) {
      if (leases.take(address)) return { address, range: piece.range };
    }
  }
  return undefined;
}

/** The addresses to try, in order. They are intervals, so that the cost does not depend on the size of the ranges. */
function* walk(set: RangeSet, last: Address | undefined, excluded: IntervalMap<Interval>): Generator<Piece> {
  function* pieces(range: Range, interval: Interval): Generator<Piece> {
    for (const piece of without(interval, excluded.overlapping(interval))) {
      const gateway = range.gateway && intervalContains(piece, range.gateway) ? [range.gateway] : [];
      const holes = gateway.map((address) => ({ first: address, last: address }));
      for (const { first, last } of without(piece, holes)) yield { first, last, range };
    }
  }
  const begun = last && rangeOf(set, last);
  if (last === undefined || begun === undefined) {
    for (const range of set) yield* pieces(range, range);
    return;
  }
  const index = set.indexOf(begun);
  if (!equalAddresses(last, begun.last)) yield* pieces(begun, { first: nextAddress(last)!, last: begun.last });
  for (const range of [...set.slice(index + 1), ...set.slice(0, index)]) yield* pieces(range, range);
  yield* pieces(begun, { first: begun.first, last });
}

/** What is left of the interval without the holes, in order. The holes must be disjoint and in order, and each must overlap the interval. */
function without({ first, last }: Interval, holes: readonly Interval[]): Interval[] {
  const left: Interval[] = [];
  let from: Address | undefined = first;
  for (const hole of holes) {
    if (compareAddresses(from, hole.first) < 0) left.push({ first: from, last: previousAddress(hole.first)! });
    from = nextAddress(hole.last);
    if (from === undefined) return left;
  }
  if (compareAddresses(from, last) <= 0) left.push({ first: from, last });
  return left;
}
