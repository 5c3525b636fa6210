// The part of a link message that most callers do not need (link.ts has the rest): rarely changed settings, the sysctls of the protocols, and
// XDP.
import { type Codec, Table, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bytes, nested, s32, u8, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";
import { LINK_HEADER } from "./link.ts";

/** linux/if_link.h since 6.3; headers that are older lack them. */
const IFLA_GSO_IPV4_MAX_SIZE = 63;
const IFLA_GRO_IPV4_MAX_SIZE = 64;
const AF_INET = 2;
const AF_INET6 = 10;

/** An array of 32-bit numbers. */
const numbers: Codec<Int32Array> = {
  min: 0,
  write(writer, type, values) {
    const at = writer.attribute(type, values.length * 4) >> 2;
    writer.u32.set(values, at);
  },
  read(from, start, end) {
    // Copied as it is: a hundred numbers of which hardly one is looked at.
    return new Int32Array(from.u8.slice(start, start + ((end - start) & ~3)).buffer);
  },
};

/** Values of IPV4_DEVCONF_1, _2, …. */
const inet = new Table("IPv4 settings", { conf: [c.IFLA_INET_CONF, numbers] });
/** Values of DEVCONF_0, _1, …. */
const inet6 = new Table("IPv6 settings", { conf: [c.IFLA_INET6_CONF, numbers] });
const families = new Table("settings of families", { inet: [AF_INET, nested(inet)], inet6: [AF_INET6, nested(inet6)] });

const xdp = new Table("xdp", {
  fd: [c.IFLA_XDP_FD, s32],
  attached: [c.IFLA_XDP_ATTACHED, u8],
  flags: [c.IFLA_XDP_FLAGS, u32],
  program: [c.IFLA_XDP_PROG_ID, u32],
  drv: [c.IFLA_XDP_DRV_PROG_ID, u32],
  skb: [c.IFLA_XDP_SKB_PROG_ID, u32],
  hw: [c.IFLA_XDP_HW_PROG_ID, u32],
});

export const settingsAttributes = new Table("link settings", {
  broadcast: [c.IFLA_BROADCAST, bytes],
  linkMode: [c.IFLA_LINKMODE, u8],
  group: [c.IFLA_GROUP, u32],
  gsoMaxSegs: [c.IFLA_GSO_MAX_SEGS, u32],
  gsoMaxSize: [c.IFLA_GSO_MAX_SIZE, u32],
  groMaxSize: [c.IFLA_GRO_MAX_SIZE, u32],
  gsoIpv4MaxSize: [IFLA_GSO_IPV4_MAX_SIZE, u32],
  groIpv4MaxSize: [IFLA_GRO_IPV4_MAX_SIZE, u32],
  families: [c.IFLA_AF_SPEC, nested(families)],
  xdp: [c.IFLA_XDP, nested(xdp)],
});

export type SettingsAttributes = Values<typeof settingsAttributes.rows>;

export interface SettingsMessage {
  index: number;
  attributes: SettingsAttributes;
}

export function writeSettings(writer: Writer, { index, attributes }: SettingsMessage): void {
  const word = writer.reserve(LINK_HEADER) >> 2;
  writer.u32[word + 1] = index;
  settingsAttributes.write(writer, attributes);
}

export function readSettings(from: Bytes, start: number, end: number): SettingsMessage {
  if (end - start < LINK_HEADER) throw new ProtocolError(`link: message has ${end - start} bytes`);
  const attributes = settingsAttributes.read(from, start + LINK_HEADER, end, false);
  return { index: from.u32[(start >> 2) + 1]!, attributes };
}
