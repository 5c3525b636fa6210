// CHECK: checks that the VF is still in the pod as ADD set it up, and that its attributes on the PF match the configuration.
import type { Call } from "../../src/cni/plugin.ts";
import { shellWord } from "../../src/errors.ts";
import { getLink } from "../../src/link/link.ts";
import { type NetNs, ownNamespace } from "../../src/link/namespace.ts";
import { checkFailure, checkUnchanged } from "../../src/plugin/check.ts";
import type { OwnInterface } from "../../src/plugin/interface.ts";
import { isPciDeviceOrBelow } from "../../src/sysfs/device.ts";
import { strayed, wantsState } from "./attributes.ts";
import type { SriovConfig } from "./config.schema.ts";
import { deviceOf } from "./config.ts";
import { findVf } from "./device.ts";
import { records } from "./record.ts";

/** Throws Failure for the first difference. */
export function checkVf(call: Call<SriovConfig>, pod: NetNs, own: OwnInterface): void {
  const pci = deviceOf(call.config);
  const { route } = ownNamespace();
  const vf = findVf(route, pci);
  const held = records().read(call.attachment)?.data;
  if (held !== undefined && held.pci !== pci) {
    throw checkFailure(`this attachment has VF ${held.pci}, not ${pci}`, "The configuration has changed since ADD.");
  }
  const attribute = wantsState(call.config) ? strayed(route, vf, call.config) : undefined;
  if (attribute !== undefined) {
    const where = `VF ${vf.index} of ${vf.pf.name} (${pci})`;
    throw checkFailure(
      `${attribute} of ${where} does not match the configuration`,
      `Compare \`ip link show dev ${shellWord(vf.pf.name)}\` with the configuration.`,
    );
  }
  if (!vf.userspace) checkLink(call, pod, own, pci);
}

function checkLink(call: Call<SriovConfig>, pod: NetNs, own: OwnInterface, pci: string): void {
  const { ifName } = call.attachment;
  const link = getLink(pod.route, ifName);
  if (link === undefined)
    throw checkFailure(`interface ${ifName} is not in the pod`, "The interface was renamed or removed in the pod.");
  if (link.parentDevice !== "" && !isPciDeviceOrBelow(pci, link.parentDevice)) {
    throw checkFailure(`interface ${ifName} is not VF ${pci}`, `The interface belongs to ${link.parentDevice}.`);
  }
  const { mac } = own.interface;
  if (mac !== undefined && mac.toLowerCase() !== link.mac) {
    throw checkFailure(
      `interface ${ifName} has MAC address ${link.mac}, but prevResult says ${mac}`,
      "Something in the pod changed the MAC address.",
    );
  }
  checkUnchanged(call, pod, link, own);
}
