// Giving a VF back as it was: one function for DEL, GC, the undo of ADD and stale records, of our pods and of sriov-cni's.
import { SystemError } from "../../src/host/host.ts";
import { restoreNetwork } from "../../src/link/capture.ts";
import type { Link } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { locate, requireFreeName, takeBack } from "../../src/link/return.ts";
import { type LinkSnapshot, snapshotLink } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { bootId, type RecordKey } from "../../src/state/record.ts";
import { isPciDevice, pciNetDirectory } from "../../src/sysfs/device.ts";
import { type Home, putBack } from "./put-back.ts";
import { type HeldVf, records } from "./record.ts";
import { allocation, listStates, readReference, removeReference, type StateFile, stateName } from "./reference.ts";

/**
 * Gives the VF of an attachment back and forgets the attachment; can be repeated after a kill at any point. The caller holds the
 * VF's lock. "hidden": the VF's interface is in a namespace that cannot be seen; the records stay. "none": there is no record.
 * Throws when something could not be restored; the records stay then, too, and the next DEL tries again.
 */
export function release(key: RecordKey, netnsPath: string): "home" | "hidden" | "none" {
  const own = records().read(key);
  const held = own?.data ?? readReference(key);
  if (held === undefined) {
    forget(key, "", netnsPath);
    return "none";
  }
  // After a reboot the VFs were made anew, or are gone.
  const boots = new Set([own?.bootId ?? "", bootId()]);
  boots.delete("");
  if (boots.size < 2 && isPciDevice(held.pci)) {
    if (belongsToAnother(key, held, netnsPath, own !== undefined)) {
      // So does the allocation.
      forget(key, "", netnsPath);
      return "home";
    }
    if (giveBack(held, key.ifName, netnsPath, own === undefined) === "hidden") return "hidden";
  }
  forget(key, held.pci, held.netns.path || netnsPath);
  return "home";
}

/** The VF was given to another attachment since, by us or by sriov-cni: a late DEL must not touch it. */
function belongsToAnother(key: RecordKey, held: HeldVf, netnsPath: string, recorded: boolean): boolean {
  const newer = records()
    .list()
    .find(({ key: other, data }) => data.pci === held.pci && !isSameKey(other, key));
  const path = allocation(held.pci) ?? "";
  // Of a pod that sriov-cni made only the allocation knows the namespace: it says nothing when DEL does not name one.
  const ours = recorded ? [netnsPath, held.netns.path] : [netnsPath || path];
  const elsewhere = path !== "" && !ours.includes(path) && openNamespace(path, "ok") !== undefined;
  const isOther = (state: StateFile): boolean => state.held.pci === held.pci && stateName(state.key) !== stateName(key);
  const claimed = !recorded && netnsPath === "" && listStates().some(isOther);
  if (newer === undefined && !elsewhere && !claimed) return false;
  const owner = newer?.key.containerId ?? path;
  log("warning", "the VF belongs to another attachment now and is not touched", { device: held.pci, owner });
  return true;
}

export function isSameKey(a: RecordKey, b: RecordKey): boolean {
  return a.network === b.network && a.containerId === b.containerId && a.ifName === b.ifName;
}

function giveBack(held: HeldVf, ifName: string, netnsPath: string, partial: boolean): "home" | "hidden" {
  const host = ownNamespace();
  const home = held.link === undefined ? undefined : takeHome(held, ifName, netnsPath, host, partial);
  if (home === "hidden") return "hidden";
  putBack(host, held.pci, held.state, home);
  if (home !== undefined && held.network !== undefined) {
    restoreNetwork(host.route, home.link.index, home.was.name, held.network);
  }
  return "home";
}

/** The VF's interface, on the host under its name, and what it was; undefined when there is none any more. */
function takeHome(
  held: HeldVf,
  ifName: string,
  netnsPath: string,
  host: NetNs,
  partial: boolean,
): Home | "hidden" | undefined {
  const recorded = held.link!;
  const found = locate(recorded, ifName, held.netns, netnsPath);
  // Bound to a driver without interfaces meanwhile: there is nothing to look for.
  if (found.place === "hidden" && pciNetDirectory(held.pci) !== undefined) return "hidden";
  if (found.place === "hidden" || found.place === "gone") return undefined;
  const was = partial ? complete(recorded, found.link) : recorded;
  if (found.place === "pod") return { link: takeBack(found.pod, host, found.link, was), was };
  requireFreeName(host, was.name, found.link);
  return { link: found.link, was };
}

/** sriov-cni keeps name, address and MTU; the rest stays as it is, but for what only a pod sets. */
function complete(recorded: LinkSnapshot, link: Link): LinkSnapshot {
  const { name, mac, mtu } = recorded;
  const now = snapshotLink(link);
  const clean = { up: false, promisc: false, allmulti: false, noarp: false, multicast: true };
  return { ...now, ...clean, name, mac: mac || now.mac, mtu: mtu || now.mtu };
}

function forget(key: RecordKey, pci: string, netnsPath: string): void {
  try {
    removeReference(key, pci, netnsPath);
    records().remove(key);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EROFS") throw error;
    log("warning", "the record of the VF stays", { error: error.message });
  }
}
