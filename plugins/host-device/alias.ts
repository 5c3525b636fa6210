// Devices that the Go plugin gave to a pod. All it leaves behind is the device's ifalias: its name on the host. That is enough
// to bring the device back, but the pod can change it: where we have a record, this file is not used.
import { aliasPrefix } from "../../src/cni/virtual-own.ts";
import { getLink, IFF_UP, type Link, listLinks } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../src/link/namespace.ts";
import { requireFreeName } from "../../src/link/return.ts";
import { isSameDevice, type LinkSnapshot, restoreLink, snapshotLink } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import type { HostDeviceConfig } from "./config.ts";
import { addressOf, type Selection } from "./find.ts";
import { records } from "./record.ts";
import { returnLink } from "./restore.ts";

/** DEL without a record. Nothing to do is success. Throws when the host has another device of that name. */
export function bringBackByAlias(
  netnsPath: string,
  ifName: string,
  config: HostDeviceConfig,
  selection: Selection,
): void {
  const host = ownNamespace();
  const pod = netnsPath === "" ? undefined : openNamespace(netnsPath, "ok");
  if (pod !== undefined && !sameNamespace(pod, host)) {
    const link = findInPod(pod, ifName, config, selection);
    if (link !== undefined) returnLink(pod, host, link, asOnHost(link, config));
    return;
  }
  // The namespace died, and the kernel took the device to the host as it was: down, under the pod's name or dev%d, alias still set. A
  // host's own device may have an alias too: of one that is not named by its alias, the name must say that it was in the pod.
  const fits = ({ name, index }: Link): boolean => Boolean(config.device) || name === ifName || name === `dev${index}`;
  const link = listLinks(host.route).find(
    (each) => each.alias !== "" && (each.flags & IFF_UP) === 0 && fits(each) && isNamedBy(each, config, selection),
  );
  if (link !== undefined) rename(host, link, config);
}

/**
 * ADD: a device that is missing under its name because of a namespace that died without DEL gets its name back.
 * Returns it, or undefined.
 */
export function reclaimByAlias(host: NetNs, name: string): Link | undefined {
  const found = listLinks(host.route).filter((link) => link.alias === name && (link.flags & IFF_UP) === 0);
  const link = found[0];
  if (link === undefined || found.length > 1) return undefined;
  rename(host, link, { device: name });
  return getLink(host.route, link.index);
}

function rename(host: NetNs, link: Link, config: Pick<HostDeviceConfig, "device">): void {
  const was = asOnHost(link, config);
  requireFreeName(host, was.name, link);
  log("warning", "giving a device its name back after its namespace died", { device: was.name, interface: link.name });
  restoreLink(host.route, link, was);
}

function findInPod(pod: NetNs, ifName: string, config: HostDeviceConfig, selection: Selection): Link | undefined {
  const held = records()
    .list()
    .filter(({ data }) => data.netns.ino === pod.ino && data.netns.dev === pod.dev);
  // Other networks of the pod have links as well: those of a record or with the mark of macvlan and ipvlan are theirs.
  const fits = (link: Link): boolean =>
    link.alias !== "" &&
    !link.alias.startsWith(aliasPrefix) &&
    !contradicts(link, config, selection) &&
    !held.some(({ key, data }) => isSameDevice(link, data.was, key.ifName));
  const named = getLink(pod.route, ifName);
  if (named !== undefined && fits(named)) return named;
  // Renamed in the pod: only what the configuration names for certain.
  return listLinks(pod.route).find((link) => fits(link) && isNamedBy(link, config, selection));
}

/** The link is certainly not the configured device: a pod can make links and give them an alias, to have a name on the host. */
function contradicts(link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return false;
  if (config.hwaddr) return !isNamedBy(link, config, selection);
  // (Before Linux 5.14 no link has a parent device; but those that are made have a kind.)
  const virtual = link.kind !== "" && link.parentDevice === "";
  if (config.kernelpath) return virtual && !config.kernelpath.startsWith("/sys/devices/virtual/");
  const known = selection.pci !== "" && link.parentDevice !== "" && !link.parentDevice.startsWith("virtio");
  return virtual || (known && link.parentDevice !== selection.pci);
}

function isNamedBy(link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return link.alias === config.device;
  if (config.hwaddr) return [link.mac, link.permanentMac].includes(addressOf(config.hwaddr));
  return selection.pci !== "" && link.parentDevice === selection.pci;
}

/** The Go plugin keeps the name only, and leaves a device that it brought back down. */
function asOnHost(link: Link, config: Pick<HostDeviceConfig, "device">): LinkSnapshot {
  const { device } = config;
  // Go writes the device's real name, which differs from the configured one only when that is an alternative name.
  const tampered = device !== undefined && device !== "" && device !== link.alias && !link.altnames.includes(device);
  return { ...snapshotLink(link), name: tampered ? device : link.alias, alias: "", up: false };
}
