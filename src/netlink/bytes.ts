// One aligned buffer, viewed as bytes, 16-bit words and 32-bit words. Netlink aligns headers, attributes and structs to 4 bytes, so a word is
// a single access to a typed array in host order (no DataView and no shifting, because QuickJS interprets every step).
import { loops } from "../host/loops.ts";
import { decodeName, encodeName } from "../host/utf8.ts";
import { ProtocolError } from "./errors.ts";

/** Netlink rounds lengths up to 4. */
export function align4(length: number): number {
  return (length + 3) & ~3;
}

export class Bytes {
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;

  /** `size` is rounded up to whole words. */
  constructor(size: number, buffer = new ArrayBuffer(align4(size))) {
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
  }

  /** A copy of `data` at an aligned address. */
  static from(data: Uint8Array): Bytes {
    const bytes = new Bytes(data.length);
    bytes.u8.set(data);
    return bytes;
  }

  /** 16 bits in network order. */
  be16(at: number): number {
    return (this.u8[at]! << 8) | this.u8[at + 1]!;
  }

  /** 32 bits in network order. */
  be32(at: number): number {
    return ((this.u8[at]! << 24) | (this.u8[at + 1]! << 16) | (this.u8[at + 2]! << 8) | this.u8[at + 3]!) >>> 0;
  }

  /** A copy: the buffer is used again for the next message. */
  copy(start: number, end: number): Uint8Array {
    return this.u8.slice(start, end);
  }

  /** A name up to `end` or its first NUL; bytes that are no UTF-8 as in decodeName. */
  text(start: number, end: number): string {
    return loops.text(this.u8, start, end) ?? decodeName(this.u8.subarray(start, this.#nul(start, end)));
  }

  #nul(start: number, end: number): number {
    for (let at = start; at < end; at++) if (this.u8[at] === 0) return at;
    return end;
  }
}

/** Largest payload of an attribute: its length field has 16 bits. */
const MAX_PAYLOAD = 0xffff - 4;

/**
 * Appends. Everything it adds is zeroed first, because the buffer is used again and again. Adding may replace u8, u16 and u32:
 * get the position first, then look at them.
 */
export class Writer extends Bytes {
  length = 0;
  /** Bytes that there is room for: that of an array is no field, and dear. */
  #room: number;

  constructor(size: number) {
    super(size);
    this.#room = align4(size);
  }

  /** Adds `size` zero bytes, rounded up to 4, and returns where they start. */
  reserve(size: number): number {
    const start = this.room(size);
    this.u32.fill(0, start >> 2, this.length >> 2);
    return start;
  }

  /** The same without zeroing them, for a caller who writes every one. */
  room(size: number): number {
    const start = this.length;
    const end = start + ((size + 3) & ~3);
    if (end > this.#room) this.#grow(end);
    this.length = end;
    return start;
  }

  /** Adds an attribute header and room for `size` bytes; returns where the payload starts. */
  attribute(type: number, size: number): number {
    if (size > MAX_PAYLOAD) throw new ProtocolError(`attribute ${type}: ${size} bytes do not fit`);
    const start = this.length;
    const end = start + ((size + 7) & ~3);
    if (end > this.#room) this.#grow(end);
    const { u16, u32 } = this;
    const half = start >> 1;
    u16[half] = 4 + size;
    u16[half + 1] = type;
    const word = start >> 2;
    if (size > 8) u32.fill(0, word + 1, end >> 2);
    else if (size > 0) {
      u32[word + 1] = 0;
      if (size > 4) u32[word + 2] = 0;
    }
    this.length = end;
    return start + 4;
  }

  /** Starts a nested attribute; `close` with what it returned writes its length. */
  open(type: number): number {
    return this.attribute(type, 0) - 4;
  }

  close(start: number): void {
    const size = this.length - start;
    if (size > 0xffff) throw new ProtocolError(`attribute ${this.u16[(start >> 1) + 1]}: ${size} bytes do not fit`);
    this.u16[start >> 1] = size;
  }

  /** What has been written (a view). */
  written(): Uint8Array {
    return this.u8.subarray(0, this.length);
  }

  #grow(needed: number): void {
    const old = this.u8;
    const buffer = new ArrayBuffer(align4(Math.max(needed, old.length * 2)));
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.#room = this.u8.length;
    this.u8.set(old);
  }
}

/** UTF-8 of a text, and of a name its bytes (encodeName); ASCII (all names that matter) is the fast case. */
export function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  return loops.put(bytes, 0, text) ? bytes : encodeName(text);
}
