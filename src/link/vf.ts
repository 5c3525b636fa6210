// Virtual functions of a physical function: `ip link show PF`, `ip link set PF vf N …`.
import { formatMac } from "../ip/mac.ts";
import { log } from "../log.ts";
import { findAttribute, NLA_TYPE_MASK } from "../netlink/attributes.ts";
import { align4, type Bytes } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { LINK_HEADER, writeLink } from "../netlink/link.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { type VfAttributes, vfAttributes } from "../netlink/vf.ts";
import { hardwareAddress } from "./link.ts";

export const ETH_P_8021Q = 0x8100;
export const ETH_P_8021AD = 0x88a8;

/** IFLA_VF_LINK_STATE_*. */
export const VF_LINK_AUTO = 0;
export const VF_LINK_ENABLE = 1;
export const VF_LINK_DISABLE = 2;

export interface Vlan {
  /** 0: untagged. */
  id: number;
  qos: number;
  /** ETH_P_8021Q or ETH_P_8021AD. */
  protocol: number;
}

/** What a PF's driver says about one of its VFs. */
export interface VfState {
  vf: number;
  /** Administrative address, lower-case colon form; all zero when the driver leaves it to the VF. */
  mac: string;
  vlan: Vlan;
  /** VF_LINK_*; undefined when the driver does not report it, as the next two. */
  linkState: number | undefined;
  spoofchk: boolean | undefined;
  trust: boolean | undefined;
  /** Mbit/s, 0: no limit. */
  minTxRate: number;
  maxTxRate: number;
}

/** What is to be changed; all that is left out stays. */
export interface VfChange {
  mac?: string;
  vlan?: Vlan;
  /** Both, because the kernel sets both: read them first to keep one. */
  rate?: { min: number; max: number };
  spoofchk?: boolean | undefined;
  trust?: boolean | undefined;
  linkState?: number | undefined;
}

/** The change that makes a VF this, but for its address. */
export function asChange({ vlan, minTxRate: min, maxTxRate: max, spoofchk, trust, linkState }: VfState): VfChange {
  return { vlan, rate: { min, max }, spoofchk, trust, linkState };
}

/** What the kernel puts where a driver reported nothing. */
const UNREPORTED = 0xffffffff;

/**
 * Why a PF says nothing of a VF. "no attributes": its driver has none to tell (virtio-net, ena, idpf). "too many": the kernel cannot say it
 * in one message (EMSGSIZE: InfiniBand with 16 VFs or more, whose GUIDs are not counted). "left out": the driver failed to answer for
 * this VF just now, or the VF is not there.
 */
export type Silence = "no attributes" | "too many" | "left out";

/**
 * State of one VF, told apart by the number in the payload: the kernel leaves out VFs whose driver fails to answer, so positions
 * in the list mean nothing. Throws NetlinkError: ENODEV when the PF is gone.
 */
export function queryVf(route: RouteSocket, pf: number, vf: number): VfState | Silence {
  try {
    return askVfs(route, pf, (bytes, start, end) => findVf(bytes, start, end, vf));
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "EMSGSIZE") return "too many";
    throw error;
  }
}

/** The same; undefined for all that is no answer. */
export function getVf(route: RouteSocket, pf: number, vf: number): VfState | undefined {
  const said = queryVf(route, pf, vf);
  return typeof said === "string" ? undefined : said;
}

/** All that the PF says of its VFs; none when it says nothing. When the kernel cannot say it ("too many"), the log tells. */
export function listVfs(route: RouteSocket, pf: number, name: string): VfState[] {
  try {
    return askVfs(route, pf, (bytes, start, end) => {
      const states: VfState[] = [];
      eachVf(bytes, start, end, (vf, at, until) => {
        states.push(toState(vf, vfAttributes.read(bytes, at, until, false)));
        return false;
      });
      return states;
    });
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === "EMSGSIZE")) throw error;
    log("warning", "cannot list the virtual functions of the card", {
      device: name,
      error: error.message,
    });
    return [];
  }
}

