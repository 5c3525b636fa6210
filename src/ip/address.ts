// IP addresses and prefixes as values, which are parsed from text and formatted as text. The rest of podnic uses only these types.
//
// A call parses and formats about ten addresses. This file parses the common forms (dotted quad, plain IPv6) itself, which is three to
// twenty times as fast as the library ip-address, and uses the library for the others (docs/decisions.md).
import { Address6 } from "ip-address";
import { hexDigit } from "./hex.ts";

export type Family = 4 | 6;

/** An address: 4 or 16 bytes in network order. A v4-mapped IPv6 address is family 4, as in Go. */
export interface Address {
  readonly family: Family;
  readonly bytes: Uint8Array;
}

/** An address with a prefix length. Host bits can be set (the address of an interface) or not (a network). */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

const DOT = 46;
const COLON = 58;
/** The length of "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255". Longer text cannot be an address, and is not parsed. */
const LONGEST = 45;

/** Parses an address with the grammar of Go's net.ParseIP: no zone, no leading zeros in IPv4 octets. undefined: the text is not an address. */
export function parseAddress(text: string): Address | undefined {
  const bytes = parseBytes(text);
  return bytes && addressOf(bytes);
}

/**
 * Parses `address/length` like Go's net.ParseCIDR, but keeps the host bits. undefined: the text is not a prefix. Like Go, converts
 * `::ffff:10.0.0.1/120` to 10.0.0.1/24. Refuses a v4-mapped address with a length below 96, which Go would print as a different prefix.
 */
export function parsePrefix(text: string): Prefix | undefined {
  let prefix = parsed.get(text);
  if (prefix === undefined) {
    prefix = readPrefix(text);
    if (parsed.size >= PARSED) parsed.clear();
    if (prefix !== undefined) parsed.set(text, prefix);
  }
  return prefix;
}

/** A cache, because a call parses each prefix of its configuration twice: to validate it, and to use it. The bytes of a prefix never change. */
const parsed = new Map<string, Prefix>();
const PARSED = 32;

function readPrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0 || text.length > LONGEST + 8) return undefined;
  const length = parseLength(text, slash + 1);
  const bytes = parseBytes(text.slice(0, slash));
  if (bytes === undefined || length < 0 || length > bytes.length * 8) return undefined;
  const address = addressOf(bytes);
  if (address.bytes.length === bytes.length) return { address, length };
  return length >= 96 ? { address, length: length - 96 } : undefined;
}

/** The address as text (RFC 5952), exactly as Go formats it, because the text is the name of host-local's lease file. */
export function formatAddress(address: Address): string {
  const { bytes } = address;
  if (address.family === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  return formatGroups(bytes);
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

/**
 * The address for 4 or 16 bytes in network order. A v4-mapped IPv6 address becomes an IPv4 address; otherwise, the bytes are not copied.
 * Throws RangeError for other lengths.
 */
export function addressOf(bytes: Uint8Array): Address {
  if (bytes.length === 4) return { family: 4, bytes };
  if (bytes.length !== 16) throw new RangeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  return isMapped(bytes) ? { family: 4, bytes: bytes.slice(12) } : { family: 6, bytes };
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

/** Parses the prefix length from `from` to the end of the text. Like Go, accepts leading zeros. Returns -1 if it is not valid. */
function parseLength(text: string, from: number): number {
  if (from === text.length) return -1;
  let value = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > 128) return -1;
  }
  return value;
}

function parseBytes(text: string): Uint8Array | undefined {
  if (text.length > LONGEST) return undefined;
  const dot = text.indexOf(".");
  const quad = dot > 0 && dot < 4 ? parseQuad(text) : undefined;
  if (quad !== undefined) return quad;
  // The first separator, which follows at most four digits, determines the family.
  for (let i = 0; i < 5; i++) {
    const c = text.charCodeAt(i);
    if (c === DOT) return undefined;
    if (c === COLON) return parseGroups(text);
  }
  return undefined;
}

/** The octets by their text. A lookup takes a third of the time of parsing the digits. */
const OCTETS: { [text: string]: number } = Object.create(null);
for (let octet = 0; octet < 256; octet++) OCTETS[octet] = octet;

function parseQuad(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const octet = OCTETS[parts[i]!];
    if (octet === undefined) return undefined;
    bytes[i] = octet;
  }
  return bytes;
}

/** IPv6: groups of one to four hex digits and at most one "::", which stands for at least one group. */
function parseGroups(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  let filled = 0;
  let ellipsis = -1;
  let value = 0;
  let digits = 0;
  let i = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return undefined;
    ellipsis = 0;
    i = 2;
  }
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === COLON) {
      if (digits === 0) {
        // This is the second colon of "::". If `ellipsis` is already set, it is a third colon or a second "::".
        if (ellipsis >= 0) return undefined;
        ellipsis = filled;
        continue;
      }
      if (filled === 16) return undefined;
      bytes[filled++] = value >> 8;
      bytes[filled++] = value & 0xff;
      value = digits = 0;
      // A single colon at the end.
      if (i === text.length - 1) return undefined;
      continue;
    }
    const digit = hexDigit(c);
    if (digit < 0) return c === DOT ? parseDottedTail(text) : undefined;
    if (++digits > 4) return undefined;
    value = value * 16 + digit;
  }
  if (digits > 0) {
    if (filled === 16) return undefined;
    bytes[filled++] = value >> 8;
    bytes[filled++] = value & 0xff;
  }
  if (ellipsis < 0) return filled === 16 ? bytes : undefined;
  if (filled === 16) return undefined;
  bytes.copyWithin(16 - (filled - ellipsis), ellipsis, filled);
  bytes.fill(0, ellipsis, 16 - (filled - ellipsis));
  return bytes;
}

/** IPv6 that ends in a dotted quad (`::ffff:192.0.2.1`). */
function parseDottedTail(text: string): Uint8Array | undefined {
  if (text.includes("%") || text.includes("/") || !Address6.isValid(text)) return undefined;
  let value = new Address6(text).bigInt();
  const bytes = new Uint8Array(16);
  for (let i = 15; i >= 0; i--, value >>= 8n) bytes[i] = Number(value & 0xffn);
  return bytes;
}

function formatGroups(bytes: Uint8Array): string {
  // The longest run of two or more zero groups becomes "::", the first of equals.
  let best = -1;
  let bestLength = 1;
  let start = -1;
  for (let i = 0; i <= 8; i++) {
    const zero = i < 8 && bytes[i * 2] === 0 && bytes[i * 2 + 1] === 0;
    if (zero) {
      if (start < 0) start = i;
    } else if (start >= 0) {
      if (i - start > bestLength) {
        best = start;
        bestLength = i - start;
      }
      start = -1;
    }
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === best) {
      text += "::";
      i += bestLength - 1;
      continue;
    }
    if (i > 0 && i !== best + bestLength) text += ":";
    text += (bytes[i * 2]! * 256 + bytes[i * 2 + 1]!).toString(16);
  }
  return text;
}
