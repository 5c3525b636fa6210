// Links: `ip link show`, `ip link set`, `ip link add`, `ip link del`. Each query is one GET and never a dump of all links, except in listLinks
// and findLinksByAddress (5,000 links take 22 ms, and such a dump is often interrupted).
import { formatMac, parseMac } from "../ip/mac.ts";
import { findAttribute } from "../netlink/attributes.ts";
import { type Bytes, Writer } from "../netlink/bytes.ts";
import { bareText, bytes, text, u8, u32 } from "../netlink/codecs.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import {
  type KindData,
  LINK_HEADER,
  type LinkAttributes,
  readLink,
  writeLink,
  writeLinkHeader,
} from "../netlink/link.ts";
import { appendNumber } from "../netlink/nsid.ts";
import type { PayloadReader, RouteSocket } from "../netlink/socket.ts";
import { interfacesWithAddress } from "../sysfs/device.ts";

export {
  IFF_ALLMULTI,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_NOARP,
  IFF_PROMISC,
  IFF_RUNNING,
  IFF_UP,
} from "../netlink/constants.ts";

export interface Link {
  index: number;
  name: string;
  altnames: string[];
  /** IFLA_IFALIAS, or "". */
  alias: string;
  /** IFF_* bits. */
  flags: number;
  mtu: number;
  minMtu: number;
  maxMtu: number;
  txqlen: number;
  /** Lower-case colon form, or "". */
  mac: string;
  /** IFLA_PERM_ADDRESS, or "". */
  permanentMac: string;
  /** IFLA_OPERSTATE: 6 is up. */
  operstate: number;
  /** IFLA_LINK: index of the device below, in `linkNetnsid` when that is not undefined. 0: none. */
  parent: number;
  linkNetnsid: number | undefined;
  /** IFLA_MASTER: index of the bridge, bond or VRF it belongs to. 0: none. */
  master: number;
  /** IFLA_INFO_KIND: "veth", "ipvlan"; "" for a physical device. */
  kind: string;
  /** IFLA_INFO_SLAVE_KIND: "bridge", "bond", "vrf", or "". */
  slaveKind: string;
  /** Kind-specific data that we know: macvlan and ipvlan. */
  mode: number | undefined;
  /** ipvlan/macvlan flags. */
  modeFlags: number | undefined;
  bcqueuelen: number | undefined;
  /** Of a VLAN device: its number, and ETH_P_8021Q or ETH_P_8021AD. */
  vlan?: { id: number; protocol: number };
  /** macvlan in mode source: the senders it listens to. */
  macaddrs: string[] | undefined;
  /** IFLA_PARENT_DEV_NAME: e.g. the PCI address; "" when there is none, or the kernel (before 5.14) does not say: see placeOnHost. */
  parentDevice: string;
  /** IFLA_PHYS_PORT_NAME: "p0", of a function with several ports. */
  portName?: string;
  /** The kernel's answer, from which settings.ts takes what is seldom asked for; only of getLinkWhole. */
  message?: Uint8Array;
}

const ENODEV = 19;
const EINVAL = 22;
const ERANGE = 34;
/** Longest interface name in bytes; longer ones can only be alternative names. */
const IFNAMSIZ = 16;
/** Bytes of an alias: IFALIASZ without its NUL. */
export const ALIAS_MAX = 255;

/** An end of a pair: what it is linked to is its other end. */
export function isPair({ kind }: Pick<Link, "kind">): boolean {
  return kind === "veth" || kind === "vxcan" || kind === "netkit";
}

