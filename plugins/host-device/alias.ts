// Devices without a record, which the Go plugin lent. The Go plugin stores only the device's name on the host, in the device's ifalias. A pod
// can set an alias, and can create links that have one. Without a record, podnic therefore returns a device by its alias only if it is a
// physical device. It returns a virtual device only under the name in the configuration, and only if the device is not connected to a pod. libcni
// must have kept the result of an ADD that lent the device, or a prevResult or lease must show such an ADD, and the device must be idle: a pod's
// macvlan or CNI veth would otherwise become an interface of the host.

import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { isPhysical, isSameDevice, type View, viewOf } from "../../src/link/identity.ts";
import { getLink, IFF_UP, type Link, listLinks } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../src/link/namespace.ts";
import { isNamed, moveBack } from "../../src/link/return.ts";
import { devicesOf, relevantRoutes } from "../../src/link/route.ts";
import { type LinkSnapshot, restoreLink, snapshotLink } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { RTN_UNICAST, RTPROT_KERNEL } from "../../src/netlink/constants.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { hasResult, isKeptAs, otherLesseeOf, wasAdded } from "../../src/plugin/added.ts";
import { whereIs } from "../../src/plugin/lent/give-back.ts";
import { type LoanRecord, listLoans } from "../../src/plugin/lent/lender.ts";
import { forgetRenamed, formerName, underSpareName } from "../../src/plugin/lent/name.ts";
import { refuseNodeDevice } from "../../src/plugin/node-device.ts";
import { isProgramsName } from "../../src/plugin/reserved-names.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { addressOf, describe, isMeant, isOnHost, type Selection } from "./find.ts";
import { type HeldDevice, hostDeviceLender } from "./record.ts";

/** DEL without a record. Nothing to do is success. */
export function giveBackByAlias(call: Call<HostDeviceConfig>, selection: Selection): void {
  const { config, netns } = call;
  const { ifName } = call.attachment;
  const hostNs = ownNamespace();
  const pod = netns === "" ? undefined : openNamespace(netns, "ok");
  if (pod !== undefined && !sameNamespace(pod, hostNs)) {
    const link = findInPod(pod, hostNs, call, selection);
    if (link === undefined) return;
    const own = asOnHost(link, config);
    const saved = getLink(hostNs.route, own.name) === undefined ? own : underSpareName(hostNs, link, own);
    restoreLink(hostNs.route, moveBack(pod, hostNs, link, saved), saved);
    return;
  }
  // The device is here: a DEL of ours, or of the Go plugin, has been before.
  if (config.device && getLink(hostNs.route, config.device) !== undefined) return;
  // The namespace died, and the kernel took the device to the host as it was: down, under the pod's name or dev%d, alias still set. A
  // host's own device may have an alias too: of one that is not named by its alias, the name must say that it was in the pod.
  const fits = ({ name, index }: Link): boolean => Boolean(config.device) || name === ifName || name === `dev${index}`;
  const found = strayDevices(hostNs).filter(
    (each) => fits(each) && isNamedBy(viewOf(hostNs, hostNs), each, config, selection),
  );
  if (found[0] !== undefined && found.length === 1) {
    // As with the Go plugin. Its alias stays: the next ADD that finds the name free gives it back.
    if (!rename(hostNs, found[0], config))
      log("warning", "another device now has this device's name", { device: found[0].name });
  } else if (found.length > 1) {
    const devices = found.map(({ name }) => name).join(", ");
    log("warning", "several devices have this alias, so podnic renames none of them", {
      alias: found[0]!.alias,
      devices,
    });
  }
}

/** The device that came home under a spare name because the host had another one of this name. It may be up, and have addresses. */
export function findRenamed(hostNs: NetNs, name: string): Link | undefined {
  const found = listLinks(hostNs.route).find((link) => formerName(link)?.name === name);
  if (found === undefined) forgetRenamed(name);
  return found;
}

/**
 * ADD: a device that is missing under its name because of a namespace that died without DEL gets its name back. Returns it, or undefined.
 * Throws Failure when the node needs it or its policy keeps it, and when several claim the name.
 */