function askVfs<T>(route: RouteSocket, pf: number, read: (bytes: Bytes, start: number, end: number) => T): T {
  return route.get(
    `ip link show ${pf}`,
    c.RTM_GETLINK,
    (writer) => writeLink(writer, pf, 0, 0, { extMask: c.RTEXT_FILTER_VF | c.RTEXT_FILTER_SKIP_STATS }),
    (bytes, start, end) => ({ said: read(bytes, start + LINK_HEADER, end) }),
  ).said;
}

/** Decodes only the entry that is asked for: a PF may have hundreds. */
function findVf(bytes: Bytes, start: number, end: number, vf: number): VfState | Silence {
  let found: VfState | undefined;
  const isAny = eachVf(bytes, start, end, (number, at, until) => {
    if (number === vf) found = toState(vf, vfAttributes.read(bytes, at, until, false));
    return number === vf;
  });
  return found ?? (isAny ? "left out" : "no attributes");
}

/** `take` gets the number of each, and where its attributes are, until it returns true. False: there is no list. */
function eachVf(
  bytes: Bytes,
  start: number,
  end: number,
  take: (vf: number, at: number, until: number) => boolean,
): boolean {
  const list = findAttribute(bytes, start, end, c.IFLA_VFINFO_LIST, 0);
  if (list === undefined) return false;
  let [at] = list;
  // To the message's end: the length of a list of more than 64 KiB (over 300 VFs) has overflowed, and its entries are there all the same.
  while (isEntry(bytes, at, end)) {
    const size = bytes.u16[at >> 1]!;
    if (take(bytes.u32[(at >> 2) + 2]!, at + 4, at + size)) break;
    at += align4(size);
  }
  return true;
}

/** Every entry begins with the VF's address: length and type of the entry, of the address, then the VF's number. */
function isEntry(bytes: Bytes, at: number, end: number): boolean {
  const half = at >> 1;
  const size = at + 12 <= end ? bytes.u16[half]! : 0;
  if (size < 12 || at + size > end) return false;
  return (bytes.u16[half + 1]! & NLA_TYPE_MASK) === c.IFLA_VF_INFO && bytes.u16[half + 3] === c.IFLA_VF_MAC;
}

function toState(vf: number, a: VfAttributes): VfState {
  const vlan = a.vlanList?.[0];
  return {
    vf,
    mac: a.mac === undefined ? "" : formatMac(a.mac.address.subarray(0, 6)),
    vlan: {
      id: vlan?.vlan ?? a.vlan?.vlan ?? 0,
      qos: vlan?.qos ?? a.vlan?.qos ?? 0,
      // 0: the driver knows only 802.1Q.
      protocol: vlan === undefined || vlan.protocol === 0 ? ETH_P_8021Q : vlan.protocol,
    },
    linkState: reported(a.linkState?.state),
    spoofchk: flag(a.spoofchk?.setting),
    trust: flag(a.trust?.setting),
    minTxRate: a.rate?.min ?? 0,
    maxTxRate: a.rate?.max ?? 0,
  };
}

function reported(value: number | undefined): number | undefined {
  return value === UNREPORTED ? undefined : value;
}

function flag(value: number | undefined): boolean | undefined {
  const setting = reported(value);
  return setting === undefined ? undefined : setting !== 0;
}

/**
 * Sets attributes of a VF in one request. It is not atomic: the kernel works them off one by one (mac, vlan, rate, spoofchk,
 * link state, trust) and stops at the first that the driver refuses. After an error read the state again.
 */
export function setVf(route: RouteSocket, pf: number, vf: number, change: VfChange): void {
  try {
    sendVf(route, pf, vf, change, true);
  } catch (error) {
    // Drivers (and kernels before 4.9) that do not know the list form may know the plain one, which is always 802.1Q.
    const plain = change.vlan?.protocol === ETH_P_8021Q && error instanceof NetlinkError && error.code === "EOPNOTSUPP";
    if (!plain) throw error;
    sendVf(route, pf, vf, change, false);
  }
}

