// Who has a function of a card, by the records of all plugins, with or without an interface (a driver of userspace: DPDK, virtual machines).
import { Failure } from "../../errors.ts";
import { O_CLOEXEC, O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { isUserspaceDriver, pciDriver, pciLink } from "../../sysfs/device.ts";
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
  const driver = pciDriver(pci);
  if (driver !== undefined && isUserspaceDriver(driver)) refuseOpen(pci);
}

/**
 * A virtual machine that podnic does not know. VFIO opens a group once: whoever opens it again gets EBUSY, also when the device is open by itself
 * (iommufd). Of uio nothing tells.
 */
function refuseOpen(pci: string): void {
  if (!isOpenInVfio(pci)) return;
  throw new Failure(
    "failed",
    `device ${pci} is in use: a program has its VFIO group open`,
    "A virtual machine or a DPDK program on this node uses the device. Stop it, or use another device.",
  );
}

export function isOpenInVfio(pci: string): boolean {
  const group = pciLink(pci, "iommu_group");
  if (group === undefined) return false;
  for (const name of [group, `noiommu-${group}`]) {
    try {
      host.close(host.open(`/dev/vfio/${name}`, O_RDONLY | O_CLOEXEC));
      return false;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // Others: there is no such file here, or it may not be opened.
      if (error.code === "EBUSY") return true;
    }
  }
  return false;
}
