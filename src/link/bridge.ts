// Bridges and their ports: `ip link add type bridge`, `ip link add type veth`, `bridge link`, `bridge vlan`, `bridge fdb`.
import { AF_BRIDGE } from "../host/constants.ts";
import { host } from "../host/host.ts";
import { formatMac } from "../ip/mac.ts";
import { findAttribute } from "../netlink/attributes.ts";
import {
  addressGeneration,
  type BridgeInfo,
  type PortAttributes,
  type PortChange,
  type PortSwitches,
  readAcceptRa,
  readBridgeInfo,
  readNewPort,
  readPortInfo,
  readPortState,
  readPortSwitches,
  readPortVlans,
  readVlans,
  type VlanInfo,
  writePortChange,
  writeVlanQuery,
} from "../netlink/bridge.ts";
import { type Bytes, Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { writeLink } from "../netlink/link.ts";
import { NEIGHBOUR_HEADER, readNeighbour, writeNeighbour } from "../netlink/neighbour.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { askLink, hardwareAddress, type Link, toLink, writeQuery } from "./link.ts";

/** A link with what the kernel tells of it as a bridge; empty when it is none. `acceptRa`: its sysctl; undefined: it has no IPv6. */
export type Bridge = Link & { bridge: BridgeInfo; acceptRa?: number | undefined };

/** By index or by name; whoever asks looks at `kind`. undefined when there is no such link. */
export function getBridge(route: RouteSocket, which: number | string): Bridge | undefined {
  return askLink(route, which, (bytes, start, end) => {
    const bridge = toLink(bytes, start, end) as Bridge;
    const isOne = bridge.kind === "bridge";
    bridge.bridge = isOne ? readBridgeInfo(bytes, start, end) : {};
    if (isOne) bridge.acceptRa = readAcceptRa(bytes, start, end);
    return bridge;
  });
}

/** A link with what the kernel tells of it as a port of a bridge; empty when it is none. `acceptRa`: as of a bridge. */
export type Port = Link & { port: PortAttributes; acceptRa?: number | undefined };

export function getPort(route: RouteSocket, which: number | string): Port | undefined {
  return askLink(route, which, toPort);
}

function toPort(bytes: Bytes, start: number, end: number): Port {
  const port = toLink(bytes, start, end) as Port;
  port.port = port.slaveKind === "bridge" ? readPortInfo(bytes, start, end) : {};
  port.acceptRa = readAcceptRa(bytes, start, end);
  return port;
}

/** What is asked of a port that was made a moment ago. */
export type NewPort = Pick<Port, "index" | "name" | "mac" | "mtu" | "parent" | "port">;

function toNewPort(bytes: Bytes, start: number, end: number): NewPort {
  const { index, address, name: own = "", mtu = 0, link = 0, linkInfo } = readNewPort(bytes, start, end);
  const port = linkInfo?.slaveKind === "bridge" ? (linkInfo.slaveData ?? {}) : {};
  return { index, name: own, mac: address === undefined ? "" : formatMac(address), mtu, parent: link, port };
}

/** A port with all that CHECK compares. */
export type WholePort = Port & { switches: PortSwitches };

export function getWholePort(route: RouteSocket, which: number | string): WholePort | undefined {
  return askLink(route, which, (bytes, start, end) => {
    const port = toPort(bytes, start, end);
    return { ...port, switches: port.slaveKind === "bridge" ? readPortSwitches(bytes, start, end) : {} };
  });
}

export interface NewBridge {
  name: string;
  /** A bridge that is given one keeps it, whatever ports come and go. */
  mac: string;
  mtu?: number;
  vlanFiltering?: boolean;
}

/** Creates a bridge, down: once up it listens to its ports' routers. EEXIST: there is a link of this name. */
export function addBridge(route: RouteSocket, { name, mac, mtu, vlanFiltering }: NewBridge): void {
  const address = hardwareAddress(mac);
  const writer = route.begin(`ip link add ${name} type bridge`, c.RTM_NEWLINK, c.NLM_F_CREATE | c.NLM_F_EXCL);
  const data = vlanFiltering === true ? { vlanFiltering: 1 } : undefined;
  writeLink(writer, 0, 0, 0, { address, mtu, name, linkInfo: { kind: "bridge", data } });
  route.run();
}

/** Turns VLAN filtering of a bridge on. */
export function filterVlans(route: RouteSocket, index: number): void {
  const writer = route.begin(`ip link set ${index} type bridge vlan_filtering 1`, c.RTM_NEWLINK, 0);
  writeLink(writer, index, 0, 0, { linkInfo: { kind: "bridge", data: { vlanFiltering: 1 } } });
  route.run();
}

/** From frames to link-local groups, see stopLinkLocalLearning. False: not, or this kernel does not say. */
export function learnsLinkLocal({ bridge: { options } }: Bridge): boolean {
  return options !== undefined && (options.on & (1 << c.BR_BOOLOPT_NO_LL_LEARN)) === 0;
}

/**
 * From now on, a bridge learns no addresses from frames to link-local groups (LLDP), which it takes for itself before any rule of nftables sees
 * them: a pod could have the frames of any other address sent to its port. False: this kernel (before 5.0) cannot.
 */
export function stopLinkLocalLearning(route: RouteSocket, { index, bridge: { options } }: Bridge): boolean {
  if (options === undefined) return false;
  const bit = 1 << c.BR_BOOLOPT_NO_LL_LEARN;
  if ((options.on & bit) !== 0) return true;
  const writer = route.begin(`ip link set ${index} type bridge no_linklocal_learn 1`, c.RTM_NEWLINK, 0);
  const data = { bridgeOptions: { on: bit, mask: bit } };
  writeLink(writer, index, 0, 0, { linkInfo: { kind: "bridge", data } });
  route.run();
  return true;
}

/** One end of a veth pair. */
export interface NewEnd {
  name: string;
  mac: string;
  mtu: number;
}

/**
 * Creates a veth pair, both ends down: `near` as a port of a bridge, `far` under its final name in its final namespace. All or nothing: a
 * bridge that is gone (EINVAL), one that is none (EOPNOTSUPP), one that is full (EXFULL), and a name that is taken on either side (EEXIST)
 * leave nothing. The kernel takes no alias with the request that makes a link: another one in the same send gives it. The kernel executes both
 * before send(2) returns, so that nobody is killed in between; and after a refusal of the first one it finds no link, unless somebody made one of
 * this name a moment ago. What `near` is then is asked in the same send as well. The function returned tells it, or undefined when it is gone; the
 * pair is there even if the answer cannot be read, which it throws.
 */
export function addPair(
  route: RouteSocket,
  near: NewEnd & { master: number; alias: string },
  far: NewEnd & { netns: number },
): () => NewPort | undefined {
  const [nearMac, farMac] = [hardwareAddress(near.mac), hardwareAddress(far.mac)];
  const operation = `ip link add ${near.name} master ${near.master} type veth peer ${far.name}`;
  const peer = { address: farMac, mtu: far.mtu, netNsFd: far.netns, name: far.name };
  const writer = route.begin(operation, c.RTM_NEWLINK, c.NLM_F_CREATE | c.NLM_F_EXCL);
  writeLink(writer, 0, 0, 0, {
    address: nearMac,
    mtu: near.mtu,
    master: near.master,
    name: near.name,
    linkInfo: { kind: "veth", data: { peer } },
  });
  beginAlias(route, near.name, near.alias);
  writeQuery(route.beginQuestion(`ip link show ${near.name}`, c.RTM_GETLINK), near.name);
  let tell = (): NewPort | undefined => undefined;
  const failing = (error: unknown) => (): never => {
    throw error;
  };
  const [refusal, , unanswered] = route.runEach((_, ...message) => {
    try {
      const port = toNewPort(...message);
      tell = () => port;
    } catch (error) {
      tell = failing(error);
    }
  });
  if (refusal !== undefined) throw refusal;
  return unanswered === undefined || unanswered.code === "ENODEV" ? tell : failing(unanswered);
}

function beginAlias(route: RouteSocket, name: string, alias: string): void {
  writeLink(route.begin(`ip link set ${name} alias "${alias}"`, c.RTM_NEWLINK, 0), 0, 0, 0, { name, alias });
}

/** Runs a request that makes these links, and in the same send gives them an alias. */
function runWithAlias(route: RouteSocket, names: string[], alias: string): void {
  for (const name of names) beginAlias(route, name, alias);
  const [refusal] = route.runEach();
  if (refusal !== undefined) throw refusal;
}

/** Creates a veth pair in one namespace, both ends down and with this alias (addPair): `port` as a port of a bridge. */
export function addPairHere(route: RouteSocket, port: NewEnd & { master: number }, other: NewEnd, alias: string): void {
  const peer = { address: hardwareAddress(other.mac), mtu: other.mtu, name: other.name };
  const address = hardwareAddress(port.mac);
  const operation = `ip link add ${port.name} master ${port.master} type veth peer ${other.name}`;
  const writer = route.begin(operation, c.RTM_NEWLINK, c.NLM_F_CREATE | c.NLM_F_EXCL);
  const linkInfo = { kind: "veth", data: { peer } };
  writeLink(writer, 0, 0, 0, { address, mtu: port.mtu, master: port.master, name: port.name, linkInfo });
  runWithAlias(route, [port.name, other.name], alias);
}

/** Creates a VLAN device on a link, down and with this alias (addPair): `ip link add link LINK name NAME type vlan id VID`. */
export function addVlanDevice(
  route: RouteSocket,
  parent: number,
  name: string,
  { id, protocol }: { id: number; protocol: number },
  alias: string,
): void {
  const writer = route.begin(
    `ip link add ${name} link ${parent} type vlan`,
    c.RTM_NEWLINK,
    c.NLM_F_CREATE | c.NLM_F_EXCL,
  );
  const data = { vlanId: id, vlanProtocol: protocol };
  writeLink(writer, 0, 0, 0, { link: parent, name, linkInfo: { kind: "vlan", data } });
  runWithAlias(route, [name], alias);
}

/**
 * Begins: the link is up, has this alias, and makes up no IPv6 address of its own. A port of a bridge needs none, and the packets that come with
 * one would go to the pod. False for `quiet` where the kernel does not support IPv6.
 */
export function beginBringUp(route: RouteSocket, index: number, alias: string, quiet: boolean): void {
  const writer = route.begin(`ip link set ${index} addrgenmode none alias "${alias}" up`, c.RTM_NEWLINK, 0);
  writeLink(writer, index, c.IFF_UP, c.IFF_UP, { alias });
  if (quiet) beQuiet(writer);
}

/** The kernel gives the link no link-local address when it comes up. EAFNOSUPPORT: the kernel does not support IPv6, and gives none anyway. */
export function silence(route: RouteSocket, index: number): void {
  const writer = route.begin(`ip link set ${index} addrgenmode none`, c.RTM_NEWLINK, 0);
  writeLink(writer, index, 0, 0, {});
  beQuiet(writer);
  const [refusal] = route.runEach();
  if (refusal !== undefined && refusal.code !== "EAFNOSUPPORT") throw refusal;
}

/** As it is sent. */
const quiet = new Writer(32);
addressGeneration.write(quiet, c.IFLA_AF_SPEC, { inet6: { addrGenMode: c.IN6_ADDR_GEN_MODE_NONE } });
const QUIET = quiet.u32.slice(0, quiet.length >> 2);

function beQuiet(writer: Writer): void {
  const start = writer.room(quiet.length);
  writer.u32.set(QUIET, start >> 2);
}

/** VLANs of a port: those from `first` to `last`. */
export interface VlanRange {
  first: number;
  last: number;
  /** Frames without a tag are of this VLAN. */
  pvid: boolean;
  /** Its frames leave without a tag. */
  untagged: boolean;
}

/** Begins a change of a port: its attributes, and VLANs that it shall have besides. The order of the VLANs is the kernel's: a later one replaces. */
export function beginSetPort(route: RouteSocket, index: number, port: PortAttributes, vlans: VlanRange[]): void {
  const change: PortChange = {};
  if (Object.keys(port).length > 0) change.port = port;
  if (vlans.length > 0) change.spec = { vlans: vlanInfos(vlans) };
  const words = Object.entries(port).map(([name, value]) => ` ${name} ${value}`);
  const operation = `bridge link set dev ${index}${words.join("")}${vlans.length > 0 ? ` vlan ${describeVlans(vlans)}` : ""}`;
  writePortChange(route.begin(operation, c.RTM_SETLINK, 0), index, change);
}

/** Begins `bridge vlan del`. No error for those that it has not. */
export function beginDeleteVlans(route: RouteSocket, index: number, vlans: VlanRange[]): void {
  const operation = `bridge vlan del dev ${index} vid ${describeVlans(vlans)}`;
  const plain = vlans.map(({ first, last }) => ({ first, last, pvid: false, untagged: false }));
  writePortChange(route.begin(operation, c.RTM_DELLINK, 0), index, { spec: { vlans: vlanInfos(plain) } });
}

/** Begins `bridge vlan add dev BRIDGE vid VID self`: the bridge itself takes part in a VLAN. */
export function beginJoinVlan(route: RouteSocket, bridge: number, vid: number): void {
  const operation = `bridge vlan add dev ${bridge} vid ${vid} self`;
  const spec = { flags: c.BRIDGE_FLAGS_SELF, vlans: [{ flags: 0, vid }] };
  writePortChange(route.begin(operation, c.RTM_SETLINK, 0), bridge, { spec });
}

/** Begins `bridge vlan del dev BRIDGE vid VID self`. */
export function beginLeaveVlan(route: RouteSocket, bridge: number, vid: number): void {
  const operation = `bridge vlan del dev ${bridge} vid ${vid} self`;
  const spec = { flags: c.BRIDGE_FLAGS_SELF, vlans: [{ flags: 0, vid }] };
  writePortChange(route.begin(operation, c.RTM_DELLINK, 0), bridge, { spec });
}

export function vlanInfos(vlans: VlanRange[]): VlanInfo[] {
  return vlans.flatMap(({ first, last, pvid, untagged }) => {
    const flags = (pvid ? c.BRIDGE_VLAN_INFO_PVID : 0) | (untagged ? c.BRIDGE_VLAN_INFO_UNTAGGED : 0);
    if (first === last) return [{ flags, vid: first }];
    return [
      { flags: flags | c.BRIDGE_VLAN_INFO_RANGE_BEGIN, vid: first },
      { flags: flags | c.BRIDGE_VLAN_INFO_RANGE_END, vid: last },
    ];
  });
}

/** "7 pvid untagged, 20-22", as messages name VLANs. */
export function describeVlans(vlans: VlanRange[]): string {
  const words = vlans.map(({ first, last, pvid, untagged }) => {
    const range = first === last ? `${first}` : `${first}-${last}`;
    return `${range}${pvid ? " pvid" : ""}${untagged ? " untagged" : ""}`;
  });
  return words.join(", ");
}

/** VLANs of a port, in order, neighbours of the same kind as one range. */
export function listVlans(route: RouteSocket, index: number): VlanRange[] {
  try {
    return joinRanges(vlansOfPort(route, index));
  } catch (error) {
    // Before Linux 5.6.
    if (!(error instanceof NetlinkError && error.code === "EOPNOTSUPP")) throw error;
    return joinRanges(rangesOf(vlansInDump(route, index)));
  }
}

function vlansOfPort(route: RouteSocket, index: number): VlanRange[] {
  const read = (bytes: Bytes, start: number, end: number) => {
    const message = readVlans(bytes, start, end);
    return message.index === index ? message.vlans : undefined;
  };
  const { items } = route.dump(`bridge vlan show dev ${index}`, c.RTM_GETVLAN, (w) => writeVlanQuery(w, index), read);
  return items.flat().map(({ info, last }) => rangeOf(info?.flags ?? 0, info?.vid ?? 0, last ?? info?.vid ?? 0));
}

function vlansInDump(route: RouteSocket, index: number): VlanInfo[] {
  const write = (writer: Writer) => {
    const start = writer.length;
    writeLink(writer, 0, 0, 0, { extMask: c.RTEXT_FILTER_BRVLAN_COMPRESSED });
    writer.u8[start] = AF_BRIDGE;
  };
  const read = (bytes: Bytes, start: number, end: number) => {
    const message = readPortVlans(bytes, start, end);
    return message.index === index ? message.vlans : undefined;
  };
  return route.dump("bridge vlan show", c.RTM_GETLINK, write, read).items.flat();
}

export function rangesOf(infos: VlanInfo[]): VlanRange[] {
  const ranges: VlanRange[] = [];
  let first = 0;
  for (const { flags, vid } of infos) {
    if ((flags & c.BRIDGE_VLAN_INFO_RANGE_BEGIN) !== 0) first = vid;
    else ranges.push(rangeOf(flags, (flags & c.BRIDGE_VLAN_INFO_RANGE_END) !== 0 ? first : vid, vid));
  }
  return ranges;
}

function rangeOf(flags: number, first: number, last: number): VlanRange {
  const pvid = (flags & c.BRIDGE_VLAN_INFO_PVID) !== 0;
  return { first, last, pvid, untagged: (flags & c.BRIDGE_VLAN_INFO_UNTAGGED) !== 0 };
}

/** In order; what follows another and is of the same kind is one range with it. */
export function joinRanges(ranges: VlanRange[]): VlanRange[] {
  const joined: VlanRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    const same = before?.pvid === range.pvid && before.untagged === range.untagged && !range.pvid;
    if (before !== undefined && same && range.first <= before.last + 1) before.last = Math.max(before.last, range.last);
    else joined.push({ ...range });
  }
  return joined;
}

