// What a pod can change of a virtual device by its kind, and what the kernel takes back as it tells it: a macsec that no longer encrypts, a VLAN
// that leaves its tag on, a macvlan of another mode.
import { log } from "../log.ts";
import { findAttribute } from "../netlink/attributes.ts";
import { Bytes, type Writer } from "../netlink/bytes.ts";
import { bareText, bytes as raw, u8, u32 } from "../netlink/codecs.ts";
import * as c from "../netlink/constants.ts";
import { LINK_HEADER, writeLink } from "../netlink/link.ts";
import type { RouteSocket } from "../netlink/socket.ts";

/** Goes into a record as it is: bytes by the number of the attribute; those of the link itself behind "link:". */
export type KindSettings = { [attribute: string]: number[] };

const MACVLAN_MODE_SOURCE = 16;
const [MACVLAN_FLUSH, MACVLAN_SET] = [2, 3];
const MACVLAN_BC_CUTOFF = 9;
/** The kernel tells only another one. */
const USUAL_BC_CUTOFF = 1;
const [VLAN_FLAGS, VLAN_EGRESS, VLAN_INGRESS, VLAN_MAPPING] = [2, 3, 4, 1];
/** WINDOW, ENCODING_SA, ENCRYPT, PROTECT, INC_SCI, ES, SCB, REPLAY_PROTECT, VALIDATION. */
const MACSEC = [5, 6, 7, 8, 9, 10, 11, 12, 13];
const [PROTO_DOWN_REASON, REASON_MASK, REASON_VALUE] = [55, 1, 2];
const REASON = `link:${PROTO_DOWN_REASON}`;

interface Changeable {
  /** Attributes of the link, and of IFLA_INFO_DATA. */
  link?: number;
  data: readonly number[];
}

/** All ipvlans of a master have its mode and flags: what a pod sets on its own one, it sets on the others. */
const CHANGEABLE: { [kind: string]: Changeable | undefined } = {
  macvlan: {
    link: c.IFLA_PROTO_DOWN,
    data: [
      ...[c.IFLA_MACVLAN_MODE, c.IFLA_MACVLAN_FLAGS, c.IFLA_MACVLAN_MACADDR_DATA, c.IFLA_MACVLAN_BC_QUEUE_LEN],
      MACVLAN_BC_CUTOFF,
    ],
  },
  vlan: { data: [VLAN_FLAGS, VLAN_EGRESS, VLAN_INGRESS] },
  macsec: { data: MACSEC },
  ipvlan: { data: [c.IFLA_IPVLAN_MODE, c.IFLA_IPVLAN_FLAGS] },
  dummy: { link: c.IFLA_CARRIER, data: [] },
};

interface Device {
  index: number;
  name: string;
  kind: string;
  /** What the kernel says of it now, when that is known. */
  message?: Uint8Array | undefined;
}

/**
 * undefined: a kind that is not restored. A pod can change nothing of most of them, but the bit timing of `can` and the mode of `ipoib`, which
 * are not in CHANGEABLE.
 */
export function kindSettings(route: RouteSocket, { index, kind, message }: Device): KindSettings | undefined {
  const changeable = CHANGEABLE[kind];
  if (changeable === undefined) return undefined;
  const told = Bytes.from(message ?? ask(route, index));
  const end = told.u8.length;
  const settings: KindSettings = {};
  const keep = (key: string | number, found: [number, number] | undefined): void => {
    if (found !== undefined) settings[key] = Array.from(told.u8.subarray(...found));
  };
  const { link, data } = changeable;
  if (link !== undefined) keep(`link:${link}`, findAttribute(told, LINK_HEADER, end, link, 0));
  // Only when there is one.
  if (link === c.IFLA_PROTO_DOWN) keep(REASON, findAttribute(told, LINK_HEADER, end, PROTO_DOWN_REASON, 0));
  const info = findAttribute(told, LINK_HEADER, end, c.IFLA_LINKINFO, 0);
  const all = info && findAttribute(told, ...info, c.IFLA_INFO_DATA, 0);
  if (all !== undefined) for (const type of data) keep(type, findAttribute(told, ...all, type, 0));
  return settings;
}

function ask(route: RouteSocket, index: number): Uint8Array {
  const write = (writer: Writer) => writeLink(writer, index, 0, 0, { extMask: c.RTEXT_FILTER_SKIP_STATS });
  return route.get(`ip link show ${index}`, c.RTM_GETLINK, write, (from, start, end) => from.copy(start, end));
}

