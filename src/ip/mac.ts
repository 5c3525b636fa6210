// Link-layer addresses.
import { HEX, hexDigit } from "./hex.ts";

const LENGTHS = [6, 8, 20];

/**
 * Parses `aa:bb:…`, `aa-bb-…`, `aabb.ccdd.…` or `aabb…` of 6, 8 or 20 bytes (Go's net.ParseMAC, as in the Go plugins 1.9.1). undefined: the
 * text is not a link-layer address.
 */
export function parseMac(text: string): Uint8Array | undefined {
  if (text.length === 17) {
    const usual = parseUsual(text);
    if (usual !== undefined) return usual;
  }
  if (LENGTHS.includes(text.length / 2)) return parseGroups(text, "", text.length / 2, text.length / 2);
  const dotted = text[4] === ".";
  const separator = dotted ? "." : text[2];
  if (separator !== "." && separator !== ":" && separator !== "-") return undefined;
  if (!dotted && separator === ".") return undefined;
  const group = dotted ? 2 : 1;
  return parseGroups(text, separator, group, ((text.length + 1) / (group * 2 + 1)) * group);
}

/** `group` is the number of bytes between two separators, and `length` the number of all bytes. */
function parseGroups(text: string, separator: string, group: number, length: number): Uint8Array | undefined {
  if (!LENGTHS.includes(length)) return undefined;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < length; i++) {
    if (i > 0 && i % group === 0 && text[at++] !== separator) return undefined;
    const high = hexDigit(text.charCodeAt(at++));
    const low = hexDigit(text.charCodeAt(at++));
    if (high < 0 || low < 0) return undefined;
    bytes[i] = high * 16 + low;
  }
  return bytes;
}

const COLON = 58;
/** The value of hexDigit for each code below 128, with undefined instead of -1. */
const DIGITS = Array.from({ length: 128 }, (_, c) => (hexDigit(c) < 0 ? undefined : hexDigit(c)));

/** Parses the form that formatMac writes for six bytes, which nearly all addresses have. */
function parseUsual(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(6);
  for (let i = 0, at = 0; i < 6; i++, at += 3) {
    const high = DIGITS[text.charCodeAt(at)];
    const low = DIGITS[text.charCodeAt(at + 1)];
    if (high === undefined || low === undefined || (i < 5 && text.charCodeAt(at + 2) !== COLON)) return undefined;
    bytes[i] = high * 16 + low;
  }
  return bytes;
}

/** The address in lower case, with colons; "" for no bytes. */
export function formatMac(bytes: Uint8Array): string {
  const b = bytes;
  if (b.length === 6) return `${HEX[b[0]!]}:${HEX[b[1]!]}:${HEX[b[2]!]}:${HEX[b[3]!]}:${HEX[b[4]!]}:${HEX[b[5]!]}`;
  if (bytes.length === 0) return "";
  let text = HEX[bytes[0]!]!;
  for (let i = 1, count = bytes.length; i < count; i++) text += `:${HEX[bytes[i]!]}`;
  return text;
}
