// Takes a device from the host for one attachment, after checking that no other attachment has it and that the node does not need it.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { isPhysical, isSameDevice, viewOf } from "../../src/link/identity.ts";
import type { Link } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { endClaims } from "../../src/plugin/lent/claim.ts";
import { releaseMissing } from "../../src/plugin/lent/function.ts";
import { mayBeRenamed } from "../../src/plugin/lent/name.ts";
import { findRenamed, restoreNameByAlias } from "./alias.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { describe, findLink, isMeant, isStacked, type Selection } from "./find.ts";
import { hostDeviceLender } from "./record.ts";

/**
 * The link that the configuration names, on the host. A device that an earlier attachment left behind (killed ADD, dead
 * namespace, DEL of the Go plugin) is restored first. Throws Failure naming who holds it.
 */
export function findFreeDevice(call: Call<HostDeviceConfig>, hostNs: NetNs, selection: Selection): Link {
  const { config, attachment, netns } = call;
  const view = viewOf(hostNs, hostNs);
  let link = findLink(hostNs.route, config, selection);
  // Also what is meant and not here: the link that is found instead may be one that stands on it, with its address.
  const ended = endClaims(
    hostDeviceLender,
    attachment,
    netns,
    ({ data: { was: saved } }) =>
      (link !== undefined && isSameDevice(view, link, saved)) || isMissing(link, saved, config, selection),
  );
  if (ended) link = findLink(hostNs.route, config, selection);
  const { device } = config;
  if (device && (link === undefined || (!isPhysical(link) && mayBeRenamed(device)))) {
    const renamed = findRenamed(hostNs, device);
    if (link !== undefined && renamed !== undefined) throw otherHasName(device, renamed);
    link ??= renamed ?? restoreNameByAlias(hostNs, device);
  }
  // Perhaps it is with a pod of sriov, or came back from one that is gone, under another name.
  if (link === undefined && releaseMissing(hostDeviceLender, (saved) => isMeant(saved, config, selection)))
    link = findLink(hostNs.route, config, selection);
  if (link === undefined) throw notFound(config, selection);
  return link;
}

/** A virtual device took the name while a pod had the physical one. The configuration does not allow pods to get the virtual one instead. */
function otherHasName(name: string, { name: spare }: Link): Failure {
  return new Failure(
    "failed",
    `"${name}" is a different device from before: the original device is now called "${spare}"`,
    `Remove or rename "${name}". The next ADD then uses "${spare}". To give pods the new "${name}" instead, clear the alias of the original device (ip link set dev ${shellWord(spare)} alias "").`,
  );
}

/** The configuration means the recorded device, and what was found in its place is not it, or only stacked on something. */
function isMissing(
  link: Link | undefined,
  saved: LinkSnapshot,
  config: HostDeviceConfig,
  selection: Selection,
): boolean {
  if (!isMeant(saved, config, selection)) return false;
  return link === undefined || (!config.device && isStacked(link));
}

export function notFound(config: HostDeviceConfig, selection: Selection): Failure {
  return new Failure(
    "failed",
    `failed to find host device: there is no device ${describe(config, selection)} (Link not found)`,
    "`ip -d link show` lists the node's devices. A physical device that another program moved into a pod's namespace returns when the pod is deleted.",
  );
}
