// The state of a device on the host before a pod got it, and how podnic restores this state. identity.ts recognises the device.
import { Cleanup } from "../cleanup.ts";
import { shellWord } from "../errors.ts";
import type { Fd } from "../host/host.ts";
import { parseMac } from "../ip/mac.ts";
import { log } from "../log.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { Bytes } from "../netlink/bytes.ts";
import { IF_OPER_DORMANT, IF_OPER_TESTING, IF_OPER_UP, IFLA_OPERSTATE } from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { LINK_HEADER, readFooting } from "../netlink/link.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { placeOnHost } from "../sysfs/device.ts";
import { restoreKind } from "./kind.ts";
import {
  addAltnames,
  askLink,
  CHOSEN,
  CHOSEN_FLAGS,
  type ChosenFlag,
  deleteAltnames,
  getLink,
  IFF_UP,
  type Link,
  type LinkChange,
  OTHER_FLAGS,
  setLink,
} from "./link.ts";
import { restoreQueues } from "./queues.ts";
import { type LinkSettings, linkSettings, restoreSettings, restoreWhenUp } from "./settings.ts";

/** Goes into a record as it is: plain JSON. */
export interface LinkSnapshot {
  name: string;
  alias: string;
  altnames: string[];
  index: number;
  kind: string;
  /** IFLA_LINK. */
  parent: number;
  parentDevice: string;
  permanentMac: string;
  mac: string;
  mtu: number;
  txqlen: number;
  up: boolean;
  promisc: boolean;
  allmulti: boolean;
  /** These are absent in records of older versions. */
  noarp?: boolean;
  multicast?: boolean;
  /** Those of OTHER_FLAGS that are set; absent: none. */
  flags?: number;
  settings?: LinkSettings;
  /** What it is known by, see identity.ts. */
  mark?: number;
  /** Of a veth: the mark of its other end, `parent`, which was on the host. */
  peerMark?: number;
  vlan?: { id: number; protocol: number };
  portName?: string;
  mode?: number;
  /** `parent` is a device of the host's namespace too. */
  parentOnHost?: boolean;
  /** Name of the bridge, bond or VRF that it belonged to on the host. */
  master?: string;
  /** A process of the host had it open (tun, tap). */
  isOpen?: boolean;
}

export function snapshotLink(link: Link): LinkSnapshot {
  const snapshot: LinkSnapshot = {
    name: link.name,
    alias: link.alias,
    altnames: link.altnames,
    index: link.index,
    kind: link.kind,
    parent: link.parent,
    parentDevice: link.parentDevice,
    permanentMac: link.permanentMac,
    mac: link.mac,
    mtu: link.mtu,
    txqlen: link.txqlen,
    up: (link.flags & IFF_UP) !== 0,
    promisc: hasFlag(link, "promisc"),
    allmulti: hasFlag(link, "allmulti"),
    noarp: hasFlag(link, "noarp"),
    multicast: hasFlag(link, "multicast"),
  };
  const flags = link.flags & OTHER_FLAGS;
  if (flags !== 0) snapshot.flags = flags;
  return snapshot;
}

/** Of a device that is about to leave the host. `shown`: the directory of a virtual device in /sys. */
export function snapshotOnHost(route: RouteSocket, link: Link, shown?: Fd): LinkSnapshot {
  const settings = linkSettings(route, link, shown);
  const saved = snapshotLink(link);
  saved.parentDevice = placeOnHost(link);
  saved.settings = settings;
  if (isOpenInProcess(route, link)) saved.isOpen = true;
  if (link.master !== 0) saved.master = getLink(route, link.master)?.name ?? "";
  return saved;
}

/** A tun or tap interface: it has a carrier as long as a process (a virtual machine, a VPN) has it open, up or down. */
export function isOpenInProcess(route: RouteSocket, { kind, index }: Link): boolean {
  return kind === "tun" && askLink(route, index, readFooting)?.carrier !== 0;
}

function hasFlag(link: Link, flag: ChosenFlag): boolean {
  return (link.flags & CHOSEN_FLAGS[flag]) !== 0;
}

/** What a pod may have added to the names of a device: gone before it goes back, so that a pod cannot claim names on the host. Returns the others. */
export function dropForeignAltnames(route: RouteSocket, link: Link, saved: LinkSnapshot): string[] {
  if (link.altnames.length === 0) return link.altnames;
  deleteAltnames(
    route,
    link.index,
    link.altnames.filter((name) => !saved.altnames.includes(name)),
  );
  return link.altnames.filter((name) => saved.altnames.includes(name));
}

/**
 * Makes a link that is on the host what the snapshot says: name, alias, altnames, MAC, MTU, queue length, flags, settings, up or down.
 * Changes only what differs; goes on when one property cannot be restored and throws the first error at the end. An alternative name that
 * another link has by now, and a device that does not go up (its PF or its lower device is down, it is broken), are only said in the
 * log: a pod must not wait for those to end.
 */
