// Takes a VF for one attachment, after checking that no other attachment has it. It first undoes what an earlier attachment left on the VF.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { isDoubt } from "../../src/link/namespace.ts";
import { endClaims } from "../../src/plugin/lent/claim.ts";
import { giveBack, type Outcome } from "../../src/plugin/lent/give-back.ts";
import { waitForTeardown } from "../../src/plugin/lent/wait.ts";
import type { RecordKey } from "../../src/state/record.ts";
import { pciDriver, pciNetDirectory } from "../../src/sysfs/device.ts";
import type { SriovConfig } from "./config.schema.ts";
import { type HeldVf, whileReturning } from "./record.ts";
import { allocatedTo, allocation } from "./reference.ts";
import { sriovLender } from "./restore.ts";

/** The caller holds the VF's lock. Throws Failure naming the owner when the VF is in use. */
export function requireFreeVf({ attachment, netns }: Call<SriovConfig>, pci: string): void {
  // An earlier ADD of this attachment may have had another VF, and nobody else will give that back.
  const release = (key: RecordKey, held: HeldVf): Outcome =>
    held.pci === pci ? undo(key, pci) : whileReturning(held.pci, () => undo(key, held.pci));
  endClaims(sriovLender, attachment, netns, ({ by, data }) => by === "sriov" && data.pci === pci, release);
  const path = occupantOf(pci);
  if (path !== undefined) {
    throw new Failure(
      "failed",
      `pci address ${pci} is already allocated`,
      `sriov-cni gave the VF to the running pod in ${path}.`,
    );
  }
  // Left behind by sriov-cni: its pod is gone, and its DEL never came or failed half-way.
  endClaims(sriovLender, attachment, netns, ({ data }) => data.pci === pci, release);
}

/** The same as allocatedTo; a namespace that cannot be opened may have it. */
function occupantOf(pci: string): string | undefined {
  try {
    return allocatedTo(pci);
  } catch (error) {
    if (isDoubt(error)) return allocation(pci);
    throw error;
  }
}

/** Gives the VF of an attachment back whose pod is gone, before somebody takes what it left for the original. Throws Failure. */
function undo(key: RecordKey, pci: string): Outcome {
  const outcome = waitForTeardown(() => {
    const each = giveBack(sriovLender, key, "", true);
    return each === "hidden" ? undefined : each;
  });
  if (outcome === undefined) throw interfaceMissing(pci);
  return outcome;
}

/** The VF's driver is there and its interface is not: it went astray with a namespace. Throws Failure. */
export function interfaceMissing(pci: string): Failure {
  if (pciNetDirectory(pci) === undefined) {
    return new Failure(
      "failed",
      `VF ${pci} does not have an interface name or a dpdk driver: its driver (${pciDriver(pci)}) has not created an interface`,
      "Its directory in /sys has no net subdirectory. The driver is not a network driver, or an upper device's driver is not bound (virtio_net, vdpa).",
    );
  }
  return new Failure(
    "failed",
    `VF ${pci} does not have an interface name or a dpdk driver: its interface is not in this namespace`,
    "The interface is in the namespace of an unknown pod, or in a namespace that is being torn down. It returns when that namespace is deleted.",
  );
}
