// Bridges, their ports and their VLANs: the bridge part of link messages, which most callers do not need (link.ts has the rest), and messages
// of family AF_BRIDGE, which change a port.
import { AF_BRIDGE, AF_INET6 } from "../host/constants.ts";
import { type Codec, findAttribute, Table, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bareText, be16, bytes, list, nested, text, u8, u16, u32, words } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";
import { LINK_HEADER } from "./link.ts";

/** IFLA_INFO_DATA of a bridge. Those of later kernels are undefined before. */
export const bridgeInfo = new Table("bridge", {
  ageingTime: [c.IFLA_BR_AGEING_TIME, u32],
  stpState: [c.IFLA_BR_STP_STATE, u32],
  vlanFiltering: [c.IFLA_BR_VLAN_FILTERING, u8],
  /** ETH_P_8021Q or ETH_P_8021AD. */
  vlanProtocol: [c.IFLA_BR_VLAN_PROTOCOL, be16],
  defaultPvid: [c.IFLA_BR_VLAN_DEFAULT_PVID, u16],
  /** BR_BOOLOPT_*; since Linux 5.0. */
  options: [c.IFLA_BR_MULTI_BOOLOPT, words("on", "mask")],
});
export type BridgeInfo = Values<typeof bridgeInfo.rows>;

/** IFLA_INFO_SLAVE_DATA of a port, and IFLA_PROTINFO of a change. `isolated` since Linux 4.18, `locked` since 5.18. */
export const portAttributes = new Table("bridge port", {
  state: [c.IFLA_BRPORT_STATE, u8],
  hairpin: [c.IFLA_BRPORT_MODE, u8],
  learning: [c.IFLA_BRPORT_LEARNING, u8],
  isolated: [c.IFLA_BRPORT_ISOLATED, u8],
  locked: [c.IFLA_BRPORT_LOCKED, u8],
  neighSuppress: [c.IFLA_BRPORT_NEIGH_SUPPRESS, u8],
});
export type PortAttributes = Values<typeof portAttributes.rows>;

/** struct bridge_vlan_info. */
export interface VlanInfo {
  /** BRIDGE_VLAN_INFO_* bits. */
  flags: number;
  vid: number;
}

const vlanInfo: Codec<VlanInfo> = {
  min: 4,
  write(writer, type, { flags, vid }) {
    const at = writer.attribute(type, 4) >> 1;
    writer.u16[at] = flags;
    writer.u16[at + 1] = vid;
  },
  read: (from, start) => ({ flags: from.u16[start >> 1]!, vid: from.u16[(start >> 1) + 1]! }),
};

/** IFLA_AF_SPEC of a change: VLANs to add or (RTM_DELLINK) to remove. `flags`: whose, BRIDGE_FLAGS_*; the port's when absent. */
interface BridgeSpec {
  flags?: number;
  vlans: VlanInfo[];
}

const vlanList = list(c.IFLA_BRIDGE_VLAN_INFO, vlanInfo);
const specFlags = new Table("bridge vlans", { flags: [c.IFLA_BRIDGE_FLAGS, u16] });

const spec: Codec<BridgeSpec> = {
  min: 0,
  write(writer, type, value) {
    const start = writer.open(type);
    specFlags.write(writer, { flags: value.flags });
    for (const each of value.vlans) vlanInfo.write(writer, c.IFLA_BRIDGE_VLAN_INFO, each);
    writer.close(start);
  },
  read(from, start, end, keep) {
    const { flags } = specFlags.read(from, start, end, false);
    const vlans = vlanList.read(from, start, end, keep);
    return flags === undefined ? { vlans } : { flags, vlans };
  },
};

/** A change of a port (RTM_SETLINK), or VLANs to remove from it (RTM_DELLINK). */
export const portChange = new Table("bridge port", {
  port: [c.IFLA_PROTINFO | c.NLA_F_NESTED, nested(portAttributes)],
  spec: [c.IFLA_AF_SPEC, spec],
});
export type PortChange = Values<typeof portChange.rows>;

export function writePortChange(writer: Writer, index: number, change: PortChange): void {
  const start = writer.reserve(LINK_HEADER);
  writer.u8[start] = AF_BRIDGE;
  writer.u32[(start >> 2) + 1] = index;
  portChange.write(writer, change);
}

export interface PortChangeMessage {
  index: number;
  change: PortChange;
}

export function readPortChange(from: Bytes, start: number, end: number, keep = false): PortChangeMessage {
  if (end - start < LINK_HEADER) throw new ProtocolError(`bridge port: message has ${end - start} bytes`);
  return {
    index: from.u32[(start >> 2) + 1]!,
    change: portChange.read(from, start + LINK_HEADER, end, keep),
  };
}

// What a link message says of a bridge or of a port.

const bridgeMessage = new Table("bridge", {
  linkInfo: [
    c.IFLA_LINKINFO,
    nested(new Table("linkinfo", { kind: [c.IFLA_INFO_KIND, bareText], data: [c.IFLA_INFO_DATA, nested(bridgeInfo)] })),
  ],
});

/** Of a link of kind bridge: other kinds have other data. */
export function readBridgeInfo(from: Bytes, start: number, end: number): BridgeInfo {
  return bridgeMessage.read(from, start + LINK_HEADER, end, false).linkInfo?.data ?? {};
}

/** Place of accept_ra in IFLA_INET6_CONF: DEVCONF_ACCEPT_RA. */
export const ACCEPT_RA = 3;