/** Makes a device what it was. What the kernel refuses is said in the log. */
export function restoreKind(route: RouteSocket, device: Device, saved: KindSettings): void {
  const now = kindSettings(route, device);
  if (now === undefined || JSON.stringify(now) === JSON.stringify(saved)) return;
  const { kind, name } = device;
  const { link } = CHANGEABLE[kind]!;
  if (link !== undefined) {
    const [was, is] = [saved, now].map((of) => of[`link:${link}`]?.[0] ?? 0);
    // It may have a reason without being down, and then cannot be brought back from down.
    const hasNew = now[REASON] !== undefined && saved[REASON] === undefined;
    if (was !== is || hasNew) restoreOfLink(route, device, link, was!);
  }
  const data = Object.entries(saved).filter(([type]) => !type.startsWith("link:") && !isVlanFlags(kind, type));
  const flags = kind === "vlan" ? flagsToChange(saved[VLAN_FLAGS], now[VLAN_FLAGS]) : undefined;
  if (data.length > 0 || flags !== undefined)
    change(route, device, (writer) => {
      for (const [type, value] of data) raw.write(writer, Number(type), Uint8Array.from(value));
      if (flags !== undefined) raw.write(writer, VLAN_FLAGS, flags);
      if (kind === "macvlan" && saved[MACVLAN_BC_CUTOFF] === undefined && now[MACVLAN_BC_CUTOFF] !== undefined)
        u32.write(writer, MACVLAN_BC_CUTOFF, USUAL_BC_CUTOFF);
      if (kind !== "macvlan" || saved[c.IFLA_MACVLAN_MODE]?.[0] !== MACVLAN_MODE_SOURCE) return;
      const sources = saved[c.IFLA_MACVLAN_MACADDR_DATA] === undefined ? MACVLAN_FLUSH : MACVLAN_SET;
      u32.write(writer, c.IFLA_MACVLAN_MACADDR_MODE, sources);
    });
  if (kind === "vlan") for (const type of [VLAN_EGRESS, VLAN_INGRESS]) forgetMappings(route, device, type, saved, now);
  for (const error of route.runEach())
    if (error !== undefined) log("warning", "cannot restore a setting", { device: name, error: error.message });
}

function restoreOfLink(route: RouteSocket, { index, name }: Device, type: number, was: number): void {
  const writer = route.begin(
    `ip link set ${name} ${type === c.IFLA_CARRIER ? "carrier" : "protodown"}`,
    c.RTM_NEWLINK,
    0,
  );
  writeLink(writer, index, 0, 0, {});
  u8.write(writer, type, was);
  if (type !== c.IFLA_PROTO_DOWN || was !== 0) return;
  // The kernel does not take it back as long as there is a reason for it.
  const reason = writer.open(PROTO_DOWN_REASON);
  u32.write(writer, REASON_MASK, 0xffffffff);
  u32.write(writer, REASON_VALUE, 0);
  writer.close(reason);
}

function change(route: RouteSocket, { index, name, kind }: Device, write: (writer: Writer) => void): void {
  const writer = route.begin(`ip link set ${name} type ${kind}`, c.RTM_NEWLINK, 0);
  writeLink(writer, index, 0, 0, {});
  const info = writer.open(c.IFLA_LINKINFO);
  bareText.write(writer, c.IFLA_INFO_KIND, kind);
  const data = writer.open(c.IFLA_INFO_DATA);
  write(writer);
  writer.close(data);
  writer.close(info);
}

/** The kernel adds the mappings that it is told: one of the pod's is taken away by mapping to 0. */
function forgetMappings(
  route: RouteSocket,
  device: Device,
  type: number,
  saved: KindSettings,
  now: KindSettings,
): void {
  const kept = mapped(saved[type]);
  const foreign = mapped(now[type]).filter((from) => !kept.includes(from));
  if (foreign.length === 0) return;
  change(route, device, (writer) => {
    const list = writer.open(type);
    for (const from of foreign) raw.write(writer, VLAN_MAPPING, new Uint8Array(Uint32Array.of(from, 0).buffer));
    writer.close(list);
  });
}

const NO_FLAGS = [0, 0, 0, 0];

const isVlanFlags = (kind: string, type: string): boolean => kind === "vlan" && type === String(VLAN_FLAGS);

/**
 * The flags and, behind them, the mask of those to change, of which the kernel tells more than it takes; undefined: they are the same. The
 * kernel tells no flags when none is set.
 */
function flagsToChange(was: number[] = NO_FLAGS, is: number[] = NO_FLAGS): Uint8Array | undefined {
  const flags = was.slice(0, 4);
  const changed = flags.map((byte, n) => byte ^ is[n]!);
  return changed.some((byte) => byte !== 0) ? Uint8Array.from([...flags, ...changed]) : undefined;
}

/** What is mapped: the list has a header of four bytes for each, then from and to. */
function mapped(value: number[] = []): number[] {
  const words = Bytes.from(Uint8Array.from(value)).u32;
  return Array.from({ length: Math.floor(words.length / 3) }, (_, n) => words[3 * n + 1]!);
}
