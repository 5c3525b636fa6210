// A hash of strings that does not resist intentional collisions, for names and numbers of links.

import { loops } from "../host/loops.ts";

const { imul } = Math;

/** FNV-1a over the characters, with a final mix. The result has 32 bits and is not negative. */
export function hash32(text: string): number {
  const { length } = text;
  let letters: Uint8Array | number[] = new Uint8Array(length);
  if (!loops.put(letters, 0, text)) letters = Array.from({ length }, (_, at) => text.charCodeAt(at));
  // Two halves of 16 bits: no product needs a floating-point number or a call of imul, and this takes a fifth of the instructions.
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

/** Hashes four bytes at a time, which takes a quarter of the instructions. Ignores the bytes after the last whole word of four. */
export function hashWords({ buffer, byteOffset, length }: Uint8Array): number {
  let value = 0;
  for (const word of new Uint32Array(buffer, byteOffset, length >> 2)) {
    value = imul(value ^ word, 0x9e3779b1);
    value ^= value >>> 15;
  }
  return mix(value);
}

/** The final mix of MurmurHash3. */
function mix(hash: number): number {
  let value = imul(hash ^ (hash >>> 16), 0x85ebca6b);
  value = imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

/** Maximum length of an ID in an alias, which has room for 255 characters in all. The IDs of runtimes have 64 characters. */
const LONGEST_ID = 128;

/** Length of a network's name that was cut because the alias has no room for the whole name. */
const LONGEST_CUT_NETWORK = 64;

/** A container's ID as the alias of a link has it, cut if it is too long. No ID contains "~". */
export function idInAlias(containerId: string): string {
  return containerId.length <= LONGEST_ID ? containerId : cut(containerId, LONGEST_ID);
}

/** A network's name, cut for an alias that has no room for the whole name. No network's name contains "~". */
export const networkCut = (network: string): string => cut(network, LONGEST_CUT_NETWORK);

/** True if the name in an alias is that of this network, whole or cut. */
export function isNetworkInAlias(nameInAlias: string, network: string): boolean {
  return nameInAlias === network || (isCut(nameInAlias) && nameInAlias === networkCut(network));
}

function cut(text: string, length: number): string {
  return `${text.slice(0, length - 9)}~${hash32(text).toString(16).padStart(8, "0")}`;
}

/** True for an ID or a name that was cut for an alias. The alias does not tell the whole of it. */
export const isCut = (inAlias: string): boolean => inAlias.includes("~");
