// IP addresses and prefixes as values. The maths is the ip-address package's; everything else in podnic sees only these types.

export type Family = 4 | 6;

/** An address: 4 or 16 bytes in network order. A v4-mapped IPv6 address is family 4, as in Go. */
export interface Address {
  readonly family: Family;
  readonly bytes: Uint8Array;
}

/** An address with a prefix length; host bits may be set (an interface address) or not (a network). */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Parses Go's net.ParseIP grammar: no zone, no leading zeros in IPv4 octets. undefined when it is not an address. */
export function parseAddress(_text: string): Address | undefined {
  throw new Error("not built yet");
}

/** Parses `address/length` as Go's net.ParseCIDR does, host bits kept. undefined when it is not one. */
export function parsePrefix(_text: string): Prefix | undefined {
  throw new Error("not built yet");
}

/** RFC 5952 text; byte for byte what Go prints, because host-local's lease files are named by it. */
export function formatAddress(_address: Address): string {
  throw new Error("not built yet");
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}
