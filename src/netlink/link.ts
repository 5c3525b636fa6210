// RTM_*LINK messages: struct ifinfomsg and its attributes.
import { type Codec, Table, type Unknown, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bareText, be16, bytes, list, nested, s32, text, u8, u16, u32, words } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";
import { vfInfo } from "./vf.ts";

export const ipvlanAttributes = new Table("ipvlan", {
  mode: [c.IFLA_IPVLAN_MODE, u16],
  flags: [c.IFLA_IPVLAN_FLAGS, u16],
});

export const macvlanAttributes = new Table("macvlan", {
  mode: [c.IFLA_MACVLAN_MODE, u32],
  flags: [c.IFLA_MACVLAN_FLAGS, u16],
  macaddrMode: [c.IFLA_MACVLAN_MACADDR_MODE, u32],
  macaddrData: [c.IFLA_MACVLAN_MACADDR_DATA, list(c.IFLA_MACVLAN_MACADDR, bytes)],
  bcQueueLen: [c.IFLA_MACVLAN_BC_QUEUE_LEN, u32],
});

/** What makes a VLAN device: the kernel lets no two of one parent have the same. */
export const vlanAttributes = new Table("vlan", {
  vlanId: [c.IFLA_VLAN_ID, u16],
  vlanProtocol: [c.IFLA_VLAN_PROTOCOL, be16],
});

/** What a bridge is made with. What it has is read by bridge.ts: it is long, and few ask. */
const bridgeAttributes = new Table("bridge", {
  vlanFiltering: [c.IFLA_BR_VLAN_FILTERING, u8],
  ageingTime: [c.IFLA_BR_AGEING_TIME, u32],
  bridgeOptions: [c.IFLA_BR_MULTI_BOOLOPT, words("on", "mask")],
});

/** The other end of a veth: a link message of its own. */
const peer: Codec<LinkAttributes> = {
  min: 16,
  write(writer, type, value) {
    const start = writer.open(type);
    writeLink(writer, 0, 0, 0, value);
    writer.close(start);
  },
  read: (from, start, end, keep) => readLink(from, start, end, keep).attributes,
};

/** What a veth is made with; the kernel tells none of it again. */
const vethAttributes = new Table("veth", { peer: [c.VETH_INFO_PEER, peer] });

/** IFLA_INFO_DATA of the kinds we know. */
export interface KindData {
  mode?: number | undefined;
  flags?: number | undefined;
  macaddrMode?: number | undefined;
  macaddrData?: Uint8Array[] | undefined;
  bcQueueLen?: number | undefined;
  vlanId?: number | undefined;
  /** ETH_P_8021Q or ETH_P_8021AD. */
  vlanProtocol?: number | undefined;
  vlanFiltering?: number | undefined;
  /** Hundredths of a second. */
  ageingTime?: number | undefined;
  /** struct br_boolopt_multi. */
  bridgeOptions?: { on: number; mask: number } | undefined;
  /** Attributes of a veth's other end. */
  peer?: LinkAttributes | undefined;
  unknown?: Unknown[];
}

export interface LinkInfo {
  kind?: string | undefined;
  /** For kinds in `kindTables`; for the others it is among `unknown`. */
  data?: KindData | undefined;
  slaveKind?: string | undefined;
  unknown?: Unknown[];
}

function kindTable(kind: string | undefined): Table<typeof macvlanAttributes.rows> | undefined {
  if (kind === "macvlan" || kind === "macvtap") return macvlanAttributes;
  // The rows of each are keys of KindData.
  if (kind === "vlan") return vlanAttributes as unknown as typeof macvlanAttributes;
  if (kind === "ipvlan" || kind === "ipvtap") return ipvlanAttributes as unknown as typeof macvlanAttributes;
  return undefined;
}

/** The same for a link to make, and for whoever keeps all there is. */
function newKindTable(kind: string | undefined): Table<typeof macvlanAttributes.rows> | undefined {
  if (kind === "bridge") return bridgeAttributes as unknown as typeof macvlanAttributes;
  if (kind === "veth") return vethAttributes as unknown as typeof macvlanAttributes;
  return kindTable(kind);
}

interface Span {
  start: number;
  end: number;
}

/** Where an attribute is, to be read when we know what it means. */
const span: Codec<Span> = {
  min: 0,
  write() {},
  read: (_from, start, end) => ({ start, end }),
};

const infoAttributes = new Table("linkinfo", {
  kind: [c.IFLA_INFO_KIND, bareText],
  rawData: [c.IFLA_INFO_DATA, span],
  slaveKind: [c.IFLA_INFO_SLAVE_KIND, bareText],
});