/**
 * Begins: frames to this address go to this port, and no frame of another port changes that (sticky: a static entry alone moves to whoever sends
 * with its address). In every VLAN that the port has by then. EEXIST: the bridge knows the address already.
 */
export function beginPinAddress(route: RouteSocket, index: number, mac: string): void {
  const address = hardwareAddress(mac);
  const operation = `bridge fdb add ${mac} dev ${index} master static sticky`;
  writeNeighbour(route.begin(operation, c.RTM_NEWNEIGH, c.NLM_F_CREATE | c.NLM_F_EXCL), {
    family: AF_BRIDGE,
    index,
    state: c.NUD_NOARP | c.NUD_REACHABLE,
    flags: c.NTF_MASTER | c.NTF_STICKY,
    attributes: { address },
  });
}

/** An entry of a bridge's forwarding table. */
export interface ForwardingEntry {
  /** The port, or the bridge itself. */
  index: number;
  /** 0: none. */
  vlan: number;
  /**
   * "local": the MAC address of this link; "stacked": that of an interface on the bridge, such as a macvlan, in whichever namespace; "static":
   * somebody has pinned it; "learned".
   */
  kind: "local" | "stacked" | "static" | "learned";
}

/** What a bridge knows of a MAC address, in all VLANs. */
export function listEntriesOf(route: RouteSocket, bridge: number, mac: string): ForwardingEntry[] {
  const wanted = hardwareAddress(mac);
  const write = (writer: Writer) =>
    writeNeighbour(writer, { family: AF_BRIDGE, index: 0, state: 0, flags: 0, attributes: { master: bridge } });
  const read = (bytes: Bytes, start: number, end: number): ForwardingEntry | undefined => {
    const [at, to] = findAttribute(bytes, start + NEIGHBOUR_HEADER, end, c.NDA_LLADDR, 0) ?? [0, 0];
    if (to - at !== wanted.length || wanted.some((byte, n) => bytes.u8[at + n] !== byte)) return undefined;
    const { index, state, flags, attributes } = readNeighbour(bytes, start, end);
    if (index === bridge && (flags & c.NTF_SELF) !== 0) return { index, vlan: 0, kind: "stacked" };
    // Those of the ports' own lists have none.
    if (attributes.master !== bridge) return undefined;
    const kind = (state & c.NUD_PERMANENT) !== 0 ? "local" : (state & c.NUD_NOARP) !== 0 ? "static" : "learned";
    return { index, vlan: attributes.vlan ?? 0, kind };
  };
  return route.dump(`bridge fdb show br ${bridge}`, c.RTM_GETNEIGH, write, read).items;
}

