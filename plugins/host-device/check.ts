// CHECK: checks that everything that ADD created still exists, and that the device still belongs to this attachment.
import type { Call } from "../../src/cni/plugin.ts";
import { isSameDevice, type View, viewOf } from "../../src/link/identity.ts";
import { getLink, type Link } from "../../src/link/link.ts";
import { type NetNs, ownNamespace } from "../../src/link/namespace.ts";
import { checkFailure, checkUnchanged } from "../../src/plugin/check.ts";
import type { OwnInterface } from "../../src/plugin/interface.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import type { Selection } from "./find.ts";
import { hostDeviceLender } from "./record.ts";

/** Throws Failure for the first difference between the pod and the prevResult (which later plugins of a chain may have changed). */
export function checkDevice(call: Call<HostDeviceConfig>, pod: NetNs, own: OwnInterface, selection: Selection): void {
  const { ifName } = call.attachment;
  const link = getLink(pod.route, ifName);
  if (link === undefined)
    throw checkFailure(
      `Container Interface name in prevResult: ${ifName} not found`,
      "The interface was renamed or removed in the pod.",
    );
  checkIdentity(call, pod, link, selection);
  const { mac } = own.interface;
  if (mac !== undefined && mac.toLowerCase() !== link.mac) {
    throw checkFailure(
      `Interface ${ifName} Mac ${mac} doesn't match container Mac: ${link.mac}`,
      "Something in the pod changed the MAC address.",
    );
  }
  checkUnchanged(call, pod, link, own);
}

function checkIdentity(call: Call<HostDeviceConfig>, pod: NetNs, link: Link, selection: Selection): void {
  const saved = hostDeviceLender.store().read(call.attachment)?.data.was;
  const view = viewOf(pod, ownNamespace());
  if (saved !== undefined ? isSameDevice(view, link, saved) : isAsGoLeftIt(view, link, call.config, selection)) return;
  const where = saved?.parentDevice || saved?.permanentMac || "";
  throw checkFailure(
    `interface ${link.name} is not the device that was given to the pod`,
    saved === undefined ? "" : `ADD gave the pod "${saved.name}"${where === "" ? "" : ` (${where})`}.`,
  );
}

/** A pod that the Go plugin made has no record; its device has an alias, and is where the configuration says. */
function isAsGoLeftIt(view: View, link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (link.alias === "") return false;
  if (config.device || selection.pci === "" || link.parentDevice === "") return true;
  const place = view.place(link);
  return place === "" || place === selection.pci;
}