export function restoreNameByAlias(hostNs: NetNs, name: string): Link | undefined {
  const found = strayDevices(hostNs).filter((link) => link.alias === name);
  const link = found[0];
  if (link === undefined) return undefined;
  if (found.length > 1) {
    throw new Failure(
      "failed",
      `several devices might be "${name}": ${found.map((each) => each.name).join(", ")}`,
      `Each of them has this alias. Rename the correct one (ip link set dev NAME name ${shellWord(name)}).`,
    );
  }
  // As it is called now: what the alias says may be a pod's word.
  refuseNodeDevice(hostNs.route, link);
  if (!rename(hostNs, link, { device: name })) throw hostHasName(name);
  return getLink(hostNs.route, link.index);
}

/** A physical device of the host that is down, whose alias is not its name (and not podnic's about that), and for which there is no record. */
function strayDevices(hostNs: NetNs): Link[] {
  const view = viewOf(hostNs, hostNs);
  const records = hostDeviceLender.store().list();
  return listLinks(hostNs.route).filter(
    (link) =>
      link.alias !== "" &&
      link.alias !== link.name &&
      formerName(link) === undefined &&
      (link.flags & IFF_UP) === 0 &&
      isPhysical(link) &&
      !records.some(({ data }) => isSameDevice(view, link, data.was)),
  );
}

function hostHasName(name: string): Failure {
  return new Failure(
    "failed",
    `cannot restore the device's name: the host has another "${name}"`,
    `If the node does not use that interface, rename it (ip link set dev ${shellWord(name)} name …).`,
  );
}

/** False: another device has the name. */
function rename(hostNs: NetNs, link: Link, config: Pick<HostDeviceConfig, "device">): boolean {
  const saved = asOnHost(link, config);
  const other = getLink(hostNs.route, saved.name);
  if (other !== undefined && other.index !== link.index) return false;
  log("warning", "restoring the name of a device whose network namespace was deleted", {
    device: saved.name,
    interface: link.name,
  });
  restoreLink(hostNs.route, link, saved);
  return true;
}

function findInPod(pod: NetNs, hostNs: NetNs, call: Call<HostDeviceConfig>, selection: Selection): Link | undefined {
  const { config } = call;
  const { ifName } = call.attachment;
  const view = viewOf(pod, hostNs);
  const records = listLoans(hostDeviceLender);
  const held = records.filter(({ data }) => isNamed(pod, data.netns));
  // A DEL of the Go plugin leaves our record of an attachment, and its next ADD may have lent the device to this one.
  const isLeft = (key: Attachment, link: Link): boolean =>
    link.name === ifName && key.ifName !== ifName && !hasResult(key) && wasAdded(call);
  // Other networks of the pod have links as well: those of a record or with the mark of macvlan and ipvlan are theirs.
  const fits = (link: Link): boolean =>
    !link.alias.startsWith(aliasPrefix) &&
    !contradicts(view, link, config, selection) &&
    !held.some(({ key, data }) => isSameDevice(view, link, data.was, key.ifName) && !isLeft(key, link));
  const named = getLink(pod.route, ifName);
  const found =
    named !== undefined && fits(named) && (named.alias !== "" || wasAdded(call))
      ? named
      : // Renamed in the pod: only what the configuration names for certain.
        listLinks(pod.route).find(
          (link) => link.alias !== "" && fits(link) && isNamedBy(view, link, config, selection),
        );
  if (found === undefined) return undefined;
  const owner = otherLesseeOf(call, pod, found);
  if (owner !== undefined) {
    log("warning", "the device belongs to another attachment; leaving it unchanged", { interface: found.name, owner });
    return undefined;
  }
  // What another network gave the pod under this name may be the reason why our ADD failed.
  if (isPhysical(found)) {
    const isNamed = isNamedBy(view, found, config, selection) || found.altnames.includes(config.device || "/");
    return isNamed || wasAdded(call) ? found : undefined;
  }
  // The device is here: the link in the pod is another one.
  if (isOnHost(config, selection)) return undefined;
  const meant = records.filter(({ data }) => isMeant(data.was, config, selection));
  const isRecorded = meant.some(({ key, data }) => isSameDevice(view, found, data.was, key.ifName));
  // The same when another pod has the device.
  if (!isRecorded && meant.some(isInItsPod)) return undefined;
  // Its name and its alias are the pod's to choose: neither proves more than the other.
  const isHere = found.name === ifName && wasAdded(call);
  const isWanted =
    isHere || isRecorded || found.alias === config.device || found.altnames.includes(config.device || "/");
  const isProven = (): boolean =>
    isRecorded ||
    hostDeviceLender.store().unreadable(call.attachment) !== undefined ||
    isKeptAs(call.attachment, found.mac, config.type, config.device ?? "") ||
    (wasAdded(call) && isIdle(hostNs, found) && !isProgramsName(config.device ?? ""));
  if (config.device && isWanted && isHarmless(view, found) && isProven()) return found;
  if (isHere) throw inDoubt(found, pod, config, selection);
  log("warning", "leaving this link in the pod: the pod might have created it, and podnic has no record of it", {
    interface: found.name,
    kind: found.kind,
  });
  return undefined;
}