function sendVf(route: RouteSocket, pf: number, vf: number, change: VfChange, vlanList: boolean): void {
  const attributes = { vfInfo: [toAttributes(vf, change, vlanList)] };
  const writer = route.begin(`ip link set ${pf} vf ${vf}${describe(change)}`, c.RTM_NEWLINK, 0);
  writeLink(writer, pf, 0, 0, attributes);
  route.run();
}

function toAttributes(vf: number, change: VfChange, vlanList: boolean): VfAttributes {
  const { mac, vlan, rate, spoofchk, trust, linkState } = change;
  const attributes: VfAttributes = {};
  if (mac !== undefined) attributes.mac = { vf, address: hardwareAddress(mac) };
  if (vlan !== undefined) {
    if (vlanList) attributes.vlanList = [{ vf, vlan: vlan.id, qos: vlan.qos, protocol: vlan.protocol }];
    else attributes.vlan = { vf, vlan: vlan.id, qos: vlan.qos };
  }
  if (rate !== undefined) attributes.rate = { vf, min: rate.min, max: rate.max };
  if (spoofchk !== undefined) attributes.spoofchk = { vf, setting: spoofchk ? 1 : 0 };
  if (trust !== undefined) attributes.trust = { vf, setting: trust ? 1 : 0 };
  if (linkState !== undefined) attributes.linkState = { vf, state: linkState };
  return attributes;
}

/** The part of `wanted` that is not in force, without what is undefined in it. What the driver does not report counts as not in force. */
export function difference(wanted: VfChange, current: VfState): VfChange {
  const change: VfChange = {};
  const { vlan, rate } = wanted;
  if (vlan !== undefined && !sameVlan(vlan, current.vlan)) change.vlan = vlan;
  if (rate !== undefined && (rate.min !== current.minTxRate || rate.max !== current.maxTxRate)) change.rate = rate;
  if (wanted.spoofchk !== undefined && wanted.spoofchk !== current.spoofchk) change.spoofchk = wanted.spoofchk;
  // The order in which the kernel works them off: the first that is missing after a refusal is the one refused.
  if (wanted.linkState !== undefined && wanted.linkState !== current.linkState) change.linkState = wanted.linkState;
  if (wanted.trust !== undefined && wanted.trust !== current.trust) change.trust = wanted.trust;
  return change;
}

function sameVlan(a: VfState["vlan"], b: VfState["vlan"]): boolean {
  // Without a tag there is no protocol.
  return a.id === b.id && a.qos === b.qos && (a.id === 0 || a.protocol === b.protocol);
}

/**
 * What each VF of a PF was, on the PF, before somebody had the PF: each attribute by itself, since a driver may refuse some. What is refused is
 * said in the log.
 */
export function restoreVfs(route: RouteSocket, pf: number, name: string, saved: readonly VfState[]): void {
  const now = saved.length === 0 ? [] : listVfs(route, pf, name);
  for (const state of saved) {
    const { vf, mac } = state;
    const current = now.find((one) => one.vf === vf);
    if (current === undefined) continue;
    const change = difference(asChange(state), current);
    if (mac !== "" && mac !== current.mac) change.mac = mac;
    for (const key of Object.keys(change) as (keyof VfChange)[]) {
      try {
        setVf(route, pf, vf, { [key]: change[key] });
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        log("warning", "cannot restore a virtual function", { device: name, error: error.message });
      }
    }
  }
}

function describe({ mac, vlan, rate, spoofchk, trust, linkState }: VfChange): string {
  let text = "";
  if (mac !== undefined) text += ` mac ${mac}`;
  if (vlan !== undefined) {
    text += ` vlan ${vlan.id} qos ${vlan.qos}`;
    if (vlan.protocol !== ETH_P_8021Q) text += " proto 802.1ad";
  }
  if (rate !== undefined) text += ` min_tx_rate ${rate.min} max_tx_rate ${rate.max}`;
  if (spoofchk !== undefined) text += ` spoofchk ${spoofchk ? "on" : "off"}`;
  if (linkState !== undefined) text += ` state ${["auto", "enable", "disable"][linkState] ?? linkState}`;
  if (trust !== undefined) text += ` trust ${trust ? "on" : "off"}`;
  return text;
}
