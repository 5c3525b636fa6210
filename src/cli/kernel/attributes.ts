// Names of netlink attributes as in the kernel's headers, for display. The numbers are in netlink/constants.ts.
import { type Address, formatAddress } from "../../ip/address.ts";
import { formatMac } from "../../ip/mac.ts";
import { NLA_TYPE_MASK } from "../../netlink/attributes.ts";
import type { Bytes } from "../../netlink/bytes.ts";
import * as c from "../../netlink/constants.ts";
import type { Names } from "./names.ts";

type Format = (bytes: Bytes, start: number, end: number, names: Names) => string;
type Row = { name: string; value: Format | Table };
type Table = Map<number, Row>;

/** Names begin with `prefix`. Does not find the constants by name, because the executable would then contain all constants. */
function table(prefix: string, rows: { [name: string]: [type: number, value: Format | Table] }): Table {
  return new Map(
    Object.entries(rows).map(([key, [type, value]]) => [type & NLA_TYPE_MASK, { name: `${prefix}_${key}`, value }]),
  );
}

/** The names of the bits that are set. Bits without a name are shown as a number. */
export function bits(value: number, names: Map<number, string>): string {
  const found = [...names].filter(([bit]) => (value & bit) !== 0);
  const rest = found.reduce((left, [bit]) => left & ~bit, value) >>> 0;
  const all = [...found.map(([, name]) => name), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])];
  return all.length === 0 ? "0" : all.join("|");
}

const u8: Format = (bytes, start) => String(bytes.u8[start]);
const u16: Format = (bytes, start) => String(bytes.u16[start >> 1]);
const u32: Format = (bytes, start) => String(bytes.u32[start >> 2]);
const s32: Format = (bytes, start) => String(bytes.u32[start >> 2]! | 0);
/** A number, and its name in `ip`. */
const named =
  (read: Format, names: { [value: string]: string }): Format =>
  (...at) => {
    const value = read(...at);
    return names[value] === undefined ? value : `${value} (${names[value]})`;
  };
