// CHECK: is what ADD made still there, and is it still this attachment's device?
import type { Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { checkInterface } from "../../src/link/check.ts";
import { isSameDevice, type View, viewOf } from "../../src/link/identity.ts";
import { getLink, IFF_UP, type Link } from "../../src/link/link.ts";
import { type NetNs, ownNamespace } from "../../src/link/namespace.ts";
import type { OwnInterface } from "../../src/plugin/interface.ts";
import { isMtuTuned } from "../../src/plugin/tuned.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import type { Selection } from "./find.ts";
import { hostDeviceLender } from "./record.ts";

/** Throws Failure for the first difference between the pod and the prevResult (which later plugins of a chain may have changed). */
export function checkDevice(call: Call<HostDeviceConfig>, pod: NetNs, own: OwnInterface, selection: Selection): void {
  const { ifName } = call.attachment;
  const link = getLink(pod.route, ifName);
  if (link === undefined)
    throw broken(
      `Container Interface name in prevResult: ${ifName} not found`,
      "It was renamed or removed in the pod.",
    );
  checkIdentity(call, pod, link, selection);
  const { mac, mtu } = own.interface;
  if (mac !== undefined && mac.toLowerCase() !== link.mac) {
    throw broken(
      `Interface ${ifName} Mac ${mac} doesn't match container Mac: ${link.mac}`,
      "It was changed in the pod.",
    );
  }
  if (mtu !== undefined && mtu !== link.mtu && !isMtuTuned(call.attachment)) {
    throw broken(`interface ${ifName} has MTU ${link.mtu}, not ${mtu} as in prevResult`, "It was changed in the pod.");
  }
  if ((link.flags & IFF_UP) === 0) throw broken(`interface ${ifName} is down`, `ip link set ${ifName} up, in the pod.`);
  checkInterface(pod, link.index, ifName, own);
}

function checkIdentity(call: Call<HostDeviceConfig>, pod: NetNs, link: Link, selection: Selection): void {
  const was = hostDeviceLender.store().read(call.attachment)?.data.was;
  const view = viewOf(pod, ownNamespace());
  if (was !== undefined ? isSameDevice(view, link, was) : isAsGoLeftIt(view, link, call.config, selection)) return;
  throw broken(
    `interface ${link.name} is not the device that was given to the pod`,
    was === undefined ? "" : `That was "${was.name}" ${was.parentDevice || was.permanentMac}.`,
  );
}

/** A pod that the Go plugin made has no record; its device has an alias, and is where the configuration says. */
function isAsGoLeftIt(view: View, link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (link.alias === "") return false;
  if (config.device || selection.pci === "" || link.parentDevice === "") return true;
  const place = view.place(link);
  return place === "" || place === selection.pci;
}

function broken(message: string, details: string): Failure {
  return new Failure("failed", message, details);
}
