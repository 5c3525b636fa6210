// Which addresses of an IPAM plugin's answer no interface can use. Checked before the interface plugin changes anything.
import { formatPrefix, parsePrefix } from "../ip/address.ts";
import { equalAddresses, isForMany, prefixContains } from "../ip/range.ts";
import type { IpConfig } from "./result.ts";

const LOOPBACK = [parsePrefix("127.0.0.0/8")!, parsePrefix("::1/128")!];

/**
 * "the address ADDRESS, which …", of the first such address; undefined: there is none. The kernel accepts most of them, but they do not work: CHECK does
 * not find the routes that they should bring, and in mode l3 an ipvlan interface takes the packets for a group from the node's own members of the
 * group. The kernel refuses the second of two equal addresses, but only after everything else was made.
 */
export function addressFault(ips: IpConfig[]): string | undefined {
  for (const [n, { address: prefix }] of ips.entries()) {
    const why =
      faultOf(prefix) ?? (ips.findIndex((other) => isSame(other, ips[n]!)) < n ? "is in the result twice" : undefined);
    if (why !== undefined) return `the address ${formatPrefix(prefix)}, which ${why}`;
  }
  return undefined;
}

function faultOf({ address, length }: IpConfig["address"]): string | undefined {
  if (length === 0) return "puts the whole Internet on the link (prefix length 0)";
  if (isForMany(address)) return "is a multicast, broadcast or unspecified address";
  return LOOPBACK.some((network) => prefixContains(network, address)) ? "is a loopback address" : undefined;
}

/** IPv4 addresses of an interface may differ in their prefix length alone. */
function isSame({ address: a }: IpConfig, { address: b }: IpConfig): boolean {
  return equalAddresses(a.address, b.address) && (a.address.family === 6 || a.length === b.length);
}
