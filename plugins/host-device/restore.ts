// Bringing a device back: one function for DEL, GC, the undo of ADD and stale records, so that whatever was interrupted ends the same way.
import { CniError, Code } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { type CapturedNetwork, restoreNetwork } from "../../src/link/capture.ts";
import { deleteLink, getLink, type Link, listLinks } from "../../src/link/link.ts";
import { moveLink } from "../../src/link/move.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../src/link/namespace.ts";
import {
  dropForeignAltnames,
  findSameDevice,
  isPhysical,
  type LinkSnapshot,
  restoreLink,
} from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { bootId, type Record, type RecordKey } from "../../src/state/record.ts";
import { isPluggedIn } from "../../src/sysfs/device.ts";
import { type HeldDevice, records } from "./record.ts";

/** Where the device of a record is. */
export type Whereabouts =
  | { place: "pod"; pod: NetNs; link: Link }
  | { place: "host"; link: Link }
  | { place: "hidden" | "gone" };

/**
 * Looks for the device of a record in the pod it went to, then on the host. "hidden": the hardware is there, but in a namespace
 * that we cannot see (one that the kernel is still tearing down, or one the pod made). "gone": nothing is left of it.
 */
export function locate(record: Record<HeldDevice>, netnsPath: string): Whereabouts {
  const { was } = record.data;
  const host = ownNamespace();
  const pod = podOf(record.data, netnsPath, host);
  const inPod = pod === undefined ? undefined : findSameDevice(pod.route, was, record.key.ifName);
  if (pod !== undefined && inPod !== undefined) return { place: "pod", pod, link: inPod };
  const onHost = findSameDevice(host.route, was, record.key.ifName);
  if (onHost !== undefined) return { place: "host", link: onHost };
  return { place: isPhysical(was) && isPluggedIn(was.parentDevice) ? "hidden" : "gone" };
}

/**
 * Brings the device of an attachment back to the host, makes it what it was and removes the record; can be repeated after a kill
 * at any point. "hidden": see `locate`; the record stays. "none": there is no record. Throws when the host has another device of
 * that name by now, or when something could not be restored; the record stays then, too.
 */
export function bringBack(key: RecordKey, netnsPath: string): "home" | "hidden" | "none" {
  const record = records().read(key);
  if (record === undefined) {
    // What an ADD left that was killed while it wrote.
    forget(key);
    return "none";
  }
  const { was, network } = record.data;
  // After a reboot the kernel has made its devices anew, and the host's own rules have named them.
  const boots = new Set([record.bootId, bootId()]);
  boots.delete("");
  if (boots.size < 2) {
    const host = ownNamespace();
    const found = locate(record, netnsPath);
    if (found.place === "hidden") return "hidden";
    if (found.place === "pod") returnLink(found.pod, host, found.link, was, network);
    if (found.place === "host") {
      requireFreeName(host, was.name, found.link);
      restore(host, found.link, was, network);
    }
  }
  forget(key);
  return "home";
}

/** The device is home. On a disk that went read-only its record stays, and the next ADD of the device removes it. */
function forget(key: RecordKey): void {
  try {
    records().remove(key);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EROFS") throw error;
    log("warning", "the record of the device stays", { error: error.message });
  }
}

/** The pod's namespace, if it still is the one the device went to: a path may have been given to another pod since. */
function podOf(data: HeldDevice, netnsPath: string, host: NetNs): NetNs | undefined {
  for (const path of new Set([netnsPath, data.netns.path])) {
    const pod = path === "" ? undefined : openNamespace(path, "ok");
    if (pod === undefined || sameNamespace(pod, host)) continue;
    if (pod.dev === data.netns.dev && pod.ino === data.netns.ino) return pod;
  }
  return undefined;
}

/** Moves a device from a pod to the host and makes it what it was. Nothing has changed when its name on the host is taken. */
export function returnLink(pod: NetNs, host: NetNs, link: Link, was: LinkSnapshot, network?: CapturedNetwork): void {
  requireFreeName(host, was.name);
  removeChildren(pod, link);
  dropForeignAltnames(pod.route, link, was);
  // Up comes last and by itself: a device that cannot go up (no carrier of its PF) must not stay in the pod for that.
  restore(host, moveLink(pod, host, link, was.name, { alias: was.alias }), was, network);
}

function restore(host: NetNs, link: Link, was: LinkSnapshot, network: CapturedNetwork | undefined): void {
  try {
    restoreLink(host.route, link, was);
  } finally {
    if (network !== undefined) restoreNetwork(host.route, link.index, was.name, network);
  }
}

/** `own`: the device itself, when it is on the host already. */
export function requireFreeName(host: NetNs, name: string, own?: Link): void {
  const other = getLink(host.route, name);
  if (other === undefined || other.index === own?.index) return;
  throw new CniError(
    Code.generic,
    `cannot give the device its name back: the host has another "${name}"`,
    `Rename or remove that interface (ip link set dev ${name} name …). The device stays where it is until a later DEL.`,
  );
}

/** Interfaces that the pod stacked on the device (VLANs, macvlans) would go on to use it from inside the pod. */
function removeChildren(pod: NetNs, link: Link): void {
  for (const child of listLinks(pod.route)) {
    if (child.parent !== link.index || child.linkNetnsid !== undefined || child.kind === "veth") continue;
    log("info", "removing an interface that the pod made on the device", { interface: child.name, device: link.name });
    deleteLink(pod.route, child.index);
  }
}
