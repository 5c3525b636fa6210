// Devices without a record, which the Go plugin lent. The Go plugin stores only the device's name on the host, in the device's ifalias.

import type { Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { isPhysical, isSameDevice, viewOf } from "../../src/link/identity.ts";
import { getLink, IFF_UP, type Link, listLinks } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../src/link/namespace.ts";
import { mayHaveUppers, moveBack, removeUppers } from "../../src/link/return.ts";
import { type LinkSnapshot, restoreLink, snapshotLink } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { forgetRenamed, formerName, underSpareName } from "../../src/plugin/lent/name.ts";
import { outside } from "../../src/plugin/lent/outside.ts";
import { refuseNodeDevice } from "../../src/plugin/node-device.ts";
import { configKept, devicesGiven, macKept, sandboxesOf } from "../../src/plugin/results.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { isNamedBy, isOnHost, type Selection } from "./find.ts";
import { findInPod, type InPod, wantedOf } from "./in-pod.ts";
import { hostDeviceLender } from "./record.ts";
import { type Namesake, namesakeInPod, requireNowhere } from "./search.ts";

/** DEL without a record. Nothing to do is success. */
export function giveBackByAlias(now: Call<HostDeviceConfig>, selection: Selection): void {
  const call = asAdded(now);
  const { config, netns } = call;
  const hostNs = ownNamespace();
  const { pods, doubt } = podsOf(call, hostNs);
  const wanted = wantedOf(call, selection);
  for (const pod of pods) {
    const found = findInPod({ ...wanted, pod, hostNs, view: viewOf(pod, hostNs) });
    if (found === undefined) continue;
    bringBack(found, pod, hostNs, config);
    return;
  }
  const isAlive = pods.some(({ path }) => path === netns);
  // The pod lives, and nothing says that it ever had the device.
  if (isAlive && !wasAdded(call)) return;
  // The device is here: a DEL of ours, or of the Go plugin, has been before.
  if (config.device && isHere(hostNs, call)) return;
  if (renameStray(hostNs, call, selection) || (!config.device && isOnHost(config, selection))) return;
  if (doubt !== undefined && !isAlive && wasAdded(call)) throw doubt;
  requireNowhere(wanted, hostNs);
}

/**
 * The namespaces that libcni's result names, which no pod can change, before that of CNI_NETNS: that path may lead to another pod by now. `doubt`: one that
 * the result names may be there, and cannot be opened.
 */
function podsOf({ attachment, netns }: Call<HostDeviceConfig>, hostNs: NetNs): { pods: NetNs[]; doubt: unknown } {
  const pods: NetNs[] = [];
  let doubt: unknown;
  for (const path of new Set([...sandboxesOf(attachment, undefined), netns])) {
    try {
      const pod = path === "" ? undefined : openNamespace(path, "ok");
      if (pod !== undefined && !sameNamespace(pod, hostNs)) pods.push(pod);
    } catch (error) {
      if (path === netns) throw error;
      doubt ??= error;
    }
  }
  return { pods: pods.filter((pod, n) => pods.findIndex((one) => sameNamespace(one, pod)) === n), doubt };
}

function bringBack({ link, was }: InPod, pod: NetNs, hostNs: NetNs, config: HostDeviceConfig): void {
  // Most of them while it is with the pod: once it is on the host, nothing but our lock keeps another ADD from it.
  if (mayHaveUppers(pod, pod, link, true)) outside(`uppers ${link.index}`, link.name, () => dropUppers(pod, pod, link));
  const own = was === undefined ? asOnHost(link, config) : { ...asOnHost(link, {}), name: was };
  const saved = getLink(hostNs.route, own.name) === undefined ? own : underSpareName(hostNs, link, own);
  const back = moveBack(pod, hostNs, link, saved);
  dropUppers(pod, hostNs, back);
  restoreLink(hostNs.route, back, saved);
}

/** It has the configured name, and libcni's result does not say that it is another card. */
function isHere(hostNs: NetNs, { config, attachment }: Call<HostDeviceConfig>): boolean {
  const link = getLink(hostNs.route, config.device ?? "");
  return link !== undefined && !isAnotherCard(link, macKept(attachment));
}

/** Neither its permanent address nor what it has now is the one that the ADD reported. */
function isAnotherCard({ mac, permanentMac }: Link, given: string | undefined): boolean {
  return given !== undefined && permanentMac !== "" && ![mac, permanentMac].includes(given);
}

/**
 * The namespace died, and the kernel took the device to the host as it was: down, under the pod's name or dev%d, alias still set. A host's own device may
 * have an alias too: of one that is not named by its alias, the name must say that it was in the pod. False: there is none.
 */
function renameStray(hostNs: NetNs, { config, attachment }: Call<HostDeviceConfig>, selection: Selection): boolean {
  const { ifName } = attachment;
  const given = macKept(attachment);
  const view = viewOf(hostNs, hostNs);
  const strays = strayDevices(hostNs, given);
  const isFromPod = ({ name, index }: Link): boolean => name === ifName || name === `dev${index}`;
  const isCertain = (link: Link): boolean =>
    Boolean(config.device) && link.permanentMac === given && (link.alias !== "" || isFromPod(link));
  const isNamed = (link: Link): boolean =>
    (Boolean(config.device) || isFromPod(link)) && isNamedBy(view, link, config, selection);
  const certain = strays.filter(isCertain);
  const found = certain.length > 0 ? certain : strays.filter((link) => isNamed(link) && !isAnotherCard(link, given));
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
  return found.length > 0;
}

/** Somebody may have changed the network's device since the ADD: the one that the ADD lent is the one that libcni keeps, which no pod can write. */
function asAdded(call: Call<HostDeviceConfig>): Call<HostDeviceConfig> {
  const { config, attachment } = call;
  const device = config.device ? configKept(attachment, config.type)?.device : undefined;
  if (typeof device !== "string" || device === "" || device === config.device) return call;
  log("warning", "the network's device has changed since ADD", { before: device, now: config.device ?? "" });
  return { ...call, config: { ...config, device } };
}

/** The next DEL finds no device in the pod and no record, so this one succeeds. The device stays down: what is left on it has no connection. */
function dropUppers(pod: NetNs, hostNs: NetNs, link: Link): void {
  try {
    removeUppers(pod, hostNs, link);
  } catch (error) {
    if (!(error instanceof Failure || error instanceof NetlinkError)) throw error;
    log("warning", "the pod might still have interfaces on the returned device", {
      device: link.name,
      cause: error.message,
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
 * Throws Failure when the node needs it or its policy keeps it, and when several claim the name. A pod can write any alias: by libcni's results, which no
 * pod can write, the card may be another one, or one without the alias may be it.
 */
export function restoreNameByAlias(hostNs: NetNs, name: string): Link | undefined {
  const strays = strayDevices(hostNs, "any");
  if (strays.length === 0) return undefined;
  const given = devicesGiven(hostDeviceLender.plugin);
  const found = strays.filter(({ permanentMac, alias }) => (given(permanentMac) ?? alias) === name);
  const link = found[0];
  if (link === undefined) return undefined;
  if (found.length > 1) throw severalAre(name, found);
  if (given(link.permanentMac) === undefined) {
    const other = namesakeInPod(name, link, hostNs, given);
    if (other !== undefined) throw alsoInPod(name, link, other);
  }
  // As it is called now: what the alias says may be a pod's word.
  refuseNodeDevice(hostNs.route, link);
  if (!rename(hostNs, link, { device: name })) throw hostHasName(name);
  return getLink(hostNs.route, link.index);
}

function severalAre(name: string, found: Link[]): Failure {
  return new Failure(
    "failed",
    `several devices might be "${name}": ${found.map((each) => each.name).join(", ")}`,
    `Each of them has the alias "${name}". Rename the correct one (ip link set dev NAME name ${shellWord(name)}).`,
  );
}

function alsoInPod(name: string, link: Link, { name: inPod, where }: Namesake): Failure {
  return new Failure(
    "failed",
    `cannot tell whether "${link.name}" is "${name}": "${inPod}" in ${where} has the same alias`,
    `A pod can set any alias. If "${link.name}" is the device, rename it (ip link set dev ${shellWord(link.name)} name ${shellWord(name)}). Otherwise give it its own name.`,
  );
}

/**
 * A physical device of the host that is down, whose alias is not its name (and not podnic's about that), and for which there is no record. Without an
 * alias, one that has the permanent address `given` ("any": whichever it is), and a name that the kernel or a pod gave it.
 */
function strayDevices(hostNs: NetNs, given: string | undefined): Link[] {
  const view = viewOf(hostNs, hostNs);
  const records = hostDeviceLender.store().list();
  const mayBe = ({ alias, permanentMac }: Link): boolean =>
    alias !== "" || (permanentMac !== "" && (given === "any" || given === permanentMac));
  return listLinks(hostNs.route).filter(
    (link) =>
      mayBe(link) &&
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

/** The Go plugin keeps the name only, and leaves a device that it brought back down. */
function asOnHost(link: Link, config: Pick<HostDeviceConfig, "device">): LinkSnapshot {
  const { device } = config;
  // Go writes the device's real name, which differs from the configured one only when that is an alternative name.
  const tampered = device !== undefined && device !== "" && device !== link.alias && !link.altnames.includes(device);
  return { ...snapshotLink(link), name: tampered ? device : link.alias || link.name, alias: "", up: false };
}
