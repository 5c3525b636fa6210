// What a device was on the host before a pod got it, how it is known again, and how it is made what it was.
// A pod with CAP_NET_ADMIN may change anything about an interface but where it is plugged in: its place on the bus and its
// permanent address identify it; its name, alias and index are only hints.
import { Cleanup } from "../cleanup.ts";
import { log } from "../log.ts";
import { NetlinkError } from "../netlink/errors.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { placeOnHost } from "../sysfs/device.ts";
import {
  addAltnames,
  CHOSEN_FLAGS,
  type ChosenFlag,
  deleteAltnames,
  getLink,
  IFF_LOOPBACK,
  IFF_UP,
  type Link,
  type LinkChange,
  listLinks,
  setLink,
} from "./link.ts";
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
  settings?: LinkSettings;
  /** Name of the bridge, bond or VRF that it belonged to on the host. */
  master?: string;
}

export function snapshotLink(link: Link): LinkSnapshot {
  return {
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
}

/** Of a device that is about to leave the host. */
export function snapshotOnHost(route: RouteSocket, link: Link): LinkSnapshot {
  const settings = linkSettings(route, link.index, link.name);
  const was = { ...snapshotLink(link), parentDevice: placeOnHost(link), settings };
  return link.master === 0 ? was : { ...was, master: getLink(route, link.master)?.name ?? "" };
}

function hasFlag(link: Link, flag: ChosenFlag): boolean {
  return (link.flags & CHOSEN_FLAGS[flag]) !== 0;
}

/** A device of hardware: it outlives a network namespace (the kernel takes it to the initial one), a virtual device does not. */
export function isPhysical(was: LinkSnapshot): boolean {
  return was.kind === "" || was.parentDevice !== "";
}

/** True when `link` is the device of the snapshot, whatever it is called now. `ifName` is what the pod was told to call it. */
export function isSameDevice(link: Link, was: LinkSnapshot, ifName = ""): boolean {
  if (link.kind !== was.kind || (link.flags & IFF_LOOPBACK) !== 0) return false;
  const named = link.name === was.name || link.name === ifName;
  const samePort = link.permanentMac === was.permanentMac;
  // A kernel before 5.14 does not say it of links; the hints must do there.
  if (was.parentDevice !== "" && (link.parentDevice !== "" || link.kind !== "")) {
    // One PCI function can carry several ports (mlx4), which only their permanent addresses tell apart. That of a VF changes
    // when its PF gives it another one; then one of the hints must agree as well. They do not have to when no address was kept: after
    // the death of a namespace a device may come back under another index and as dev<index>.
    if (was.permanentMac === "") return link.parentDevice === was.parentDevice;
    const hinted = named || link.index === was.index || link.alias === was.name;
    return link.parentDevice === was.parentDevice && (samePort || hinted);
  }
  if (was.permanentMac !== "") return samePort;
  // A virtual device has no place on a bus: two of the things that usually stay must agree, and not only the name and the lower
  // device, which a new device made in its place has as well.
  const aliased = link.alias === was.name;
  const sameMac = link.mac === was.mac && was.mac !== "";
  // Its index and that of its lower device (a veth's peer) are numbers that links of another namespace have as well.
  if (!named && !aliased && !sameMac) return false;
  const lasting = [link.index === was.index, aliased, sameMac];
  const others = [named, link.parent === was.parent && was.parent !== 0];
  const count = (hints: boolean[]): number => hints.filter((agrees) => agrees).length;
  return count(lasting) >= 1 && count(lasting) + count(others) >= 2;
}

/** The device of the snapshot in the namespace of `route`. Index and names first: they make it one request instead of a dump. */
export function findSameDevice(route: RouteSocket, was: LinkSnapshot, ifName: string): Link | undefined {
  for (const which of [was.index, ifName, was.name]) {
    // sriov-cni records no index.
    if (which === "" || which === 0) continue;
    const link = getLink(route, which);
    if (link !== undefined && isSameDevice(link, was, ifName)) return link;
  }
  return listLinks(route).find((link) => isSameDevice(link, was, ifName));
}

/** What a pod may have added to the names of a device: gone before it goes back, so that a pod cannot claim names on the host. Returns the others. */
export function dropForeignAltnames(route: RouteSocket, link: Link, was: LinkSnapshot): string[] {
  deleteAltnames(
    route,
    link.index,
    link.altnames.filter((name) => !was.altnames.includes(name)),
  );
  return link.altnames.filter((name) => was.altnames.includes(name));
}

/**
 * Makes a link that is on the host what the snapshot says: name, alias, altnames, MAC, MTU, queue length, flags, settings, up or down.
 * Changes only what differs; goes on when one property cannot be restored and throws the first error at the end. An alternative name that
 * another link has by now, and a device that does not go up (its PF or its lower device is down, it is broken), are only said in the
 * log: a pod must not wait for those to end.
 */
export function restoreLink(route: RouteSocket, link: Link, was: LinkSnapshot): void {
  const cleanup = new Cleanup();
  const change = (wanted: LinkChange): void => cleanup.attempt(() => setLink(route, link.index, wanted));

  let up = (link.flags & IFF_UP) !== 0;
  // Before 6.2 the kernel renames only a device that is down, and many drivers change the address only then.
  if (up && (link.name !== was.name || link.mac !== was.mac)) {
    change({ up: false });
    up = false;
  }
  cleanup.attempt(() => dropForeignAltnames(route, link, was));
  if (link.name !== was.name) change({ name: was.name });
  if (link.alias !== was.alias) change({ alias: was.alias });
  const lost = was.altnames.filter((name) => !link.altnames.includes(name));
  for (const name of lost)
    cleanup.attempt(() => tolerating("EEXIST", was.name, () => addAltnames(route, link.index, [name])));
  if (link.mac !== was.mac && was.mac !== "") change({ mac: was.mac });
  if (link.mtu !== was.mtu) change({ mtu: was.mtu });
  if (link.txqlen !== was.txqlen) change({ txqlen: was.txqlen });
  for (const flag of Object.keys(CHOSEN_FLAGS) as ChosenFlag[]) {
    const wanted = was[flag] ?? hasFlag(link, flag);
    if (wanted !== hasFlag(link, flag)) change({ [flag]: wanted });
  }
  const master = link.master === 0 && was.master ? getLink(route, was.master) : undefined;
  const { settings } = was;
  if (settings !== undefined) cleanup.attempt(() => restoreSettings(route, link.index, was.name, settings));
  // Before it is up and has addresses: a VRF takes those that are there, a bond nothing that is up.
  if (master !== undefined) {
    cleanup.attempt(() => tolerating("", was.name, () => setLink(route, link.index, { master: master.index })));
  }
  if (up !== was.up) cleanup.attempt(() => tolerating("", was.name, () => setLink(route, link.index, { up: was.up })));
  if (was.up && settings !== undefined) restoreWhenUp(was.name, was.mtu, settings);
  cleanup.finish();
}

/** Runs it; that the kernel refuses it with this code ("": any) is only said in the log. */
function tolerating(code: string, device: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NetlinkError) || (code !== "" && error.code !== code)) throw error;
    log("warning", "not restored", { device, error: error.message });
  }
}