/** IFLA_LINKINFO: what IFLA_INFO_DATA means depends on IFLA_INFO_KIND. */
const linkInfo: Codec<LinkInfo> = {
  min: 0,
  write(writer, type, value) {
    const start = writer.open(type);
    if (value.kind !== undefined) bareText.write(writer, c.IFLA_INFO_KIND, value.kind);
    const table = value.data === undefined ? undefined : newKindTable(value.kind);
    if (value.data !== undefined && table !== undefined) {
      const data = writer.open(c.IFLA_INFO_DATA);
      table.write(writer, value.data);
      writer.close(data);
    }
    if (value.slaveKind !== undefined) bareText.write(writer, c.IFLA_INFO_SLAVE_KIND, value.slaveKind);
    for (const { type: unknown, value: raw } of value.unknown ?? []) bytes.write(writer, unknown, raw);
    writer.close(start);
  },
  read(from, start, end, keep) {
    const { kind, rawData, slaveKind, unknown } = infoAttributes.read(from, start, end, keep);
    const info: LinkInfo = {};
    if (unknown !== undefined) info.unknown = unknown;
    if (kind !== undefined) info.kind = kind;
    if (slaveKind !== undefined) info.slaveKind = slaveKind;
    if (rawData === undefined) return info;
    const table = keep ? newKindTable(kind) : kindTable(kind);
    if (table !== undefined) info.data = table.read(from, rawData.start, rawData.end, keep);
    else if (keep) {
      info.unknown = info.unknown ?? [];
      info.unknown.push({ type: c.IFLA_INFO_DATA, value: from.copy(rawData.start, rawData.end) });
    }
    return info;
  },
};

export const linkAttributes = new Table("link", {
  address: [c.IFLA_ADDRESS, bytes],
  name: [c.IFLA_IFNAME, text],
  mtu: [c.IFLA_MTU, u32],
  link: [c.IFLA_LINK, u32],
  master: [c.IFLA_MASTER, u32],
  txqlen: [c.IFLA_TXQLEN, u32],
  operstate: [c.IFLA_OPERSTATE, u8],
  linkInfo: [c.IFLA_LINKINFO, linkInfo],
  alias: [c.IFLA_IFALIAS, bareText],
  vfInfo: [c.IFLA_VFINFO_LIST, list(c.IFLA_VF_INFO, vfInfo)],
  netNsFd: [c.IFLA_NET_NS_FD, u32],
  extMask: [c.IFLA_EXT_MASK, u32],
  linkNetnsid: [c.IFLA_LINK_NETNSID, s32],
  portName: [c.IFLA_PHYS_PORT_NAME, text],
  /** Asks about the namespace with this number instead of that of the socket. */
  targetNetnsid: [c.IFLA_TARGET_NETNSID, s32],
  minMtu: [c.IFLA_MIN_MTU, u32],
  maxMtu: [c.IFLA_MAX_MTU, u32],
  // The only ones the kernel wants to see with NLA_F_NESTED.
  altnames: [c.IFLA_PROP_LIST | c.NLA_F_NESTED, list(c.IFLA_ALT_IFNAME, text)],
  altname: [c.IFLA_ALT_IFNAME, text],
  permanentAddress: [c.IFLA_PERM_ADDRESS, bytes],
  parentDevice: [c.IFLA_PARENT_DEV_NAME, text],
});

/** What a link stands on: of most links that is all that anybody wants to know, and a fifth of the work. */
const footing = new Table("link", {
  link: [c.IFLA_LINK, u32],
  linkNetnsid: [c.IFLA_LINK_NETNSID, s32],
  carrier: [c.IFLA_CARRIER, u8],
  linkInfo: [c.IFLA_LINKINFO, nested(new Table("linkinfo", { kind: [c.IFLA_INFO_KIND, bareText] }))],
});
export type Footing = Values<typeof footing.rows>;

export function readFooting(from: Bytes, start: number, end: number): Footing {
  if (end - start < LINK_HEADER) throw new ProtocolError(`link: message has ${end - start} bytes`);
  return footing.read(from, start + LINK_HEADER, end, false);
}

const made = new Table("link", { address: [c.IFLA_ADDRESS, bytes], mtu: [c.IFLA_MTU, u32] });

/** What is not known before of a link that was just made. */
export function readMade(from: Bytes, start: number, end: number): Values<typeof made.rows> & { index: number } {
  if (end - start < LINK_HEADER) throw new ProtocolError(`link: message has ${end - start} bytes`);
  return Object.assign(made.read(from, start + LINK_HEADER, end, false), { index: from.u32[(start >> 2) + 1]! });
}

export type LinkAttributes = Values<typeof linkAttributes.rows>;

export interface LinkMessage {
  /** struct ifinfomsg. */
  family: number;
  /** ARPHRD_*. */
  type: number;
  index: number;
  /** IFF_* bits, and which of them to change. */
  flags: number;
  change: number;
  attributes: LinkAttributes;
}

/** Size of struct ifinfomsg. */
export const LINK_HEADER = 16;

export function writeLink(
  writer: Writer,
  index: number,
  flags: number,
  change: number,
  attributes: LinkAttributes,
): void {
  writeLinkHeader(writer, index, flags, change);
  linkAttributes.write(writer, attributes);
}

/** What attributes follow. */
export function writeLinkHeader(writer: Writer, index: number, flags: number, change: number): void {
  const word = writer.room(LINK_HEADER) >> 2;
  writer.u32[word] = 0;
  writer.u32[word + 1] = index;
  writer.u32[word + 2] = flags;
  writer.u32[word + 3] = change;
}

/** Reads the payload of a link message in [start, end). */
export function readLink(from: Bytes, start: number, end: number, keep = false): LinkMessage {
  if (end - start < LINK_HEADER) throw new ProtocolError(`link: message has ${end - start} bytes`);
  const word = start >> 2;
  return {
    family: from.u8[start]!,
    type: from.u16[(start >> 1) + 1]!,
    index: from.u32[word + 1]!,
    flags: from.u32[word + 2]!,
    change: from.u32[word + 3]!,
    attributes: linkAttributes.read(from, start + LINK_HEADER, end, keep),
  };
}
