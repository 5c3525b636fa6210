// Takes a device out of a pod: code that host-device and sriov share.
import { log } from "../log.ts";
import { isPciAddress, isPluggedIn, pciNetDirectory } from "../sysfs/device.ts";
import { deleteTogether } from "./delete.ts";
import { findDevice, isPhysical, type View, viewOf } from "./identity.ts";
import { type Link, listLinksOn } from "./link.ts";
import { moveLink } from "./move.ts";
import { dropSysfs, type NetNs, openNamespace, ownNamespace, sameNamespace } from "./namespace.ts";
import { dropForeignAltnames, type LinkSnapshot } from "./snapshot.ts";

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
 * device that cannot go up (no carrier of its PF) must not stay in the pod for that. The caller has seen that the name is free.
 */
export function moveBack(pod: NetNs, hostNs: NetNs, link: Link, saved: LinkSnapshot): Link {
  removeChildren(pod, link);
  const altnames = dropForeignAltnames(pod.route, link, saved);
  const moved = moveLink(pod, hostNs, { ...link, altnames }, saved.name, { alias: saved.alias }, saved, true);
  dropSysfs(pod);
  return moved;
}

/** Interfaces that the pod stacked on the device (VLANs, macvlans) would go on to use it from inside the pod. */
function removeChildren(pod: NetNs, link: Link): void {
  const children = listLinksOn(pod.route, link.index).filter(
    ({ linkNetnsid, kind }) => linkNetnsid === undefined && kind !== "veth",
  );
  if (children.length === 0) return;
  const names = children.slice(0, 5).map(({ name }) => name);
  log("info", "removing interfaces that the pod created on the device", {
    interfaces: names.join(", "),
    count: children.length,
    device: link.name,
  });
  deleteTogether(pod.route, children);
}