/** Reads a link message; for who asks for more of it than this. */
export function toLink(bytes: Bytes, start: number, end: number): Link {
  const { index, flags, attributes: a } = readLink(bytes, start, end);
  const data = a.linkInfo?.data;
  const link: Link = {
    index,
    name: a.name ?? "",
    altnames: a.altnames ?? [],
    alias: a.alias ?? "",
    flags,
    mtu: a.mtu ?? 0,
    minMtu: a.minMtu ?? 0,
    maxMtu: a.maxMtu ?? 0,
    txqlen: a.txqlen ?? 0,
    mac: a.address === undefined ? "" : formatMac(a.address),
    permanentMac: a.permanentAddress === undefined ? "" : formatMac(a.permanentAddress),
    operstate: a.operstate ?? 0,
    parent: a.link ?? 0,
    linkNetnsid: a.linkNetnsid,
    master: a.master ?? 0,
    kind: a.linkInfo?.kind ?? "",
    slaveKind: a.linkInfo?.slaveKind ?? "",
    mode: data?.mode,
    modeFlags: data?.flags,
    bcqueuelen: data?.bcQueueLen,
    macaddrs: data?.macaddrData?.map(formatMac),
    parentDevice: a.parentDevice ?? "",
  };
  if (a.portName !== undefined) link.portName = a.portName;
  if (data?.vlanId !== undefined) link.vlan = { id: data.vlanId, protocol: data.vlanProtocol ?? 0 };
  return link;
}

/** By index or by name (alternative names too). undefined when there is none. */
export function getLink(route: RouteSocket, which: number | string): Link | undefined {
  return askLink(route, which, toLink);
}

/** The same with the answer itself, for who asks for the link's settings next. */
export function getLinkWhole(route: RouteSocket, which: number | string): Link | undefined {
  return askLink(route, which, toLinkWhole);
}

function toLinkWhole(bytes: Bytes, start: number, end: number): Link {
  const link = toLink(bytes, start, end);
  link.message = bytes.copy(start, end);
  return link;
}

/** undefined when there is none. */
export function askLink<T>(route: RouteSocket, which: number | string, read: PayloadReader<T>): T | undefined {
  // No link has the index 0 (the master of a link without a master) or an empty name. The kernel answers EINVAL.
  if (which === 0 || which === "") return undefined;
  try {
    return route.find(`ip link show ${which}`, c.RTM_GETLINK, (writer) => writeQuery(writer, which), read, NONE);
  } catch (error) {
    // So long a name is an alternative one, which no device has before Linux 5.5.
    if (error instanceof NetlinkError && error.errno === EINVAL && isLong(which)) return undefined;
    throw error;
  }
}

/** There is no such link. ERANGE: the name is longer than any can be. */
const NONE = [ENODEV, ERANGE];

const isLong = (which: number | string): which is string => typeof which === "string" && which.length >= IFNAMSIZ;

/** What all questions begin with, as it is sent. */
const question = new Writer(LINK_HEADER + 8);
writeLinkHeader(question, 0, 0, 0);
// Statistics are half of an answer and nobody's business here.
u32.write(question, c.IFLA_EXT_MASK, c.RTEXT_FILTER_SKIP_STATS);
const QUESTION = question.u32;

/** The payload of RTM_GETLINK for one link. */
export function writeQuery(writer: Writer, which: number | string): void {
  const word = writer.room(LINK_HEADER + 8) >> 2;
  writer.u32.set(QUESTION, word);
  if (typeof which === "number") writer.u32[word + 1] = which;
  if (typeof which === "string") text.write(writer, isLong(which) ? c.IFLA_ALT_IFNAME : c.IFLA_IFNAME, which);
}

function writeAll(writer: Writer): void {
  writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS });
}

/** All links; survives interrupted dumps (at most five tries, then what the last one gave). */
export function listLinks(route: RouteSocket): Link[] {
  return route.dump("ip link show", c.RTM_GETLINK, writeAll, toLink).items;
}

/** All links of the namespace that this one has the number for. Throws NetlinkError with code "EINVAL" when it is about to end. */
export function listLinksOf(route: RouteSocket, number: number): Link[] {
  const write = (writer: Writer) =>
    writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS, targetNetnsid: number });
  return route.dump(`ip link show (namespace ${number})`, c.RTM_GETLINK, write, toLink).items;
}

