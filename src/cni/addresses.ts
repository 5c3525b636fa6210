// Finds addresses in an IPAM plugin's result that an interface cannot use. This check runs before the interface plugin changes anything.
import { formatPrefix, parsePrefix } from "../ip/address.ts";
import { equalAddresses, isForMany, prefixContains } from "../ip/range.ts";
import type { IpConfig } from "./result.ts";

const LOOPBACK = [parsePrefix("127.0.0.0/8")!, parsePrefix("::1/128")!];

/**
 * Describes the first unusable address, in the form "the address ADDRESS, which …"; undefined if there is none. The kernel accepts most of
 * these addresses, but they do not work: it does not create the routes that CHECK expects, and an ipvlan interface in mode l3 would take a
 * multicast group's packets from the node. If an address occurs twice, the kernel refuses the second one, but only at the end of ADD.
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

/** Whether the kernel treats two addresses of an interface as equal. Two IPv4 addresses can differ in only their prefix lengths. */
function isSame({ address: a }: IpConfig, { address: b }: IpConfig): boolean {
  return equalAddresses(a.address, b.address) && (a.address.family === 6 || a.length === b.length);
}