/** A virtual device that cannot bring a wire out of a pod: what it is made on, or its peer, is the host's. */
function isHarmless(view: View, link: Link): boolean {
  return link.kind === "dummy" || view.isMadeAtHome(link);
}

/**
 * No interface that connects the pod: none on top of a device of the host, and no veth whose other end carries anything. Whoever is both the author
 * of a network and root in the pod can contrive a prevResult and a lease, and gets such an interface to the host, where it stays down.
 */
function isIdle(hostNs: NetNs, link: Link): boolean {
  if (link.kind !== "veth") return link.parent === 0;
  const far = getLink(hostNs.route, link.parent);
  if (far?.parent !== link.index || far.master !== 0) return false;
  return relevantRoutes(hostNs.route, far.index).every(
    (found) =>
      found.type !== RTN_UNICAST ||
      found.protocol === RTPROT_KERNEL ||
      !devicesOf(hostNs.route, found).includes(far.index),
  );
}

/** A record's device, and nothing says that it might not be there. */
function isInItsPod(record: LoanRecord<HeldDevice>): boolean {
  try {
    return whereIs(hostDeviceLender, record, "")?.place === "pod";
  } catch (error) {
    if (error instanceof Failure || error instanceof SystemError || error instanceof NetlinkError) return false;
    throw error;
  }
}

function inDoubt({ name }: Link, { path }: NetNs, config: HostDeviceConfig, selection: Selection): Failure {
  return new Failure(
    "try again",
    `cannot tell whether "${name}" in ${path} is the device ${describe(config, selection)}`,
    `podnic has no record of the device, and the pod might have created the interface. Nothing was released. Move the interface to the host (ip link set dev ${shellWord(name)} netns …) or delete it. When the pod's namespace is gone, DEL succeeds.`,
  );
}

/** The link is certainly not the configured device: a pod can make links and give them an alias, to have a name on the host. */
export function contradicts(view: View, link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return false;
  if (config.hwaddr) return !isNamedBy(view, link, config, selection);
  // (Before Linux 5.14 no link has a parent device; but those that are made have a kind.)
  const virtual = link.kind !== "" && link.parentDevice === "";
  if (config.kernelpath) return virtual && !config.kernelpath.startsWith("/sys/devices/virtual/");
  const place = view.place(link);
  return virtual || (selection.pci !== "" && place !== "" && place !== selection.pci);
}

export function isNamedBy(view: View, link: Link, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return link.alias === config.device;
  if (config.hwaddr) return [link.mac, link.permanentMac].includes(addressOf(config.hwaddr));
  return selection.pci !== "" && view.place(link) === selection.pci;
}

/** The Go plugin keeps the name only, and leaves a device that it brought back down. */
function asOnHost(link: Link, config: Pick<HostDeviceConfig, "device">): LinkSnapshot {
  const { device } = config;
  // Go writes the device's real name, which differs from the configured one only when that is an alternative name.
  const tampered = device !== undefined && device !== "" && device !== link.alias && !link.altnames.includes(device);
  return { ...snapshotLink(link), name: tampered ? device : link.alias || link.name, alias: "", up: false };
}