/** Begins: the bridge forgets that an address is behind a port. ENOENT: it is not, or not there. */
export function beginForgetAddress(route: RouteSocket, mac: string, { index, vlan }: ForwardingEntry): void {
  const address = hardwareAddress(mac);
  const writer = route.begin(`bridge fdb del ${mac} dev ${index} master`, c.RTM_DELNEIGH, 0);
  const attributes = vlan === 0 ? { address } : { address, vlan };
  writeNeighbour(writer, { family: AF_BRIDGE, index, state: 0, flags: c.NTF_MASTER, attributes });
}

interface MacEntry {
  mac: string;
  /** 0: none. */
  vlan: number;
  /** NUD_* bits. */
  state: number;
  /** NTF_* bits. */
  flags: number;
}

/** Of a device's own list and, when it is a port, of its bridge. Without those of a VXLAN device that are on other machines. */
function listMacEntries(route: RouteSocket, device: number): MacEntry[] {
  const write = (writer: Writer) =>
    writeNeighbour(writer, { family: AF_BRIDGE, index: device, state: 0, flags: 0, attributes: {} });
  const read = (bytes: Bytes, start: number, end: number): MacEntry | undefined => {
    const { index, state, flags, attributes } = readNeighbour(bytes, start, end);
    if (index !== device || attributes.address === undefined || attributes.destination !== undefined) return undefined;
    return { mac: formatMac(attributes.address), vlan: attributes.vlan ?? 0, state, flags };
  };
  return route.dump(`bridge fdb show brport ${device}`, c.RTM_GETNEIGH, write, read).items;
}

