// A bitmap of the addresses in use. The cost of a search depends on the number of blocks, not on the number of addresses: the last free
// address of a /16 is at most 256 blocks away.

import type { Address } from "../../src/ip/address.ts";
import { HEX } from "../../src/ip/hex.ts";
import { compareAddresses, type Interval, nextAddress } from "../../src/ip/range.ts";

/** A block is the 256 addresses that differ in the last byte only. */
const BLOCK_BYTES = 32;

export class Used {
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #load: (block: string) => Uint8Array | undefined;

  /** `load` reads the bits of a block from elsewhere. undefined: no address in the block is taken. */
  constructor(load: (block: string) => Uint8Array | undefined = () => undefined) {
    this.#load = load;
  }

  /** Marks the address; returns the name of its block and the bits to keep. */
  mark(address: Address, taken: boolean): { block: string; bits: Uint8Array } {
    const block = blockOf(address);
    const bits = this.#bits(block);
    const low = address.bytes[address.bytes.length - 1]!;
    if (taken) bits[low >> 3]! |= 1 << (low & 7);
    else bits[low >> 3]! &= ~(1 << (low & 7));
    return { block, bits };
  }

  /** The first address of the interval that is not taken. */
  firstFree({ first, last }: Interval): Address | undefined {
    const end = last.bytes.length - 1;
    const lastBlock = blockOf(last);
    for (let from: Address | undefined = first; from !== undefined && compareAddresses(from, last) <= 0; ) {
      const block = blockOf(from);
      const to: number = block === lastBlock ? last.bytes[end]! : 255;
      const low = firstClear(this.#bits(block), from.bytes[end]!, to);
      if (low !== undefined) return withLow(from, low);
      from = nextAddress(withLow(from, to));
    }
    return undefined;
  }

  /** Every block that was loaded or marked. */
  blocks(): Iterable<[block: string, bits: Uint8Array]> {
    return this.#blocks;
  }

  #bits(block: string): Uint8Array {
    let bits = this.#blocks.get(block);
    if (bits === undefined) {
      bits = new Uint8Array(BLOCK_BYTES);
      bits.set(this.#load(block)?.subarray(0, BLOCK_BYTES) ?? []);
      this.#blocks.set(block, bits);
    }
    return bits;
  }
}

/** All but the last byte, in hex: 6 digits for IPv4, 30 for IPv6. */
function blockOf({ bytes }: Address): string {
  let text = "";
  for (let i = 0, count = bytes.length - 1; i < count; i++) text += HEX[bytes[i]!]!;
  return text;
}

function firstClear(bits: Uint8Array, from: number, to: number): number | undefined {
  for (let low = from; low <= to; low++) {
    const byte = bits[low >> 3]!;
    if (byte === 0xff) low |= 7;
    else if ((byte & (1 << (low & 7))) === 0) return low;
  }
  return undefined;
}

function withLow({ family, bytes }: Address, low: number): Address {
  const changed = bytes.slice();
  changed[changed.length - 1] = low;
  return { family, bytes: changed };
}
