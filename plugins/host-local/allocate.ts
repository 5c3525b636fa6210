// Which address comes next: round-robin from the last one handed out, over all ranges of a set.
import { type Address, formatAddress } from "../../src/ip/address.ts";
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
  /** Takes the address; false: it is taken. */
  take(address: Address): boolean;
  /** Names of everything in the directory. */
  names(): string[];
}

interface Piece extends Interval {
  range: Range;
}

/** Addresses asked for one by one before the whole directory is read: a run of taken ones is short unless the pool is nearly full. */
const TRIES = 16;

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
  const pieces = walk(set, last, excluded);
  let tries = 0;
  search: for (const { first, last, range } of pieces) {
    for (let address = first; ; address = nextAddress(address)!) {
      if (tries++ === TRIES) break search;
      if (leases.take(address)) return { address, range };
      if (equalAddresses(address, last)) break;
    }
  }
  if (tries <= TRIES) return undefined;

  const used = new Set(leases.names());
  for (const piece of pieces) {
    for (let address = firstOutside(piece, used); address !== undefined; address = firstOutside(piece, used)) {
      if (leases.take(address)) return { address, range: piece.range };
      // Taken although its name was not there: somebody who does not lock.
      used.add(formatAddress(address));
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

/**
 * The first address of the interval whose text is not in `used`. Costs one look-up for each taken address before it: texts are put
 * together from what a block of addresses has in common and a number, because printing each whole takes ten times as long.
 */
function firstOutside({ first, last }: Interval, used: Set<string>): Address | undefined {
  const size = first.bytes.length;
  const width = size === 4 ? 1 : 2;
  for (let block: Address | undefined = first; block !== undefined && compareAddresses(block, last) <= 0; ) {
    const sameBlock = block.bytes.every((byte, i) => i >= size - width || byte === last.bytes[i]);
    const to: number = sameBlock ? low(last, width) : 2 ** (8 * width) - 1;
    const stem = stemOf(block, width);
    for (let n = low(block, width); n <= to; n++) {
      // An IPv6 group of zero may be part of the "::".
      const text = width === 1 ? stem + n : n > 0 ? stem + n.toString(16) : formatAddress(block);
      if (!used.has(text)) return withLow(block, width, n);
    }
    block = nextAddress(withLow(block, width, to));
  }
  return undefined;
}

/** What the texts of all addresses that differ in the last octet or (non-zero) group have in common. */
function stemOf(address: Address, width: number): string {
  return formatAddress(withLow(address, width, 1)).slice(0, -1);
}

/** The last octet or group as a number. */
function low({ bytes }: Address, width: number): number {
  const last = bytes[bytes.length - 1]!;
  return width === 1 ? last : bytes[bytes.length - 2]! * 256 + last;
}

function withLow({ family, bytes }: Address, width: number, value: number): Address {
  const changed = bytes.slice();
  changed[changed.length - 1] = value & 0xff;
  if (width === 2) changed[changed.length - 2] = value >> 8;
  return { family, bytes: changed };
}
