// Taking a device from the host for one attachment: nobody else has it, and the node does not need it.

import type { Call } from "../../src/cni/plugin.ts";
import { CniError, Code } from "../../src/errors.ts";
import type { Link } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { locate } from "../../src/link/return.ts";
import { isSameDevice, type LinkSnapshot } from "../../src/link/snapshot.ts";
import type { Record } from "../../src/state/record.ts";
import { reclaimByAlias } from "./alias.ts";
import type { HostDeviceConfig } from "./config.ts";
import { addressOf, describe, findLink, type Selection } from "./find.ts";
import { type HeldDevice, records } from "./record.ts";
import { bringBack, hidden } from "./restore.ts";

/**
 * The link that the configuration names, on the host. A device that an earlier attachment left behind (killed ADD, dead
 * namespace, DEL of the Go plugin) is made what it was first. Throws CniError naming who holds it.
 */
export function findFreeDevice(call: Call<HostDeviceConfig>, host: NetNs, selection: Selection): Link {
  const { config } = call;
  const find = (): Link | undefined => findLink(host.route, config, selection);
  endEarlierAdd(call);
  let link = find();
  for (const record of records().list()) {
    const concerned =
      link === undefined ? isMeant(record.data.was, config, selection) : isSameDevice(link, record.data.was);
    if (!concerned) continue;
    const found = locate(record.data.was, record.key.ifName, record.data.netns, "");
    if (found.place === "pod") throw heldBy(record, config, selection);
    if (found.place === "host") {
      bringBack(record.key, "");
      link = find();
    }
  }
  if (link === undefined && config.device) link = reclaimByAlias(host, config.device);
  if (link === undefined) throw notFound(config, selection);
  return link;
}

/**
 * Spec: ADD of an attachment that exists is an error, and must not harm it. What an earlier ADD left behind, perhaps of another
 * device, is made good now: its record is about to be written anew.
 */
function endEarlierAdd({ attachment: key, netns }: Call): void {
  const record = records().read(key);
  if (record === undefined) return;
  const { was } = record.data;
  if (locate(was, key.ifName, record.data.netns, netns).place === "pod") {
    throw new CniError(
      Code.generic,
      `${key.ifName} of this container already is a device of network ${key.network}: "${was.name}"`,
      "ADD came twice for one attachment. Send DEL first; the device that is there has not been touched.",
    );
  }
  if (bringBack(key, netns) === "hidden") throw hidden(key);
}

/** What a configuration means is known although the device is not here: by what the record says it was. */
export function isMeant(was: LinkSnapshot, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return was.name === config.device || was.altnames.includes(config.device);
  if (config.hwaddr) return [was.mac, was.permanentMac].includes(addressOf(config.hwaddr));
  return selection.pci !== "" && was.parentDevice === selection.pci;
}

function heldBy({ key, data }: Record<HeldDevice>, config: HostDeviceConfig, selection: Selection): CniError {
  return new CniError(
    Code.generic,
    `device ${describe(config, selection)} is held by container ${key.containerId} (${key.ifName}, network ${key.network})`,
    `It is in ${data.netns.path} until that attachment's DEL.`,
  );
}

export function notFound(config: HostDeviceConfig, selection: Selection): CniError {
  return new CniError(
    Code.generic,
    `failed to find host device: there is no device ${describe(config, selection)} (Link not found)`,
    "ip -d link show lists the devices of this node. A device in a pod's namespace that we did not put there comes back when the pod ends.",
  );
}
