// Addresses: `ip addr add`, `ip addr show`.
import { AF_INET, AF_INET6 } from "../host/constants.ts";
import { type Address, formatPrefix, type Prefix } from "../ip/address.ts";
import { lastAddress } from "../ip/range.ts";
import { readAddress, writeAddress } from "../netlink/address.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import type { RouteSocket } from "../netlink/socket.ts";

/** An address as the kernel has it. */
export interface KernelAddress {
  address: Address;
  length: number;
  /** IFA_F_* bits. */
  flags: number;
  /** RT_SCOPE_*: 0 is global. */
  scope: number;
  broadcast: Address | undefined;
}

/** The broadcast address of the subnet, where it has one: the Go plugins set it. */
export function broadcastOf(prefix: Prefix): Address | undefined {
  return prefix.address.family === 4 && prefix.length < 31 ? lastAddress(prefix) : undefined;
}

/** Begins `ip addr add`. `flags`: IFA_F_NODAD, IFA_F_OPTIMISTIC or 0. */
export function beginAddAddress(
  route: RouteSocket,
  index: number,
  prefix: Prefix,
  flags: number,
  broadcast: Address | undefined,
): void {
  const { address, length } = prefix;
  const writer = route.begin(`ip addr add ${formatPrefix(prefix)}`, c.RTM_NEWADDR, c.NLM_F_CREATE | c.NLM_F_EXCL);
  writeAddress(writer, {
    family: address.family === 4 ? AF_INET : AF_INET6,
    prefixLength: length,
    flags,
    scope: c.RT_SCOPE_UNIVERSE,
    index,
    attributes: {
      local: address.bytes,
      address: address.bytes,
      broadcast: broadcast?.bytes,
    },
  });
}

/** Addresses of one interface, of one family or (0) both. */
export function listAddresses(route: RouteSocket, index: number, family: 0 | 4 | 6 = 0): KernelAddress[] {
  const wanted = family === 0 ? 0 : family === 4 ? AF_INET : AF_INET6;
  const write = (writer: Writer) =>
    writeAddress(writer, { family: wanted, prefixLength: 0, flags: 0, scope: 0, index, attributes: {} });
  // The kernel filters by index since 4.20.
  const read = (bytes: Bytes, start: number, end: number): KernelAddress | undefined => {
    const message = readAddress(bytes, start, end);
    const { address, local, flags, broadcast } = message.attributes;
    // IFA_LOCAL is missing for IPv6, and IFA_ADDRESS is the peer's for point-to-point ones.
    const own = local ?? address;
    if (message.index !== index || own === undefined) return undefined;
    return {
      address: { family: message.family === AF_INET ? 4 : 6, bytes: own },
      length: message.prefixLength,
      flags: flags ?? message.flags,
      scope: message.scope,
      broadcast: broadcast && { family: 4, bytes: broadcast },
    };
  };
  return route.dump(`ip addr show dev ${index}`, c.RTM_GETADDR, write, read).items;
}
