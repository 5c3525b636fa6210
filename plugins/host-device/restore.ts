// Bringing a device back: one function for DEL, GC, the undo of ADD and stale records, so that whatever was interrupted ends the same way.
import { CniError, Code } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { type CapturedNetwork, restoreNetwork } from "../../src/link/capture.ts";
import type { Link } from "../../src/link/link.ts";
import { type NetNs, ownNamespace } from "../../src/link/namespace.ts";
import { locate, requireFreeName, takeBack } from "../../src/link/return.ts";
import { type LinkSnapshot, restoreLink } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { bootId, type RecordKey } from "../../src/state/record.ts";
import { records } from "./record.ts";

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
    const found = locate(was, key.ifName, record.data.netns, netnsPath);
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

export function hidden(key: RecordKey): CniError {
  const was = records().read(key)?.data.was;
  return new CniError(
    Code.tryAgain,
    `device "${was?.name}" (${was?.parentDevice}) is in a namespace that cannot be seen`,
    "Its pod's namespace is still being torn down, or the pod moved the device to a namespace of its own. It comes back when that namespace ends; DEL can be repeated.",
  );
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

/** Moves a device from a pod to the host and makes it what it was. Nothing has changed when its name on the host is taken. */
export function returnLink(pod: NetNs, host: NetNs, link: Link, was: LinkSnapshot, network?: CapturedNetwork): void {
  restore(host, takeBack(pod, host, link, was), was, network);
}

function restore(host: NetNs, link: Link, was: LinkSnapshot, network: CapturedNetwork | undefined): void {
  try {
    restoreLink(host.route, link, was);
  } finally {
    if (network !== undefined) restoreNetwork(host.route, link.index, was.name, network);
  }
}
