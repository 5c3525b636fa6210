// A hash of strings that does not resist intentional collisions, for names and numbers of links.

const { imul } = Math;

/** FNV-1a, letter by letter, with a final mix: 32 bits, not negative. */
export function hash32(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = imul(value ^ text.charCodeAt(at), 0x01000193);
  return mix(value);
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

/** A container's ID in the alias of a link. "~" is in no ID. */
export function idInAlias(containerId: string): string {
  if (containerId.length <= LONGEST_ID) return containerId;
  const hash = hash32(containerId).toString(16).padStart(8, "0");
  return `${containerId.slice(0, LONGEST_ID - 9)}~${hash}`;
}

/** An ID that was too long for an alias: it cannot be told from that. */
export const isCut = (idOfAlias: string): boolean => idOfAlias.includes("~");
