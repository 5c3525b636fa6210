// Who has a function of a card, by the records of all plugins, with or without an interface (a driver of userspace: DPDK, virtual machines).
import { Failure } from "../../errors.ts";
import { O_CLOEXEC, O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { isDrivenByProgram, isUserspaceDriver, pciDriver, pciLink } from "../../sysfs/device.ts";
import { heldBy, isInUse } from "./claim.ts";
import { giveBack } from "./give-back.ts";
import { type AnyLender, lendersBeside, listLoans } from "./lender.ts";

/**
 * ADD: throws Failure when another attachment has the function, by a record of another plugin than `own`, or when a program has it open. What an
 * attachment left whose pod is gone is undone. The caller holds the card's lock, and has asked its own records (endClaims).
 */
export function requireUnclaimed(own: AnyLender, pci: string): void {
  for (const lender of lendersBeside(own)) {
    if (lender.plugin === own.plugin) continue;
    for (const record of listLoans(lender)) {
      const { pci: other, saved } = lender.loanOf(record.data);
      if (other !== pci) continue;
      if (isInUse(lender, record)) throw heldBy(lender, record);
      // An interface comes back by its own plugin.
      if (saved === undefined) giveBack(lender, record.key, "", true);
    }
  }
  if (!isOpen(pci)) return;
  throw new Failure(
    "failed",
    `device ${pci} is in use: a program has it open (driver ${pciDriver(pci)})`,
    "A virtual machine or a DPDK program on this node uses the device. Stop it, or use another device. If the program has ended, bind the driver again.",
  );
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