/** MAC addresses that a bridge sends to a port, without the port's own; `sticky`: pinned there (beginPinAddress). */
export function listMacsBehind(route: RouteSocket, port: number): { mac: string; vlan: number; sticky: boolean }[] {
  return listMacEntries(route, port)
    .filter(({ state, flags }) => (state & c.NUD_PERMANENT) === 0 && (flags & c.NTF_SELF) === 0)
    .map(({ mac, vlan, flags }) => ({ mac, vlan, sticky: (flags & c.NTF_STICKY) !== 0 }));
}

/** Whether a device takes frames to this address for an interface on it, in whichever namespace that is: a macvlan. */
export function hasUnicastAddress(route: RouteSocket, device: number, mac: string): boolean {
  return listMacEntries(route, device).some((one) => one.mac === mac && (one.flags & c.NTF_SELF) !== 0);
}

/** Milliseconds until a port whose both ends are up forwards; the kernel's worker does it a moment later. */
const FORWARDING_WAIT = 200;

/** True as soon as the port forwards. With STP that takes half a minute, which is not waited for. */
export function waitForwarding(route: RouteSocket, index: number): boolean {
  const deadline = host.monotonic() + FORWARDING_WAIT;
  for (let pause = 1; ; pause *= 1.5) {
    let isThere = false;
    const state = askLink(route, index, (...message) => {
      isThere = true;
      return readPortState(...message);
    });
    if (!isThere || state === c.BR_STATE_FORWARDING) return isThere;
    const left = deadline - host.monotonic();
    if (left <= 0) return false;
    host.sleep(Math.min(pause, left));
  }
}
