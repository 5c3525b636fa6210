// Attributes of netlink messages by the names of the kernel's headers, for people. Numbers come from netlink/constants.ts.
import { type Address, formatAddress } from "../../ip/address.ts";
import { formatMac } from "../../ip/mac.ts";
import { NLA_TYPE_MASK } from "../../netlink/attributes.ts";
import type { Bytes } from "../../netlink/bytes.ts";
import * as c from "../../netlink/constants.ts";
import type { Names } from "./words.ts";

type Format = (bytes: Bytes, start: number, end: number, names: Names) => string;
type Row = { name: string; value: Format | Table };
type Table = Map<number, Row>;

const constants = c as unknown as { [name: string]: number | undefined };

function table(prefix: string, rows: { [name: string]: Format | Table }): Table {
  const made: Table = new Map();
  for (const [key, value] of Object.entries(rows)) {
    const name = `${prefix}_${key}`;
    const number = constants[name];
    if (number === undefined) throw new Error(`no constant ${name}`);
    made.set(number & NLA_TYPE_MASK, { name, value });
  }
  return made;
}

const u8: Format = (bytes, start) => String(bytes.u8[start]);
const u16: Format = (bytes, start) => String(bytes.u16[start >> 1]);
const u32: Format = (bytes, start) => String(bytes.u32[start >> 2]);
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
  MAC: (bytes, start) => `${bytes.u32[start >> 2]} ${formatMac(bytes.copy(start + 4, start + 10))}`,
  VLAN: words,
  TX_RATE: words,
  SPOOFCHK: words,
  LINK_STATE: words,
  RATE: words,
  RSS_QUERY_EN: words,
  TRUST: words,
  VLAN_LIST: table("IFLA_VF", {
    VLAN_INFO: (bytes, start) => `${words(bytes, start, start + 12, noNames)} 0x${bytes.be16(start + 12).toString(16)}`,
  }),
});
const noNames: Names = { device: String, netns: String };

const kinds: { [kind: string]: Table | undefined } = {
  macvlan: table("IFLA_MACVLAN", {
    MODE: u32,
    FLAGS: u16,
    MACADDR_MODE: u32,
    MACADDR_DATA: table("IFLA_MACVLAN", { MACADDR: mac }),
    BC_QUEUE_LEN: u32,
    BC_QUEUE_LEN_USED: u32,
  }),
  ipvlan: table("IFLA_IPVLAN", { MODE: u16, FLAGS: u16 }),
};
const linkInfo = table("IFLA_INFO", { KIND: text, SLAVE_KIND: text });

export const linkTable = table("IFLA", {
  ADDRESS: mac,
  BROADCAST: mac,
  IFNAME: text,
  MTU: u32,
  LINK: device,
  QDISC: text,
  MASTER: device,
  TXQLEN: u32,
  OPERSTATE: u8,
  LINKMODE: u8,
  LINKINFO: linkInfo,
  NET_NS_PID: u32,
  IFALIAS: text,
  NUM_VF: u32,
  VFINFO_LIST: table("IFLA", { VF_INFO: vfInfo }),
  GROUP: u32,
  NET_NS_FD: netns,
  EXT_MASK: u32,
  PROMISCUITY: u32,
  NUM_TX_QUEUES: u32,
  NUM_RX_QUEUES: u32,
  CARRIER: u8,
  LINK_NETNSID: (bytes, start) => String(bytes.u32[start >> 2]! | 0),
  PHYS_PORT_NAME: text,
  MIN_MTU: u32,
  MAX_MTU: u32,
  PROP_LIST: table("IFLA", { ALT_IFNAME: text }),
  ALT_IFNAME: text,
  PERM_ADDRESS: mac,
  PARENT_DEV_NAME: text,
  PARENT_DEV_BUS_NAME: text,
});

export const addressTable = table("IFA", {
  ADDRESS: address,
  LOCAL: address,
  LABEL: text,
  BROADCAST: address,
  FLAGS: u32,
});

export const routeTable = table("RTA", {
  DST: address,
  OIF: device,
  GATEWAY: address,
  PRIORITY: u32,
  PREFSRC: address,
  METRICS: table("RTAX", { MTU: u32, ADVMSS: u32 }),
  TABLE: u32,
  VIA: (bytes, start, end, names) => address(bytes, start + 2, end, names),
  NH_ID: u32,
});

export const neighbourTable = table("NDA", { DST: address });

export const nexthopTable = table("NHA", { ID: u32, OIF: device, GATEWAY: address });

/** One line for each attribute in [start, end), nested ones below theirs; the last line counts those without a name here. */
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

/** What IFLA_INFO_DATA means depends on IFLA_INFO_KIND, which the kernel sends first. */
function kindData(rows: Table, type: number, kind: string): Row | undefined {
  if (rows !== linkInfo || type !== c.IFLA_INFO_DATA) return undefined;
  const value = kinds[kind];
  return value === undefined ? undefined : { name: "IFLA_INFO_DATA", value };
}
