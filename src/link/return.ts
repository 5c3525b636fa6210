// Takes a device out of a pod: code that host-device and sriov share.
import { Failure } from "../errors.ts";
import { log } from "../log.ts";
import { isNumberOf, namespaceNumbers } from "../netlink/nsid.ts";
import { isPciAddress, isPluggedIn, pciNetDirectory } from "../sysfs/device.ts";
import { deleteTogether } from "./delete.ts";
import { findDevice, isPhysical, type View, viewOf } from "./identity.ts";
import { deleteLinkOf, getLink, isPair, type Link, listLinksOn, listLinksQuietly } from "./link.ts";
import { moveLink } from "./move.ts";
import { dropSysfs, type NetNs, openNamespace, ownNamespace, sameNamespace } from "./namespace.ts";
import { dropForeignAltnames, type LinkSnapshot } from "./snapshot.ts";
import { ROUNDS } from "./watch.ts";

/** A namespace as a record keeps it: the path it had, and what tells it from a later one at the same path. */
export interface NamedNamespace {
  path: string;
  dev: number;
  ino: number;
  /** See NetNs; absent in records of older versions. Inodes are given again, cookies are not. */
  cookie?: string;
}

export function named(namespace: NetNs, path: string): NamedNamespace {
  const { dev, ino, cookie } = namespace;
  return cookie === "" ? { path, dev, ino } : { path, dev, ino, cookie };
}

/** Whether a namespace that was written down is this one. `ino` 0: nothing is known of it (recorded by somebody else). */
export function isNamed(namespace: NetNs, recorded: NamedNamespace): boolean {
  if (recorded.ino === 0) return true;
  if (namespace.dev !== recorded.dev || namespace.ino !== recorded.ino) return false;
  return recorded.cookie === undefined || namespace.cookie === "" || namespace.cookie === recorded.cookie;
}

/**
 * The pod's namespace, if it still is the one that was recorded: a path may have been given to another pod since. Never the host's.
 * undefined: it is gone. Throws when that cannot be told.
 */
export function recordedNamespace(recorded: NamedNamespace, netnsPath: string, hostNs: NetNs): NetNs | undefined {
  const found = tryRecordedNamespace(recorded, netnsPath, hostNs);
  if (found.doubt !== undefined) throw found.doubt;
  return found.pod;
}

/** `doubt`: why it cannot be told whether the namespace is gone; only when there is no `pod`. */
function tryRecordedNamespace(
  recorded: NamedNamespace,
  netnsPath: string,
  hostNs: NetNs,
): { pod?: NetNs; doubt?: unknown } {
  let doubt: unknown;
  for (const path of new Set([netnsPath, recorded.path])) {
    if (path === "") continue;
    try {
      const pod = openNamespace(path, "ok");
      if (pod !== undefined && !sameNamespace(pod, hostNs) && isNamed(pod, recorded)) return { pod };
    } catch (error) {
      doubt ??= error;
    }
  }
  return doubt === undefined ? {} : { doubt };
}

/** Where a device is. */
export type DeviceLocation =
  | { place: "pod"; pod: NetNs; link: Link }
  | { place: "host"; link: Link }
  /** The hardware is there, but in a namespace that we cannot see: one that is being torn down, or one the pod made. */
  | { place: "hidden" }
  /** Nothing is left of it. */
  | { place: "lost" }
  /** There is a link that may be it, and nothing that proves it (see identity.ts). */
  | { place: "unclear"; link: Link; path: string };

/** A device that was given away, as it was written down. */
export interface Lent {
  saved: LinkSnapshot;
  netns: NamedNamespace;
  /** What it was to be called in the pod. */
  ifName: string;
  /** The namespace that it was taken from; undefined: not ours, or not known. */
  home: NetNs | undefined;
}

/**
 * Looks for a device in the pod it went to, then on the host. Throws when it is not on the host and the pod's namespace can neither be opened
 * nor is proven to be gone.
 */
export function locate({ saved, netns, ifName, home }: Lent, netnsPath: string): DeviceLocation {
  const hostNs = ownNamespace();
  const { pod, doubt } = tryRecordedNamespace(netns, netnsPath, hostNs);
  const { where, link, unclear } = search(saved, ifName, pod && viewOf(pod, home), viewOf(hostNs, home));
  if (link !== undefined) return where === "pod" ? { place: "pod", pod: pod!, link } : { place: "host", link };
  if (doubt !== undefined) throw doubt;
  if (unclear !== undefined) return { place: "unclear", link: unclear, path: where === "pod" ? pod!.path : "" };
  return { place: isElsewhere(saved) ? "hidden" : "lost" };
}

/** In the pod, then on the host. `unclear`: one that may be it, when none is for certain. */
export function search(
  saved: LinkSnapshot,
  ifName: string,
  pod: View | undefined,
  host: View,
): { where: "pod" | "host"; link?: Link | undefined; unclear?: Link | undefined } {
  const inPod = pod && findDevice(pod, saved, ifName);
  if (inPod?.link !== undefined) return { where: "pod", link: inPod.link };
  const onHost = findDevice(host, saved, ifName);
  if (onHost?.link !== undefined) return { where: "host", link: onHost.link };
  return inPod?.unclear === undefined
    ? { where: "host", unclear: onHost?.unclear }
    : { where: "pod", unclear: inPod.unclear };
}

