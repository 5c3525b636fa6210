// A hash of strings that does not resist intentional collisions, for names and numbers of links.

import { loops } from "../host/loops.ts";

const { imul } = Math;

/** FNV-1a, letter by letter, with a final mix: 32 bits, not negative. */
export function hash32(text: string): number {
  const { length } = text;
  let letters: Uint8Array | number[] = new Uint8Array(length);
  if (!loops.put(letters, 0, text)) letters = Array.from({ length }, (_, at) => text.charCodeAt(at));
  // Two halves, so that no product needs a floating-point number, nor a call of imul: a fifth of the instructions.
  let high = 0x811c;
  let low = 0x9dc5;
  for (let at = 0; at < length; at++) {
    low ^= letters[at]!;
    // Times 0x01000193.
    const product = low * 0x193;
    high = (high * 0x193 + (low << 8) + (product >>> 16)) & 0xffff;
    low = product & 0xffff;
  }
  return mix((high << 16) | low);
}

/** Bytes four at a time, which is a quarter of the instructions. Bytes behind the last four do not count. */
export function hashWords({ buffer, byteOffset, length }: Uint8Array): number {
  let value = 0;
  for (const word of new Uint32Array(buffer, byteOffset, length >> 2)) {
    value = imul(value ^ word, 0x9e3779b1);
    value ^= value >>> 15;
  }
  return mix(value);
}

/** Of MurmurHash3. */
function mix(hash: number): number {
  let value = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  value = imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Of an ID in an alias, which has room for 255 characters in all. Runtimes' have 64. */
const LONGEST_ID = 128;

/** Of a network's name in an alias that has no room for the whole. */
const LONGEST_CUT_NETWORK = 64;

/** A container's ID in the alias of a link. "~" is in no ID. */
export function idInAlias(containerId: string): string {
  return containerId.length <= LONGEST_ID ? containerId : cut(containerId, LONGEST_ID);
}

/** A network's name in an alias that would be too long with the whole of it. "~" is in no name of a network. */
export const networkCut = (network: string): string => cut(network, LONGEST_CUT_NETWORK);

/** The name in an alias is that of this network, whole or cut. */
export function isNetworkInAlias(nameInAlias: string, network: string): boolean {
  return nameInAlias === network || (isCut(nameInAlias) && nameInAlias === networkCut(network));
}

function cut(text: string, length: number): string {
  return `${text.slice(0, length - 9)}~${hash32(text).toString(16).padStart(8, "0")}`;
}

/** An ID, or a name, that was too long for an alias: it cannot be told from that. */
export const isCut = (inAlias: string): boolean => inAlias.includes("~");
