// Addresses: `ip addr add`, `ip addr show`.
import { AF_INET, AF_INET6 } from "../host/constants.ts";
import { type Address, formatPrefix, type Prefix } from "../ip/address.ts";
import { equalAddresses, lastAddress } from "../ip/range.ts";
import {
  type AddressMessage,
  readAddress,
  writeAddress,
  writeAddressHeader,
  writeAddressQuery,
} from "../netlink/address.ts";
import type { Unknown } from "../netlink/attributes.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import { bytes, text, u32 } from "../netlink/codecs.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import type { RouteSocket } from "../netlink/socket.ts";

/** An address as the kernel has it. */
export interface KernelAddress {
  /** Of its interface. */
  index: number;
  address: Address;
  length: number;
  /** IFA_F_* bits. */
  flags: number;
  /** RT_SCOPE_*: 0 is global. */
  scope: number;
  broadcast: Address | undefined;
  /** The other end of a point-to-point address, whose prefix `length` is then. */
  peer: Address | undefined;
  /** IFA_LABEL, IPv4 only; "" when there is none. */
  label: string;
  /** What we have no name for (IFA_*): the metric of its prefix route, who made it, its lifetimes. */
  unknown: Unknown[];
}

/** An address to add. All that is left out is the kernel's default. */
export interface NewAddress {
  prefix: Prefix;
  /** IFA_F_* bits; with IFA_F_DEPRECATED it is valid forever and preferred never. */
  flags: number;
  broadcast: Address | undefined;
  scope?: number;
  peer?: Address | undefined;
  label?: string | undefined;
  unknown?: Unknown[];
}

/** The broadcast address of the subnet, where it has one: the Go plugins set it. */
export function broadcastOf(prefix: Prefix): Address | undefined {
  return prefix.address.family === 4 && prefix.length < 31 ? lastAddress(prefix) : undefined;
}

/** struct ifa_cacheinfo: preferred for 0 s, valid forever; when it was made and changed is not ours to say. */
const DEPRECATED: Unknown = {
  type: c.IFA_CACHEINFO,
  value: Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0),
};

/** Begins `ip addr add`. */
export function beginAddAddress(route: RouteSocket, index: number, added: NewAddress): void {
  const { prefix, flags, broadcast, scope = c.RT_SCOPE_UNIVERSE, peer, label, unknown = [] } = added;
  const { address, length } = prefix;
  const writer = route.begin(() => `ip addr add ${formatPrefix(prefix)}`, c.RTM_NEWADDR, c.NLM_F_CREATE | c.NLM_F_EXCL);
  writeAddressHeader(writer, address.family === 4 ? AF_INET : AF_INET6, length, flags & 0xff, scope, index);
  bytes.write(writer, c.IFA_LOCAL, address.bytes);
  bytes.write(writer, c.IFA_ADDRESS, (peer ?? address).bytes);
  if (broadcast !== undefined) bytes.write(writer, c.IFA_BROADCAST, broadcast.bytes);
  if (label !== undefined) text.write(writer, c.IFA_LABEL, label);
  if (flags > 0xff) u32.write(writer, c.IFA_FLAGS, flags);
  for (const { type, value } of unknown) bytes.write(writer, type, value);
  if ((flags & c.IFA_F_DEPRECATED) !== 0) bytes.write(writer, DEPRECATED.type, DEPRECATED.value);
}

/** Begins `ip addr del`. */
export function beginDeleteAddress(
  route: RouteSocket,
  index: number,
  { address, length, peer }: Pick<KernelAddress, "address" | "length"> & { peer?: Address | undefined },
): void {
  const writer = route.begin(`ip addr del ${formatPrefix({ address, length })}`, c.RTM_DELADDR, 0);
  writeAddress(writer, {
    family: address.family === 4 ? AF_INET : AF_INET6,
    prefixLength: length,
    flags: 0,
    scope: 0,
    index,
    attributes: { local: address.bytes, address: (peer ?? address).bytes },
  });
}

/** Addresses of one interface (none when it is gone) or (index 0) all, of one family or (0) both. `name`: what messages call it. */
export function listAddresses(
  route: RouteSocket,
  index: number,
  family: 0 | 4 | 6 = 0,
  name: string | number = index,
): KernelAddress[] {
  const wanted = family === 0 ? 0 : family === 4 ? AF_INET : AF_INET6;
  const write = (writer: Writer) => writeAddressQuery(writer, wanted, index);
  // The kernel filters by index since 4.20.
  const read = (bytes: Bytes, start: number, end: number): KernelAddress | undefined => {
    const message = readAddress(bytes, start, end, true);
    return index !== 0 && message.index !== index ? undefined : toAddress(message);
  };
  try {
    return route.dump(`ip addr show dev ${name}`, c.RTM_GETADDR, write, read).items;
  } catch (error) {
    // The link has gone since somebody listed it, and its addresses with it.
    if (index !== 0 && error instanceof NetlinkError && error.code === "ENODEV") return [];
    throw error;
  }
}

/**
 * All addresses in the namespace that this one has the number for. undefined: the kernel does not tell (before Linux 4.20, it tells of our own
 * namespace instead). Throws NetlinkError with code "EINVAL" when it is about to end.
 */
export function listAddressesOf(route: RouteSocket, number: number): KernelAddress[] | undefined {
  const write = (writer: Writer) =>
    writeAddress(writer, {
      ...{ family: 0, prefixLength: 0, flags: 0, scope: 0, index: 0 },
      attributes: { targetNetnsid: number },
    });
  let isThere = true;
  const read = (bytes: Bytes, start: number, end: number): KernelAddress | undefined => {
    const message = readAddress(bytes, start, end, true);
    isThere &&= message.attributes.targetNetnsid === number;
    return toAddress(message);
  };
  const { items } = route.dump(`ip addr show (namespace ${number})`, c.RTM_GETADDR, write, read);
  return isThere ? items : undefined;
}

function toAddress(message: AddressMessage): KernelAddress | undefined {
  const { address, local, flags, broadcast, label, unknown } = message.attributes;
  // IFA_LOCAL is missing for IPv6, and IFA_ADDRESS is the peer's for point-to-point ones.
  const own = local ?? address;
  if (own === undefined) return undefined;
  const family = message.family === AF_INET ? 4 : 6;
  const peer = local === undefined || address === undefined ? undefined : ({ family, bytes: address } as const);
  return {
    index: message.index,
    address: { family, bytes: own },
    length: message.prefixLength,
    flags: flags ?? message.flags,
    scope: message.scope,
    broadcast: broadcast && { family: 4, bytes: broadcast },
    peer: peer !== undefined && equalAddresses(peer, { family, bytes: own }) ? undefined : peer,
    label: label ?? "",
    unknown: unknown ?? [],
  };
}
