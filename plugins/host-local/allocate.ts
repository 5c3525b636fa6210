// Which address comes next: round-robin from the last one handed out, over all ranges of a set.
import type { Address } from "../../src/ip/address.ts";
import {
  compareAddresses,
  equalAddresses,
  type Interval,
  intervalsOverlap,
  nextAddress,
  previousAddress,
} from "../../src/ip/range.ts";
import { type Range, type RangeSet, rangeOf } from "./ranges.ts";

/** The lease directory, as the search sees it. */
export interface Leases {
  /** The first address of the interval that seems free. */
  firstFree(interval: Interval): Address | undefined;
  /** Takes the address; false: it is taken after all, and firstFree does not give it again. */
  take(address: Address): boolean;
}

interface Piece extends Interval {
  range: Range;
}

/**
 * Takes the first free address after `last` (the one handed out last, undefined at first). All of the set are tried once,
 * `last` itself at the end; gateways and `excluded` never are. undefined: none is free.
 */
export function allocate(
  set: RangeSet,
  last: Address | undefined,
  excluded: readonly Interval[],
  leases: Leases,
): { address: Address; range: Range } | undefined {
  for (const piece of walk(set, last, excluded)) {
    for (let address = leases.firstFree(piece); address !== undefined; address = leases.firstFree(piece)) {
      if (leases.take(address)) return { address, range: piece.range };
    }
  }
  return undefined;
}

/** The addresses to try, in order and as intervals: nothing here is counted through, whatever the size of the ranges. */
function walk(set: RangeSet, last: Address | undefined, excluded: readonly Interval[]): Piece[] {
  const pieces: Piece[] = [];
  const add = (range: Range, interval: Interval): void => {
    const holes = range.gateway ? [...excluded, { first: range.gateway, last: range.gateway }] : excluded;
    for (const piece of without(interval, holes)) pieces.push({ ...piece, range });
  };
  const begun = last && rangeOf(set, last);
  if (last === undefined || begun === undefined) {
    for (const range of set) add(range, range);
    return pieces;
  }
  const index = set.indexOf(begun);
  if (!equalAddresses(last, begun.last)) add(begun, { first: nextAddress(last)!, last: begun.last });
  for (const range of [...set.slice(index + 1), ...set.slice(0, index)]) add(range, range);
  add(begun, { first: begun.first, last });
  return pieces;
}

/** What is left of the interval, in order. */
function without(interval: Interval, holes: readonly Interval[]): Interval[] {
  let pieces = [interval];
  for (const hole of holes) {
    pieces = pieces.flatMap((piece) => {
      if (!intervalsOverlap(piece, hole)) return [piece];
      const left: Interval[] = [];
      if (compareAddresses(piece.first, hole.first) < 0) {
        left.push({ first: piece.first, last: previousAddress(hole.first)! });
      }
      if (compareAddresses(hole.last, piece.last) < 0) left.push({ first: nextAddress(hole.last)!, last: piece.last });
      return left;
    });
  }
  return pieces;
}