/** net.ipv6.conf.LINK.accept_ra; undefined: the link has no IPv6. */
export function readAcceptRa(from: Bytes, start: number, end: number): number | undefined {
  const spec = findAttribute(from, start + LINK_HEADER, end, c.IFLA_AF_SPEC, 0);
  const inet6 = spec && findAttribute(from, ...spec, AF_INET6, 0);
  const conf = inet6 && findAttribute(from, ...inet6, c.IFLA_INET6_CONF, 4 * (ACCEPT_RA + 1));
  return conf && from.u32[(conf[0] >> 2) + ACCEPT_RA];
}

const portMessage = new Table("bridge port", {
  linkInfo: [
    c.IFLA_LINKINFO,
    nested(
      new Table("linkinfo", {
        slaveKind: [c.IFLA_INFO_SLAVE_KIND, bareText],
        slaveData: [c.IFLA_INFO_SLAVE_DATA, nested(portAttributes)],
      }),
    ),
  ],
});

/** What an ADD asks of the port that it has made: a third of the work of reading all. */
const newPort = new Table("bridge port", {
  address: [c.IFLA_ADDRESS, bytes],
  name: [c.IFLA_IFNAME, text],
  mtu: [c.IFLA_MTU, u32],
  link: [c.IFLA_LINK, u32],
  ...portMessage.rows,
});

export function readNewPort(from: Bytes, start: number, end: number): Values<typeof newPort.rows> & { index: number } {
  if (end - start < LINK_HEADER) throw new ProtocolError(`link: message has ${end - start} bytes`);
  return Object.assign(newPort.read(from, start + LINK_HEADER, end, false), { index: from.u32[(start >> 2) + 1]! });
}

/** IFLA_BRPORT_STATE of a link whose slave kind is bridge, of which nothing else is read. */
export function readPortState(from: Bytes, start: number, end: number): number | undefined {
  const info = findAttribute(from, start + LINK_HEADER, end, c.IFLA_LINKINFO, 0);
  const data = info && findAttribute(from, ...info, c.IFLA_INFO_SLAVE_DATA, 0);
  const state = data && findAttribute(from, ...data, c.IFLA_BRPORT_STATE, 1);
  return state && from.u8[state[0]];
}

/** Switches of a port that only CHECK asks for, by the words of `bridge link set`. */
const portSwitches = new Table("bridge port", {
  guard: [c.IFLA_BRPORT_GUARD, u8],
  root_block: [c.IFLA_BRPORT_PROTECT, u8],
  flood: [c.IFLA_BRPORT_UNICAST_FLOOD, u8],
  mcast_flood: [c.IFLA_BRPORT_MCAST_FLOOD, u8],
  vlan_tunnel: [c.IFLA_BRPORT_VLAN_TUNNEL, u8],
  bcast_flood: [c.IFLA_BRPORT_BCAST_FLOOD, u8],
  fastleave: [c.IFLA_BRPORT_FAST_LEAVE, u8],
  proxy_arp: [c.IFLA_BRPORT_PROXYARP, u8],
  proxy_arp_wifi: [c.IFLA_BRPORT_PROXYARP_WIFI, u8],
  mcast_to_unicast: [c.IFLA_BRPORT_MCAST_TO_UCAST, u8],
});
export type PortSwitches = Values<typeof portSwitches.rows>;

const slaveData = new Table("linkinfo", { slaveData: [c.IFLA_INFO_SLAVE_DATA, nested(portSwitches)] });
const switchMessage = new Table("bridge port", { linkInfo: [c.IFLA_LINKINFO, nested(slaveData)] });

/** As readPortInfo. */
export function readPortSwitches(from: Bytes, start: number, end: number): PortSwitches {
  return switchMessage.read(from, start + LINK_HEADER, end, false).linkInfo?.slaveData ?? {};
}

/** Of a link whose slave kind is bridge: other kinds have other data. */
export function readPortInfo(from: Bytes, start: number, end: number): PortAttributes {
  return portMessage.read(from, start + LINK_HEADER, end, false).linkInfo?.slaveData ?? {};
}

// RTM_GETVLAN, since Linux 5.6: struct br_vlan_msg, and one attribute for a VLAN or a range of them.

const vlanEntry = new Table("bridge vlan", {
  info: [c.BRIDGE_VLANDB_ENTRY_INFO, vlanInfo],
  /** Last of the range; absent when it is one. */
  last: [c.BRIDGE_VLANDB_ENTRY_RANGE, u16],
});

export type VlanEntry = Values<typeof vlanEntry.rows>;
const entries = list(c.BRIDGE_VLANDB_ENTRY, nested(vlanEntry));
/** Size of struct br_vlan_msg. */
const VLAN_HEADER = 8;

export function writeVlanQuery(writer: Writer, index: number): void {
  const start = writer.reserve(VLAN_HEADER);
  writer.u8[start] = AF_BRIDGE;
  writer.u32[(start >> 2) + 1] = index;
}

export function readVlans(from: Bytes, start: number, end: number): { index: number; vlans: VlanEntry[] } {
  if (end - start < VLAN_HEADER) throw new ProtocolError(`bridge vlan: message has ${end - start} bytes`);
  return { index: from.u32[(start >> 2) + 1]!, vlans: entries.read(from, start + VLAN_HEADER, end, false) };
}

/** The same in a dump of family AF_BRIDGE with RTEXT_FILTER_BRVLAN_COMPRESSED, for older kernels. */
export function readPortVlans(from: Bytes, start: number, end: number): { index: number; vlans: VlanInfo[] } {
  const { index, change } = readPortChange(from, start, end);
  return { index, vlans: change.spec?.vlans ?? [] };
}

// IFLA_AF_SPEC of an ordinary change of a link.

const inet6 = new Table("IPv6 settings", { addrGenMode: [c.IFLA_INET6_ADDR_GEN_MODE, u8] });
const families = new Table("settings of families", { inet6: [AF_INET6, nested(inet6)] });
/** `ip link set addrgenmode`. */
export const addressGeneration = nested(families);
