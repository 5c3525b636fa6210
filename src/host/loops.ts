// Loops over bytes that run hundreds of times in each call. The executable has C versions of them (native.c). These TypeScript versions are
// for Node, and define the correct results.

import { digest } from "./digest.ts";

/** All positions are offsets in bytes. */
export interface Loops {
  /**
   * Finds netlink attributes in [at, end) of `bytes`, from aligned `at`. Those that `wanted` has a 1 for at their type (null: all) go to `spans`
   * from `base` on, where there is room for them: their number, then of each its type with its flags, start and end of its payload. Returns
   * where it stopped: at `end` or behind it, or earlier after 64 of them; -1 minus the position of an attribute whose length cannot be right,
   * of which those before it were found.
   */
  attributes(
    bytes: Uint8Array,
    at: number,
    end: number,
    wanted: Uint8Array | null,
    spans: Int32Array,
    base: number,
  ): number;
  /** [a-zA-Z0-9][a-zA-Z0-9_.-]* */
  plain(text: string): boolean;
  /** The ASCII text in [start, end), up to its first NUL; null when there is anything else before. */
  text(bytes: Uint8Array, start: number, end: number): string | null;
  /** Writes an ASCII text that has room at `at`; false, and nothing is written, when it is none. */
  put(bytes: Uint8Array, at: number, text: string): boolean;
  /** Where `values` are not as `others`, as far as there are both: each place and the value there, in turn. */
  differences(values: Int32Array, others: Int32Array): number[];
  /**
   * SHA-512 of `blocks` (of 128 bytes) goes on from `state`, whose words of 64 bits are two of 32, the upper one first, as the 80 constants
   * of the rounds are.
   */
  digest(state: Int32Array, blocks: Uint8Array, round: Int32Array): void;
}

const TYPE_MASK = 0x3fff;

/** The twins. */
export const inTypeScript: Loops = {
  attributes(bytes, at, end, wanted, spans, base) {
    let count = 0;
    let bad = false;
    while (at < end) {
      const length = end - at < 4 ? 0 : bytes[at]! | (bytes[at + 1]! << 8);
      bad = length < 4 || at + length > end;
      if (bad) break;
      const type = bytes[at + 2]! | (bytes[at + 3]! << 8);
      if (wanted === null || wanted[type & TYPE_MASK] === 1) {
        if (count === 64) break;
        const to = base + 1 + count * 3;
        spans[to] = type;
        spans[to + 1] = at + 4;
        spans[to + 2] = at + length;
        count++;
      }
      at += (length + 3) & ~3;
    }
    spans[base] = count;
    return bad ? -1 - at : at;
  },
  plain(text) {
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      const alphanumeric =
        (unit >= 0x30 && unit <= 0x39) || (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a);
      if (!alphanumeric && (at === 0 || (unit !== 0x5f && unit !== 0x2e && unit !== 0x2d))) return false;
    }
    return text !== "";
  },
  text(bytes, start, end) {
    let text = "";
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0) break;
      if (byte > 127) return null;
      text += String.fromCharCode(byte);
    }
    return text;
  },
  put(bytes, at, text) {
    for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
    return true;
  },
  differences(values, others) {
    const found: number[] = [];
    for (let i = 0; i < values.length && i < others.length; i++) if (values[i] !== others[i]) found.push(i, values[i]!);
    return found;
  },
  digest,
};

/** Those in force. */
export let loops: Loops = inTypeScript;

/** By the entry point, while it is evaluated. */
export function installLoops(native: Loops): void {
  loops = native;
}