/** The same; none of one that is about to end (EINVAL), or that another user namespace owns (EACCES). Whatever else is refused proves nothing. */
export function listLinksQuietly(route: RouteSocket, number: number): Link[] {
  try {
    return listLinksOf(route, number);
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === "EINVAL" || error.code === "EACCES")) return [];
    throw error;
  }
}

/** Links that are made on this one, in the same or another namespace. All others are read no further than that. */
export function listLinksOn(route: RouteSocket, parent: number): Link[] {
  const read: PayloadReader<Link | undefined> = (bytes, start, end) => {
    const on = findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_LINK, 4);
    return on !== undefined && bytes.u32[on[0] >> 2] === parent ? toLink(bytes, start, end) : undefined;
  };
  return route.dump("ip link show", c.RTM_GETLINK, writeAll, read).items;
}

/** Links of a kind: `ip link show type KIND`. */
export function listLinksOfKind(route: RouteSocket, kind: string): Link[] {
  const write = (writer: Writer) =>
    writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS, linkInfo: { kind } });
  // A kernel that has not loaded the kind's module gives all links.
  const links = route.dump(`ip link show type ${kind}`, c.RTM_GETLINK, write, toLink).items;
  return links.filter((link) => link.kind === kind);
}

export interface LinkChange {
  name?: string;
  /** "" clears it. */
  alias?: string;
  /** Descriptor of the namespace to move to. */
  netns?: number;
  up?: boolean;
  mtu?: number;
  txqlen?: number;
  /** Colon form. */
  mac?: string;
  promisc?: boolean;
  allmulti?: boolean;
  noarp?: boolean;
  multicast?: boolean;
  /** Those of OTHER_FLAGS that are to be set; the others of them are taken off. */
  flags?: number;
  /** IF_OPER_*. */
  operstate?: number;
  /** Index of a bridge, bond or VRF. */
  master?: number;
}

/** Flags of a link that are somebody's choice, by their keys in LinkChange. */
export const CHOSEN_FLAGS = {
  promisc: c.IFF_PROMISC,
  allmulti: c.IFF_ALLMULTI,
  noarp: c.IFF_NOARP,
  multicast: c.IFF_MULTICAST,
} as const;
/** The rest of what the kernel lets one set (dev_change_flags). They mean little to it, and something to programs. */
export const OTHER_FLAGS = c.IFF_DEBUG | c.IFF_NOTRAILERS | c.IFF_PORTSEL | c.IFF_AUTOMEDIA | c.IFF_DYNAMIC;
export type ChosenFlag = keyof typeof CHOSEN_FLAGS;
export const CHOSEN: readonly ChosenFlag[] = Object.keys(CHOSEN_FLAGS) as ChosenFlag[];

/** The change in the words of `ip link set`. */
function describe(change: LinkChange): string {
  let text = "";
  if (change.netns !== undefined) text += " netns";
  if (change.name !== undefined) text += ` name ${change.name}`;
  if (change.alias !== undefined) text += ` alias "${change.alias}"`;
  if (change.mtu !== undefined) text += ` mtu ${change.mtu}`;
  if (change.txqlen !== undefined) text += ` txqueuelen ${change.txqlen}`;
  if (change.mac !== undefined) text += ` address ${change.mac}`;
  if (change.promisc !== undefined) text += ` promisc ${change.promisc ? "on" : "off"}`;
  if (change.allmulti !== undefined) text += ` allmulticast ${change.allmulti ? "on" : "off"}`;
  if (change.noarp !== undefined) text += ` arp ${change.noarp ? "off" : "on"}`;
  if (change.multicast !== undefined) text += ` multicast ${change.multicast ? "on" : "off"}`;
  if (change.flags !== undefined) text += ` flags ${change.flags}`;
  if (change.operstate !== undefined) text += ` state ${change.operstate}`;
  if (change.master !== undefined) text += ` master ${change.master}`;
  if (change.up !== undefined) text += change.up ? " up" : " down";
  return text;
}

