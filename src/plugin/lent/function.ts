// Who has a function of a card, by the records of all plugins, with or without an interface (a driver of userspace: DPDK, virtual machines).
import { Failure } from "../../errors.ts";
import { O_CLOEXEC, O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { isDrivenByProgram, isUserspaceDriver, pciDriver, pciLink } from "../../sysfs/device.ts";
import { endOther } from "./claim.ts";
import { giveBack } from "./give-back.ts";
import { type AnyLender, type LoanData, type LoanRecord, listAllLoans } from "./lender.ts";
import { waitForTeardown } from "./wait.ts";

/**
 * ADD: throws Failure when another attachment has the function, by a record of another plugin than `own`, or when a program has it open. What an
 * attachment left whose pod is gone is undone first, which may rename its interface: the next pod gets none of its settings. The caller holds the
 * card's lock, and has asked its own records (endClaims). The other plugin's lock is not taken: who has it may wait for the card's.
 */
export function requireUnclaimed(own: AnyLender, pci: string): void {
  for (const { lender, record } of loansBeside(own)) {
    if (lender.loanOf(record.data).pci === pci) release(lender, record);
  }
  if (!isOpen(pci)) return;
  throw new Failure(
    "failed",
    `device ${pci} is in use: a program has it open (driver ${pciDriver(pci)})`,
    "A virtual machine or a DPDK program on this node uses the device. Stop it, or use another device. If the program has ended, bind the driver again.",
  );
}

/**
 * ADD found no device where the configuration names one: `isMeant` tells whether that is a card which another plugin lent to a pod. Throws Failure
 * when the pod has it. True: the pod was gone, and the card has its name again. Needs no lock of the card, which is not known yet: giveBack takes it.
 */
export function releaseMissing(own: AnyLender, isMeant: (saved: LinkSnapshot) => boolean): boolean {
  let released = false;
  for (const { lender, record } of loansBeside(own)) {
    const { saved } = lender.loanOf(record.data);
    if (saved === undefined || !isMeant(saved)) continue;
    release(lender, record);
    released = true;
  }
  return released;
}

const loansBeside = (own: AnyLender) => listAllLoans().filter(({ lender }) => lender.plugin !== own.plugin);

function release(lender: AnyLender, record: LoanRecord<LoanData>): void {
  // The namespace of a pod that has just ended is still being torn down.
  const isBack = () => giveBack(lender, record.key, "", true) !== "hidden" || undefined;
  endOther(lender, record, () => waitForTeardown(isBack) === undefined);
}

/**
 * Whether a program that podnic does not know has a device open, through its driver of userspace: a virtual machine, DPDK. There is nothing to open
 * of pci-stub.
 */
export function isOpen(pci: string): boolean {
  const driver = pciDriver(pci) ?? "";
  if (!isUserspaceDriver(driver) || driver === "pci-stub") return false;
  return (driver.includes("vfio") ? isOpenInVfio(pci) : undefined) ?? isDrivenByProgram(pci);
}

/**
 * VFIO opens a group once: whoever opens it again gets EBUSY, also when the device is open by itself (iommufd). undefined: there is no file of the
 * group here, or it may not be opened.
 */
function isOpenInVfio(pci: string): boolean | undefined {
  const group = pciLink(pci, "iommu_group");
  if (group === undefined) return undefined;
  for (const name of [group, `noiommu-${group}`]) {
    try {
      host.close(host.open(`/dev/vfio/${name}`, O_RDONLY | O_CLOEXEC));
      return false;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.code === "EBUSY") return true;
    }
  }
  return undefined;
}