/** Its hardware is plugged in, and bound to a driver that makes interfaces. */
function isElsewhere(saved: LinkSnapshot): boolean {
  const place = saved.parentDevice;
  if (!isPhysical(saved) || !isPluggedIn(place)) return false;
  return !isPciAddress(place) || pciNetDirectory(place) !== undefined;
}

/**
 * Moves a device from a pod to the host, under its old name and alias and down. What else it was is the caller's to restore: a
 * device that cannot go up (no carrier of its PF) must not stay in the pod for that. The caller has seen that the name is free, and calls removeUppers.
 */
export function moveBack(pod: NetNs, hostNs: NetNs, link: Link, saved: LinkSnapshot): Link {
  // Of interfaces on these, the kernel does not say afterwards that what they stand on is in another namespace.
  if (isInfiniband(link)) {
    const uppers = listLinksOn(pod.route, link.index).filter(isUpperBeside);
    deleteTogether(pod.route, uppers);
    if (uppers.length > 0) noteRemoved(uppers.length, link);
  }
  const altnames = dropForeignAltnames(pod.route, link, saved);
  const left = altnames.length === link.altnames.length ? link : { ...link, altnames };
  const moved = moveLink(pod, hostNs, left, saved.name, { alias: saved.alias }, saved, true);
  dropSysfs(pod);
  return moved;
}

/** The pod's namespace, if it still is there and can be opened: for what does not need it. */
export function podIfThere(recorded: NamedNamespace, netnsPath: string): NetNs | undefined {
  return tryRecordedNamespace(recorded, netnsPath, ownNamespace()).pod;
}

/** Its hardware address has 20 bytes. */
const isInfiniband = ({ kind, mac }: Link): boolean => kind === "ipoib" || mac.length === 20 * 3 - 1;

const isUpperBeside = (link: Link): boolean => link.linkNetnsid === undefined && !isPair(link);

function noteRemoved(count: number, { name }: Link): void {
  log("info", "removed interfaces that the pod created on the device", { count, device: name });
}

/**
 * The pod may have stacked interfaces on a device that has come to the host, or to `at`: one look into its own namespace. Each that it has a number for
 * takes another one. `hasBeen`: the pod had it until now, so that one number is the host's, for which nobody need ask. One that has moved it on may have a
 * single number for where it went.
 */
export function mayHaveUppers(pod: NetNs, at: NetNs, { index }: Link, hasBeen: boolean): boolean {
  const uppers = listLinksOn(pod.route, index);
  if (uppers.length > 0 && uppers.some(standing(pod, at, index).mayStand)) return true;
  const numbers = namespaceNumbers(pod.route);
  if (hasBeen) return numbers.length > 1;
  const { isThere } = standing(pod, at, index);
  return numbers.some((number) => !isThere(number));
}

/**
 * Interfaces that the pod stacked on a device (VLANs, macvlans), which is on the host again, would go on to use it from inside the pod. In the pod,
 * and where it has moved them to: the namespaces that it has numbers for. After the move, too, because a pod that stacked more meanwhile cannot any
 * longer. One that goes to and fro between namespaces is met, unless it is each time where we do not look. `at`: where the device is.
 * Throws Failure when they do not end.
 */
export function removeUppers(pod: NetNs, at: NetNs, link: Link): void {
  let count = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const removed = removeUppersOnce(pod, at, link);
    if (removed === 0) {
      if (count > 0) noteRemoved(count, link);
      return;
    }
    count += removed;
  }
  throw new Failure(
    "try again",
    `a process is creating interfaces on ${link.name} from ${pod.path}, or moving them from one namespace to another`,
    "With these interfaces, the pod could still use the device. The device is back on the host, and its record is kept. Keep the device down until the process has ended and DEL has succeeded.",
  );
}

function removeUppersOnce(pod: NetNs, at: NetNs, { index }: Link): number {
  const { route } = pod;
  const { isThere, stands, mayStand } = standing(pod, at, index);
  const here = listLinksOn(route, index).filter(mayStand);
  deleteTogether(route, here);
  let count = here.length;
  for (const number of namespaceNumbers(route)) {
    if (isThere(number)) continue;
    for (const upper of listLinksQuietly(route, number).filter(stands)) {
      deleteLinkOf(route, number, upper.index);
      // Also one that has moved on meanwhile: the next round meets it.
      count++;
    }
  }
  return count;
}

/** What the pod sees of what stands on the device of this index in `at`. `isThere`: the pod's number of that namespace. */
function standing(pod: NetNs, at: NetNs, index: number) {
  const { route } = pod;
  let home: number | undefined;
  const isThere = (number: number): boolean => {
    if (home === undefined && isNumberOf(route, number, at.fd)) home = number;
    return number === home;
  };
  const stands = (one: Link): boolean =>
    one.parent === index && one.linkNetnsid !== undefined && !isPair(one) && isThere(one.linkNetnsid);
  // Of some kinds (rmnet, virt_wifi) the kernel says only the index of what they stand on, which is not in the pod.
  let isAway: boolean | undefined;
  const mayStand = (link: Link): boolean => {
    if (!isUpperBeside(link)) return stands(link);
    isAway ??= sameNamespace(pod, at) || getLink(route, index) === undefined;
    return isAway;
  };
  return { isThere, stands, mayStand };
}