/** Bytes of a colon form. Throws NetlinkError (EINVAL) when it is none. */
export function hardwareAddress(mac: string): Uint8Array {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new NetlinkError(`address ${mac}`, 22, "EINVAL", "not a link-layer address");
  return bytes;
}

/** One RTM_NEWLINK with all changes. It is not atomic: after an error look at the link again. */
export function setLink(route: RouteSocket, index: number, change: LinkChange): void {
  beginSetLink(route, index, change);
  route.run();
}

/** The same as part of a batch. */
export function beginSetLink(route: RouteSocket, index: number, change: LinkChange): void {
  let flags = 0;
  let mask = 0;
  if (change.up !== undefined) {
    mask |= c.IFF_UP;
    if (change.up) flags |= c.IFF_UP;
  }
  for (let i = 0; i < CHOSEN.length; i++) {
    const key = CHOSEN[i]!;
    if (change[key] === undefined) continue;
    mask |= CHOSEN_FLAGS[key];
    if (change[key]) flags |= CHOSEN_FLAGS[key];
  }
  if (change.flags !== undefined) {
    mask |= OTHER_FLAGS;
    flags |= change.flags & OTHER_FLAGS;
  }
  const address = change.mac === undefined ? undefined : hardwareAddress(change.mac);
  const writer = route.begin(`ip link set ${index}${describe(change)}`, c.RTM_NEWLINK, 0);
  writeLinkHeader(writer, index, flags, mask);
  const { netns, name, alias, mtu, txqlen, master, operstate } = change;
  if (netns !== undefined) u32.write(writer, c.IFLA_NET_NS_FD, netns);
  if (name !== undefined) text.write(writer, c.IFLA_IFNAME, name);
  if (alias !== undefined) bareText.write(writer, c.IFLA_IFALIAS, alias);
  if (mtu !== undefined) u32.write(writer, c.IFLA_MTU, mtu);
  if (txqlen !== undefined) u32.write(writer, c.IFLA_TXQLEN, txqlen);
  if (address !== undefined) bytes.write(writer, c.IFLA_ADDRESS, address);
  if (master !== undefined) u32.write(writer, c.IFLA_MASTER, master);
  if (operstate !== undefined) u8.write(writer, c.IFLA_OPERSTATE, operstate);
}

export function addAltnames(route: RouteSocket, index: number, names: string[]): void {
  if (names.length === 0) return;
  const flags = c.NLM_F_CREATE | c.NLM_F_EXCL | c.NLM_F_APPEND;
  const writer = route.begin(`ip link property add altname ${names.join(" ")}`, c.RTM_NEWLINKPROP, flags);
  writeLink(writer, index, 0, 0, { altnames: names });
  route.run();
}

/**
 * No error when a name is gone already (ENOENT). Before Linux 6.7 a name stays with the namespace in which it was given: a link that has moved
 * shows it, and nobody can delete it there; it is no obstacle to the move back.
 */
export function deleteAltnames(route: RouteSocket, index: number, names: string[]): void {
  if (names.length === 0) return;
  const writer = route.begin(`ip link property del altname ${names.join(" ")}`, c.RTM_DELLINKPROP, 0);
  writeLink(writer, index, 0, 0, { altnames: names });
  try {
    route.run();
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === "ENOENT")) throw error;
    // The kernel ends at the first that is not there.
    if (names.length > 1) for (const name of names) deleteAltnames(route, index, [name]);
  }
}

/** No error when it is not there (ENODEV), which returns false: it was deleted, or it has moved to another namespace. */
export function deleteLink(route: RouteSocket, index: number): boolean {
  beginDeleteLink(route, index);
  return wasThere(route);
}

function wasThere(route: RouteSocket, gone = [ENODEV]): boolean {
  try {
    route.run();
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError && gone.includes(error.errno))) throw error;
    return false;
  }
}

