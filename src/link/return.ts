// Taking a device out of a pod: what host-device and sriov have in common.
import { CniError, Code } from "../errors.ts";
import { log } from "../log.ts";
import { isPluggedIn } from "../sysfs/device.ts";
import { deleteLink, getLink, type Link, listLinks } from "./link.ts";
import { moveLink } from "./move.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "./namespace.ts";
import { dropForeignAltnames, findSameDevice, isPhysical, type LinkSnapshot } from "./snapshot.ts";

/** A namespace as a record keeps it: the path it had, and what tells it from a later one at the same path. */
export interface NamedNamespace {
  path: string;
  dev: number;
  ino: number;
}

/**
 * The pod's namespace, if it still is the one that was recorded: a path may have been given to another pod since. `ino` 0: not
 * known (recorded by somebody else), any namespace at the path will do. Never the host's. undefined: it is gone. Throws when that
 * cannot be told.
 */
export function recordedNamespace(recorded: NamedNamespace, netnsPath: string, host: NetNs): NetNs | undefined {
  const found = tryRecordedNamespace(recorded, netnsPath, host);
  if (found.doubt !== undefined) throw found.doubt;
  return found.pod;
}

/** `doubt`: why it cannot be told whether the namespace is gone; only when there is no `pod`. */
function tryRecordedNamespace(
  recorded: NamedNamespace,
  netnsPath: string,
  host: NetNs,
): { pod?: NetNs; doubt?: unknown } {
  let doubt: unknown;
  for (const path of new Set([netnsPath, recorded.path])) {
    if (path === "") continue;
    try {
      const pod = openNamespace(path, "ok");
      if (pod === undefined || sameNamespace(pod, host)) continue;
      if (recorded.ino === 0 || (pod.dev === recorded.dev && pod.ino === recorded.ino)) return { pod };
    } catch (error) {
      doubt ??= error;
    }
  }
  return doubt === undefined ? {} : { doubt };
}

/** Where a device is. */
export type Whereabouts =
  | { place: "pod"; pod: NetNs; link: Link }
  | { place: "host"; link: Link }
  | { place: "hidden" }
  | { place: "gone" };

/**
 * Looks for a device in the pod it went to (`ifName` there), then on the host. "hidden": the hardware is there, but in a namespace
 * that we cannot see (one that the kernel is still tearing down, or one the pod made). "gone": nothing is left of it. Throws when the
 * device is not on the host and the pod's namespace can neither be opened nor is proven to be gone.
 */
export function locate(was: LinkSnapshot, ifName: string, netns: NamedNamespace, netnsPath: string): Whereabouts {
  const host = ownNamespace();
  const { pod, doubt } = tryRecordedNamespace(netns, netnsPath, host);
  const inPod = pod === undefined ? undefined : findSameDevice(pod.route, was, ifName);
  if (pod !== undefined && inPod !== undefined) return { place: "pod", pod, link: inPod };
  const onHost = findSameDevice(host.route, was, ifName);
  if (onHost !== undefined) return { place: "host", link: onHost };
  if (doubt !== undefined) throw doubt;
  return { place: isPhysical(was) && isPluggedIn(was.parentDevice) ? "hidden" : "gone" };
}

/**
 * Moves a device from a pod to the host, under its old name and alias and down. What else it was is the caller's to restore: a
 * device that cannot go up (no carrier of its PF) must not stay in the pod for that. Throws CniError when its name on the host
 * is taken; nothing has changed then.
 */
export function takeBack(pod: NetNs, host: NetNs, link: Link, was: LinkSnapshot): Link {
  requireFreeName(host, was.name);
  removeChildren(pod, link);
  const altnames = dropForeignAltnames(pod.route, link, was);
  return moveLink(pod, host, { ...link, altnames }, was.name, { alias: was.alias });
}

/** Throws CniError when another device of the host has the name. `own`: the device itself, when it is on the host already. */
export function requireFreeName(host: NetNs, name: string, own?: Link): void {
  const other = getLink(host.route, name);
  if (other === undefined || other.index === own?.index) return;
  throw new CniError(
    Code.generic,
    `cannot give the device its name back: the host has another "${name}"`,
    `Give that interface another name if the node does not use it (ip link set dev ${name} name …). The device stays where it is until a later DEL.`,
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