export function restoreLink(route: RouteSocket, link: Link, saved: LinkSnapshot): void {
  const cleanup = new Cleanup();
  // What the kernel said when the link was looked at, until something is changed.
  let { message } = link;
  const change = (wanted: LinkChange): void => {
    message = undefined;
    cleanup.attempt(() => setLink(route, link.index, wanted));
  };

  let up = (link.flags & IFF_UP) !== 0;
  // Before 6.2 the kernel renames only a device that is down, and many drivers change the address only then.
  if (up && (link.name !== saved.name || link.mac !== saved.mac)) {
    change({ up: false });
    up = false;
  }
  cleanup.attempt(() => dropForeignAltnames(route, link, saved));
  if (link.name !== saved.name) change({ name: saved.name });
  if (link.alias !== saved.alias) change({ alias: saved.alias });
  const lost = saved.altnames.filter((name) => !link.altnames.includes(name));
  for (const name of lost)
    cleanup.attempt(() => tolerating("EEXIST", saved.name, () => addAltnames(route, link.index, [name])));
  // A tunnel's is its local end, which the kernel does not take here.
  if (link.mac !== saved.mac && parseMac(saved.mac) !== undefined) change({ mac: saved.mac });
  if (link.mtu !== saved.mtu) change({ mtu: saved.mtu });
  if (link.txqlen !== saved.txqlen) change({ txqlen: saved.txqlen });
  for (const flag of CHOSEN) {
    const wanted = saved[flag] ?? hasFlag(link, flag);
    if (wanted !== hasFlag(link, flag)) change({ [flag]: wanted });
  }
  const { flags = 0 } = saved;
  if (flags !== (link.flags & OTHER_FLAGS)) change({ flags });
  const master = link.master === 0 && saved.master ? getLink(route, saved.master) : undefined;
  const { settings } = saved;
  // undefined: it was not found out.
  let isFree = settings === undefined ? true : (undefined as boolean | undefined);
  if (settings !== undefined) {
    cleanup.attempt(() => {
      isFree = restoreSettings(route, link.index, saved.name, settings, message);
    });
  }
  const { ofKind } = settings ?? {};
  if (ofKind !== undefined) {
    const device = { index: link.index, name: saved.name, kind: saved.kind, message };
    cleanup.attempt(() => restoreKind(route, device, ofKind));
  }
  // Before it is up and has addresses: a VRF takes those that are there, a bond nothing that is up.
  if (master !== undefined) {
    cleanup.attempt(() => tolerating("", saved.name, () => setLink(route, link.index, { master: master.index })));
  }
  if (isFree === false)
    log("warning", "a BPF program of the pod is still on the device, so the device stays down", {
      device: saved.name,
      cure: `bpftool net list dev ${shellWord(saved.name)}`,
    });
  // Who has it open would have a wire into the host's network.
  const isHeld = saved.isOpen !== true && isOpenInProcess(route, link);
  if (isHeld)
    log("warning", "a process of the pod still has the device open, so the device stays down", { device: saved.name });
  const wanted = saved.up && isFree === true && !isHeld;
  if (up !== wanted)
    cleanup.attempt(() => tolerating("", saved.name, () => setLink(route, link.index, { up: wanted })));
  if (settings !== undefined && !settings.linkMode)
    cleanup.attempt(() => endDormancy(route, link.index, saved, wanted));
  if (wanted && settings !== undefined) restoreWhenUp(route, link.index, saved.name, saved.mtu, settings);
  if (settings?.queues !== undefined)
    restoreQueues({ name: saved.name, index: link.index, mac: "", mark: saved.mark }, settings.queues, saved.up);
  cleanup.finish();
}

const isDormant = (state: number | undefined): boolean => state === IF_OPER_DORMANT || state === IF_OPER_TESTING;

/** Of one that is down the kernel does not tell. */
function mayBeDormant(from: Bytes, start: number, end: number): boolean {
  const found = findAttribute(from, start + LINK_HEADER, end, IFLA_OPERSTATE, 1);
  return (from.u32[(start + 8) >> 2]! & IFF_UP) === 0 || isDormant(found && from.u8[found[0]]);
}

/**
 * A pod can make a device dormant, and it stays so, also when the link mode is the usual one again, until its carrier changes: that of many virtual
 * devices never does. `mayBeUp`: it need not be, when the kernel has refused that.
 */
function endDormancy(route: RouteSocket, index: number, { kind, parentDevice }: LinkSnapshot, mayBeUp: boolean): void {
  if (kind === "" || kind === "veth" || parentDevice !== "") return;
  if (mayBeUp && askLink(route, index, mayBeDormant) !== true) return;
  setLink(route, index, { operstate: IF_OPER_UP });
}

/** The same of one that a pod has just got, as the kernel told it. */
export function endDormancyOf(route: RouteSocket, { index, operstate }: Link, { settings }: LinkSnapshot): void {
  if (isDormant(operstate) && !settings?.linkMode) setLink(route, index, { operstate: IF_OPER_UP });
}

/** Runs it; that the kernel refuses it with this code ("": any) is only said in the log. */
function tolerating(code: string, device: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NetlinkError) || (code !== "" && error.code !== code)) throw error;
    log("warning", "cannot restore a property", { device, error: error.message });
  }
}
