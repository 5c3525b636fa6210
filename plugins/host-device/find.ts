// Finds the device that a configuration selects.
import { Failure } from "../../src/errors.ts";
import { formatMac, parseMac } from "../../src/ip/mac.ts";
import { isPhysical, isSameDevice, type View, viewOf } from "../../src/link/identity.ts";
import { findLinksByAddress, getLinkWhole, type Link } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { ageOf, listAllLoans } from "../../src/plugin/lent/lender.ts";
import {
  auxiliaryInterfaces,
  interfacesBelow,
  isAuxiliaryDevice,
  isPciDevice,
  isUserspaceDriver,
  pciDriver,
  pciInterfaces,
} from "../../src/sysfs/device.ts";
import type { HostDeviceConfig } from "./config.schema.ts";

/** What a configuration selects, before the kernel is asked for a link. At most one of `pci` and `auxiliary` is set. */
export interface Selection {
  pci: string;
  auxiliary: string;
  /** The pod gets no interface: the device belongs to a driver of userspace (DPDK), or the configuration says `dpdkMode`. */
  userspace: boolean;
}

/** True when the configuration names a device at all. */
export function selectsDevice(config: HostDeviceConfig): boolean {
  const { device, hwaddr, kernelpath, pciBusID, runtimeConfig } = config;
  return [device, hwaddr, kernelpath, pciBusID, runtimeConfig?.deviceID].some((value) => (value ?? "") !== "");
}

/**
 * Reads from sysfs what the identifiers of the configuration stand for. `runtimeConfig.deviceID` is the device that the node's
 * device plugin allotted to this very pod, and beats `pciBusID`. Throws Failure when there is no such device or it has no driver.
 */
export function select(config: HostDeviceConfig): Selection {
  const deviceId = config.runtimeConfig?.deviceID ?? "";
  let pci = config.pciBusID ?? "";
  let auxiliary = "";
  if (deviceId !== "") {
    if (isPciDevice(deviceId)) pci = deviceId;
    else if (isAuxiliaryDevice(deviceId)) [pci, auxiliary] = ["", deviceId];
    else {
      throw new Failure(
        "failed",
        `runtime config DeviceID ${deviceId} not found or unsupported`,
        `There is no /sys/bus/pci/devices/${deviceId} and no /sys/bus/auxiliary/devices/${deviceId} on this node. The device was removed, or its driver was unloaded, after it had been allocated.`,
      );
    }
  }
  if (pci === "") return { pci, auxiliary, userspace: auxiliary === "" && config.dpdkMode === true };
  const driver = isPciDevice(pci) ? pciDriver(pci) : undefined;
  if (driver === undefined) {
    const missing = isPciDevice(pci) ? "has no driver bound to it" : "does not exist";
    throw new Failure(
      "failed",
      `error with host device: PCI device ${pci} ${missing}`,
      `\`ls -l /sys/bus/pci/devices/${pci}/driver\` shows its driver. Bind the kernel's network driver, or vfio-pci for DPDK.`,
    );
  }
  return { pci, auxiliary, userspace: isUserspaceDriver(driver) };
}

/** `hwaddr`, in whatever spelling, as links have it: lower-case colon form. */
export function addressOf(hwaddr: string): string {
  return formatMac(parseMac(hwaddr)!);
}

/** The link on the host, or undefined. Precedence as in the Go plugin: device, hwaddr, kernelpath, PCI, auxiliary. */
export function findLink(route: RouteSocket, config: HostDeviceConfig, selection: Selection): Link | undefined {
  if (config.device) return getLinkWhole(route, config.device);
  if (config.hwaddr) return preferred(findLinksByAddress(route, addressOf(config.hwaddr)), config.hwaddr);
  const name = interfaces(config, selection)[0];
  return name === undefined ? undefined : getLinkWhole(route, name);
}

/**
 * Links that stand on a device (VLANs, a bond, a bridge) usually have its address too: the device itself is meant. Throws Failure when several
 * are as good.
 */
function preferred(links: Link[], hwaddr: string): Link | undefined {
  const address = addressOf(hwaddr);
  const ranks: ((link: Link) => boolean)[] = [
    (link) => isPhysical(link) && link.permanentMac === address,
    isPhysical,
    (link) => !isStacked(link),
    () => true,
  ];
  const isBest = ranks.find((rank) => links.some(rank));
  let best = isBest === undefined ? [] : links.filter(isBest);
  if (best.length > 1) best = best.filter((link) => !hasAddressOfPod(link, address));
  if (best.length <= 1) return best[0];
  throw new Failure(
    "failed",
    `several devices have the address ${hwaddr}: ${best.map(({ name }) => name).join(", ")}`,
    'podnic did not change any of them. Select the correct one with "device" or "pciBusID".',
  );
}

/** A device that came back without DEL, with an address that its pod gave it: a pod could block any network that selects its device by address. */
function hasAddressOfPod(link: Link, address: string): boolean {
  const home = ownNamespace();
  const view = viewOf(home, home);
  return listAllLoans().some(({ lender, record }) => {
    const { saved } = lender.loanOf(record.data);
    if (saved === undefined || [saved.mac, saved.permanentMac].includes(address)) return false;
    return ageOf(record) === "now" && isSameDevice(view, link, saved, record.key.ifName);
  });
}

/** Made on another device, or of others. (What a veth is linked to is its peer.) */
export function isStacked({ kind, parent }: Link): boolean {
  return (parent !== 0 && kind !== "veth") || ["bridge", "bond", "team", "vrf", "hsr", "macsec"].includes(kind);
}

function interfaces(config: HostDeviceConfig, selection: Selection): string[] {
  if (config.kernelpath) return interfacesBelow(config.kernelpath) ?? [];
  return selection.pci !== "" ? pciInterfaces(selection.pci) : auxiliaryInterfaces(selection.auxiliary);
}

/** What a configuration means is known although the device is not here: by what the record says it was. */
export function isMeant(saved: LinkSnapshot, config: HostDeviceConfig, selection: Selection): boolean {
  if (config.device) return saved.name === config.device || saved.altnames.includes(config.device);
  if (config.hwaddr) return [saved.mac, saved.permanentMac].includes(addressOf(config.hwaddr));
  return saved.parentDevice !== "" && saved.parentDevice === placeOf(config, selection);
}

/** Where the configured card is on the bus, which no pod can change; "" when the configuration does not say that. */
export function placeOf(config: HostDeviceConfig, { pci }: Selection): string {
  if (config.device || config.hwaddr) return "";
  return config.kernelpath ? (placeIn(config.kernelpath) ?? "") : pci;
}

/** Of the device whose directory it is (see busAddress), and not of what that is a part of (a subfunction's card). */
function placeIn(kernelpath: string): string | undefined {
  const names = kernelpath.split("/").filter((name) => name !== "" && !name.startsWith("virtio"));
  return names.at(-1);
}

/** The device that the configuration names. "No" also when that cannot be told. */
export function isOnHost(config: HostDeviceConfig, selection: Selection): boolean {
  try {
    return selectsDevice(config) && findLink(ownNamespace().route, config, selection) !== undefined;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

/** How messages call the device. */
export function describe(config: HostDeviceConfig, selection: Selection): string {
  if (config.device) return `"${config.device}"`;
  if (config.hwaddr) return `with the address ${config.hwaddr}`;
  return config.kernelpath || `of ${selection.pci || selection.auxiliary}`;
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
  const place = placeOf(config, selection);
  return place !== "" && view.place(link) === place;
}
