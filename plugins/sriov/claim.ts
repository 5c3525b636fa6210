// A VF for one attachment: nobody else has it, and what an earlier attachment left on it is undone first.
import type { Call } from "../../src/cni/plugin.ts";
import { CniError, Code } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { locate, recordedNamespace } from "../../src/link/return.ts";
import { log } from "../../src/log.ts";
import type { Record, RecordKey } from "../../src/state/record.ts";
import { pciDriver, pciNetDirectory } from "../../src/sysfs/device.ts";
import type { SriovConfig } from "./config.ts";
import { type HeldVf, records, withVf } from "./record.ts";
import { allocatedTo, listStates, stateName } from "./reference.ts";
import { isSameKey, release } from "./restore.ts";

/** Milliseconds to wait for the kernel to hand back a VF of a namespace that is being torn down. */
export const TEARDOWN = 1000;

/** The caller holds the VF's lock. Throws CniError naming the owner when the VF is in use. */
export function requireFreeVf(call: Call<SriovConfig>, pci: string): void {
  for (const record of records().list()) {
    const { key, data } = record;
    if (data.pci !== pci && !isSameKey(key, call.attachment)) continue;
    if (isInUse(record)) throw inUse(call, record);
    // An earlier ADD of this attachment had another VF, and nobody else will give that back: its record is about to be written anew.
    if (data.pci !== pci) withVf(data.pci, false, () => undo(key, data.pci));
    else undo(key, pci);
  }
  const path = allocatedTo(pci);
  if (path !== undefined) {
    throw new CniError(
      Code.generic,
      `pci address ${pci} is already allocated`,
      `sriov-cni gave it to the pod of ${path}, which is running.`,
    );
  }
  // Left behind by sriov-cni: its pod is gone, and its DEL never came or failed half-way.
  for (const { key, held } of listStates()) {
    if (held.pci !== pci) continue;
    log("info", "undoing what an earlier pod left on the VF", { device: pci, state: stateName(key) });
    undo(key, pci);
  }
}

/** Gives the VF of an attachment back whose pod is gone, before somebody takes what it left for the original. Throws CniError. */
function undo(key: RecordKey, pci: string): void {
  const deadline = host.monotonic() + TEARDOWN;
  while (release(key, "") === "hidden") {
    if (host.monotonic() > deadline) throw interfaceMissing(pci);
    host.sleep(20);
  }
}

/** With an interface: it is in its pod. Without: its pod's namespace lives. */
function isInUse({ key, data }: Record<HeldVf>): boolean {
  if (data.link !== undefined) return locate(data.link, key.ifName, data.netns, "").place === "pod";
  return recordedNamespace(data.netns, "", ownNamespace()) !== undefined;
}

function inUse(call: Call, { key, data }: Record<HeldVf>): CniError {
  if (isSameKey(key, call.attachment)) {
    return new CniError(
      Code.generic,
      `pci address ${data.pci} is already allocated: it already is ${key.ifName} of this container`,
      "ADD came twice for one attachment. Send DEL first; the VF has not been touched.",
    );
  }
  return new CniError(
    Code.generic,
    `pci address ${data.pci} is already allocated to container ${key.containerId} (${key.ifName}, network ${key.network})`,
    `It is in ${data.netns.path} until that attachment's DEL.`,
  );
}

/** The VF's driver is there and its interface is not: it went astray with a namespace. Throws CniError. */
export function interfaceMissing(pci: string): CniError {
  if (pciNetDirectory(pci) === undefined) {
    return new CniError(
      Code.generic,
      `VF ${pci} does not have an interface name or a dpdk driver: its driver (${pciDriver(pci)}) has made no interface`,
      "There is no /net below its directory in /sys: it is no network driver, or the one of a device on it is not bound (virtio_net; vdpa).",
    );
  }
  return new CniError(
    Code.generic,
    `VF ${pci} does not have an interface name or a dpdk driver: its interface is not in this namespace`,
    "It is in another namespace: that of a pod we do not know, or one that is being torn down. It comes back when that namespace ends.",
  );
}