/** The same as part of a batch; ENODEV: it is gone already. */
export function beginDeleteLink(route: RouteSocket, index: number): void {
  writeLink(route.begin(`ip link del ${index}`, c.RTM_DELLINK, 0), index, 0, 0, {});
}

/** Deletes a link of the namespace that this one has the number for. False: it is not there, or the namespace has ended (EINVAL). */
export function deleteLinkOf(route: RouteSocket, number: number, index: number): boolean {
  const writer = route.begin(`ip link del ${index} (namespace ${number})`, c.RTM_DELLINK, 0);
  writeLink(writer, index, 0, 0, { targetNetnsid: number });
  return wasThere(route, [ENODEV, EINVAL]);
}

export interface NewLink {
  kind: "macvlan" | "ipvlan";
  name: string;
  /** Index of the master, in the namespace of `route`. */
  parent: number;
  /**
   * The kernel's choice when absent. Older kernels (6.12, not 6.18) look for a link of this name in the namespace of `route`, although the
   * link is created in `netns`, and say EEXIST; with an index they look for the index.
   */
  index?: number;
  /** Descriptor of the namespace it is created in; absent: that of `route`. */
  netns?: number;
  mtu?: number;
  mac?: string;
  mode?: number;
  modeFlags?: number;
  bcqueuelen?: number;
  /** macvlan in mode source: the senders it listens to, colon form. */
  macaddrs?: string[];
  up?: boolean;
}

/** Creates a link under its final name in its final namespace. EEXIST is a NetlinkError with code "EEXIST". */
export function addLink(route: RouteSocket, link: NewLink): void {
  const operation = `ip link add ${link.name} link ${link.parent} type ${link.kind}`;
  const attributes = newLinkAttributes(link);
  attributes.link = link.parent;
  attributes.netNsFd = link.netns;
  const flags = link.up === true ? c.IFF_UP : 0;
  const writer = route.begin(operation, c.RTM_NEWLINK, c.NLM_F_CREATE | c.NLM_F_EXCL);
  writeLink(writer, link.index ?? 0, flags, flags, attributes);
  // So that DEL finds the link when nothing but a file or a socket leads to its namespace.
  if (link.netns !== undefined) appendNumber(route, link.netns);
  const refusal = route.runEach()[0];
  if (refusal !== undefined) throw refusal;
}

export function newLinkAttributes(link: NewLink): LinkAttributes {
  const data: KindData = { mode: link.mode, flags: link.modeFlags, bcQueueLen: link.bcqueuelen };
  if (link.macaddrs !== undefined) {
    data.macaddrMode = c.MACVLAN_MACADDR_SET;
    data.macaddrData = link.macaddrs.map(hardwareAddress);
  }
  return {
    name: link.name,
    address: link.mac === undefined ? undefined : hardwareAddress(link.mac),
    mtu: link.mtu,
    linkInfo: { kind: link.kind, data },
  };
}

/** Links with this MAC, in the order of a dump. Falls back to sysfs when every dump was interrupted. */
export function findLinksByAddress(route: RouteSocket, mac: string): Link[] {
  const wanted = hardwareAddress(mac);
  const { items, complete } = route.dump("ip link show", c.RTM_GETLINK, writeAll, (bytes, start, end) =>
    hasAddress(bytes, start, end, wanted) ? toLink(bytes, start, end) : undefined,
  );
  if (complete) return items;
  // Some may be missing, or twice.
  const found = new Map(items.map((link) => [link.index, link]));
  for (const name of interfacesWithAddress(formatMac(wanted))) {
    const link = items.some((item) => item.name === name) ? undefined : getLink(route, name);
    if (link?.mac === formatMac(wanted)) found.set(link.index, link);
  }
  return [...found.values()];
}

function hasAddress(bytes: Bytes, start: number, end: number, wanted: Uint8Array): boolean {
  const found = findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_ADDRESS, 0);
  if (found === undefined || found[1] - found[0] !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (bytes.u8[found[0] + i] !== wanted[i]) return false;
  return true;
}