const macvlanModes = { 1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source" };
const ipvlanModes = { 0: "l2", 1: "l3", 2: "l3s" };
const extMask: Format = (bytes, start) =>
  bits(
    bytes.u32[start >> 2]!,
    new Map([
      [c.RTEXT_FILTER_VF, "RTEXT_FILTER_VF"],
      [c.RTEXT_FILTER_BRVLAN_COMPRESSED, "RTEXT_FILTER_BRVLAN_COMPRESSED"],
      [c.RTEXT_FILTER_SKIP_STATS, "RTEXT_FILTER_SKIP_STATS"],
    ]),
  );
const text: Format = (bytes, start, end) => JSON.stringify(bytes.text(start, end));
const mac: Format = (bytes, start, end) => formatMac(bytes.copy(start, end));
const device: Format = (bytes, start, _end, names) => {
  const index = bytes.u32[start >> 2]!;
  return index === 0 ? "0" : `${index} (${names.device(index)})`;
};
const netns: Format = (bytes, start, _end, names) => {
  const fd = bytes.u32[start >> 2]!;
  return `${fd} (${names.netns(fd)})`;
};
const address: Format = (bytes, start, end) => {
  const data = bytes.copy(start, end);
  if (data.length !== 4 && data.length !== 16) return hex(bytes, start, end);
  return formatAddress({ family: data.length === 4 ? 4 : 6, bytes: data } as Address);
};
const hex = (bytes: Bytes, start: number, end: number): string =>
  [...bytes.copy(start, end)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
/** A C struct of 32-bit words. */
const words: Format = (bytes, start, end) => [...bytes.u32.subarray(start >> 2, end >> 2)].join(" ");

const vfInfo = table("IFLA_VF", {
  MAC: [c.IFLA_VF_MAC, (bytes, start) => `${bytes.u32[start >> 2]} ${formatMac(bytes.copy(start + 4, start + 10))}`],
  VLAN: [c.IFLA_VF_VLAN, words],
  TX_RATE: [c.IFLA_VF_TX_RATE, words],
  SPOOFCHK: [c.IFLA_VF_SPOOFCHK, words],
  LINK_STATE: [c.IFLA_VF_LINK_STATE, words],
  RATE: [c.IFLA_VF_RATE, words],
  RSS_QUERY_EN: [c.IFLA_VF_RSS_QUERY_EN, words],
  TRUST: [c.IFLA_VF_TRUST, words],
  VLAN_LIST: [
    c.IFLA_VF_VLAN_LIST,
    table("IFLA_VF", {
      VLAN_INFO: [
        c.IFLA_VF_VLAN_INFO,
        (bytes, start) => `${words(bytes, start, start + 12, noNames)} 0x${bytes.be16(start + 12).toString(16)}`,
      ],
    }),
  ],
});
const noNames: Names = { device: String, netns: String };

const kinds: { [kind: string]: Table | undefined } = {
  macvlan: table("IFLA_MACVLAN", {
    MODE: [c.IFLA_MACVLAN_MODE, named(u32, macvlanModes)],
    FLAGS: [c.IFLA_MACVLAN_FLAGS, u16],
    MACADDR_MODE: [c.IFLA_MACVLAN_MACADDR_MODE, u32],
    MACADDR_DATA: [c.IFLA_MACVLAN_MACADDR_DATA, table("IFLA_MACVLAN", { MACADDR: [c.IFLA_MACVLAN_MACADDR, mac] })],
    BC_QUEUE_LEN: [c.IFLA_MACVLAN_BC_QUEUE_LEN, u32],
    BC_QUEUE_LEN_USED: [c.IFLA_MACVLAN_BC_QUEUE_LEN_USED, u32],
  }),
  ipvlan: table("IFLA_IPVLAN", {
    MODE: [c.IFLA_IPVLAN_MODE, named(u16, ipvlanModes)],
    FLAGS: [c.IFLA_IPVLAN_FLAGS, u16],
  }),
};
const linkInfo = table("IFLA_INFO", { KIND: [c.IFLA_INFO_KIND, text], SLAVE_KIND: [c.IFLA_INFO_SLAVE_KIND, text] });

export const linkTable = table("IFLA", {
  ADDRESS: [c.IFLA_ADDRESS, mac],
  BROADCAST: [c.IFLA_BROADCAST, mac],
  IFNAME: [c.IFLA_IFNAME, text],
  MTU: [c.IFLA_MTU, u32],
  LINK: [c.IFLA_LINK, device],
  QDISC: [c.IFLA_QDISC, text],
  MASTER: [c.IFLA_MASTER, device],
  TXQLEN: [c.IFLA_TXQLEN, u32],
  OPERSTATE: [c.IFLA_OPERSTATE, u8],
  LINKMODE: [c.IFLA_LINKMODE, u8],
  LINKINFO: [c.IFLA_LINKINFO, linkInfo],
  NET_NS_PID: [c.IFLA_NET_NS_PID, u32],
  IFALIAS: [c.IFLA_IFALIAS, text],
  NUM_VF: [c.IFLA_NUM_VF, u32],
  VFINFO_LIST: [c.IFLA_VFINFO_LIST, table("IFLA", { VF_INFO: [c.IFLA_VF_INFO, vfInfo] })],
  GROUP: [c.IFLA_GROUP, u32],
  NET_NS_FD: [c.IFLA_NET_NS_FD, netns],
  EXT_MASK: [c.IFLA_EXT_MASK, extMask],
  PROMISCUITY: [c.IFLA_PROMISCUITY, u32],
  NUM_TX_QUEUES: [c.IFLA_NUM_TX_QUEUES, u32],
  NUM_RX_QUEUES: [c.IFLA_NUM_RX_QUEUES, u32],
  CARRIER: [c.IFLA_CARRIER, u8],
  LINK_NETNSID: [c.IFLA_LINK_NETNSID, s32],
  PHYS_PORT_NAME: [c.IFLA_PHYS_PORT_NAME, text],
  MIN_MTU: [c.IFLA_MIN_MTU, u32],
  MAX_MTU: [c.IFLA_MAX_MTU, u32],
  PROP_LIST: [c.IFLA_PROP_LIST, table("IFLA", { ALT_IFNAME: [c.IFLA_ALT_IFNAME, text] })],
  ALT_IFNAME: [c.IFLA_ALT_IFNAME, text],
  PERM_ADDRESS: [c.IFLA_PERM_ADDRESS, mac],
  PARENT_DEV_NAME: [c.IFLA_PARENT_DEV_NAME, text],
  PARENT_DEV_BUS_NAME: [c.IFLA_PARENT_DEV_BUS_NAME, text],
});

export const addressTable = table("IFA", {
  ADDRESS: [c.IFA_ADDRESS, address],
  LOCAL: [c.IFA_LOCAL, address],
  LABEL: [c.IFA_LABEL, text],
  BROADCAST: [c.IFA_BROADCAST, address],
  FLAGS: [c.IFA_FLAGS, u32],
  TARGET_NETNSID: [c.IFA_TARGET_NETNSID, u32],
});

export const routeTable = table("RTA", {
  DST: [c.RTA_DST, address],
  OIF: [c.RTA_OIF, device],
  GATEWAY: [c.RTA_GATEWAY, address],
  PRIORITY: [c.RTA_PRIORITY, u32],
  PREFSRC: [c.RTA_PREFSRC, address],
  METRICS: [c.RTA_METRICS, table("RTAX", { MTU: [c.RTAX_MTU, u32], ADVMSS: [c.RTAX_ADVMSS, u32] })],
  TABLE: [c.RTA_TABLE, u32],
  VIA: [c.RTA_VIA, (bytes, start, end, names) => address(bytes, start + 2, end, names)],
  NH_ID: [c.RTA_NH_ID, u32],
});

export const neighbourTable = table("NDA", { DST: [c.NDA_DST, address] });

export const numberTable = table("NETNSA", { NSID: [c.NETNSA_NSID, s32], FD: [c.NETNSA_FD, netns] });

export const nexthopTable = table("NHA", {
  ID: [c.NHA_ID, u32],
  OIF: [c.NHA_OIF, device],
  GATEWAY: [c.NHA_GATEWAY, address],
});

/** One line for each attribute in [start, end), with nested ones below it. The last line lists the types of attributes that have no name here. */
export function attributeLines(
  bytes: Bytes,
  start: number,
  end: number,
  rows: Table,
  names: Names,
  indent = "",
): string[] {
  const lines: string[] = [];
  const unnamed: number[] = [];
  let kind = "";
  for (let at = start; at + 4 <= end; ) {
    const size = bytes.u16[at >> 1]!;
    if (size < 4 || at + size > end) break;
    const type = bytes.u16[(at >> 1) + 1]! & NLA_TYPE_MASK;
    if (rows === linkInfo && type === c.IFLA_INFO_KIND) kind = bytes.text(at + 4, at + size);
    const row = rows.get(type) ?? kindData(rows, type, kind);
    if (row === undefined) unnamed.push(type);
    else if (row.value instanceof Map) {
      lines.push(`${indent}${row.name}`);
      lines.push(...attributeLines(bytes, at + 4, at + size, row.value, names, `${indent}  `));
    } else lines.push(`${indent}${row.name} ${row.value(bytes, at + 4, at + size, names)}`);
    at += (size + 3) & ~3;
  }
  if (unnamed.length > 0) lines.push(`${indent}(not decoded: attributes ${unnamed.join(" ")})`);
  return lines;
}

/** The meaning of IFLA_INFO_DATA depends on IFLA_INFO_KIND, which the kernel sends first. */
function kindData(rows: Table, type: number, kind: string): Row | undefined {
  if (rows !== linkInfo || type !== c.IFLA_INFO_DATA) return undefined;
  const value = kinds[kind];
  return value === undefined ? undefined : { name: "IFLA_INFO_DATA", value };
}
