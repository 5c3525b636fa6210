// Compresses the operator's bytecode in LZ4's block format (github.com/lz4/lz4, doc/lz4_Block_format.md). This halves its size, and unpacking takes
// 26 lines of C.

const MIN_MATCH = 4;
/** The format's rules for the end: the last five bytes are literals, and the last match begins at least twelve bytes before the end. */
const LAST_LITERALS = 5;
const LAST_MATCH = 12;
const WINDOW = 0xffff;

interface Match {
  from: number;
  length: number;
}

/** Lists of positions with the same four bytes, latest first. */
class Chains {
  readonly #data: Uint8Array;
  readonly #heads = new Map<number, number>();
  readonly #previous: Int32Array;
  #next = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#previous = new Int32Array(data.length).fill(-1);
  }

  #key(at: number): number {
    const d = this.#data;
    return d[at]! | (d[at + 1]! << 8) | (d[at + 2]! << 16) | (d[at + 3]! << 24);
  }

  /** The longest match for the bytes at `at`. Adds all earlier positions to the lists first. */
  longest(at: number, end: number): Match | undefined {
    for (; this.#next < at; this.#next++) {
      const key = this.#key(this.#next);
      this.#previous[this.#next] = this.#heads.get(key) ?? -1;
      this.#heads.set(key, this.#next);
    }
    let best: Match | undefined;
    const data = this.#data;
    for (
      let from = this.#heads.get(this.#key(at)) ?? -1;
      from >= 0 && at - from <= WINDOW;
      from = this.#previous[from]!
    ) {
      let length = MIN_MATCH;
      while (at + length < end && data[from + length] === data[at + length]) length++;
      if (length > (best?.length ?? 0)) best = { from, length };
    }
    return best;
  }
}

function pushLength(out: number[], length: number): void {
  for (; length >= 255; length -= 255) out.push(255);
  out.push(length);
}

function pushSequence(out: number[], literals: Uint8Array, at: number, match: Match | undefined): void {
  const more = match === undefined ? 0 : match.length - MIN_MATCH;
  out.push((Math.min(15, literals.length) << 4) | Math.min(15, more));
  if (literals.length >= 15) pushLength(out, literals.length - 15);
  for (const byte of literals) out.push(byte);
  if (match === undefined) return;
  const offset = at - match.from;
  out.push(offset & 255, offset >> 8);
  if (more >= 15) pushLength(out, more - 15);
}

/** Returns the length of the data in four bytes, least significant first, and then the block. */
export function pack(data: Uint8Array): Uint8Array {
  const out = [data.length & 255, (data.length >> 8) & 255, (data.length >> 16) & 255, data.length >>> 24];
  const chains = new Chains(data);
  const end = data.length - LAST_LITERALS;
  let literals = 0;
  for (let at = 0; at <= data.length - LAST_MATCH; ) {
    const match = chains.longest(at, end);
    // One more literal may allow a longer match.
    const later = match === undefined || at + 1 > data.length - LAST_MATCH ? undefined : chains.longest(at + 1, end);
    if (match === undefined || (later !== undefined && later.length > match.length + 1)) {
      at++;
      continue;
    }
    pushSequence(out, data.subarray(literals, at), at, match);
    at += match.length;
    literals = at;
  }
  pushSequence(out, data.subarray(literals), data.length, undefined);
  return Uint8Array.from(out);
}
