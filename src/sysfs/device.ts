// Devices by their path in sysfs: PCI addresses, auxiliary devices, their drivers and their network interfaces. sysfs shows the interfaces of
// the network namespace to which its mount belongs. On a node, this is the host's namespace.
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../host/constants.ts";
import { AT_FDCWD, host, SystemError } from "../host/host.ts";

const PCI = "/sys/bus/pci/devices";
const AUXILIARY = "/sys/bus/auxiliary/devices";
const VIRTIO = "/sys/bus/virtio/devices";
const NET = "/sys/class/net";

function isHex(text: string, length: number): boolean {
  if (text.length !== length) return false;
  for (const char of text) if (!"0123456789abcdefABCDEF".includes(char)) return false;
  return true;
}

/** True for a PCI address `dddd:bb:dd.f`. The domain may be longer (VMD uses 5 digits). No other text must become part of a path. */
export function isPciAddress(text: string): boolean {
  if (text === "") return false;
  const parts = text.split(":");
  const [domain, bus, slot] = parts;
  if (parts.length !== 3 || domain === undefined || bus === undefined || slot === undefined) return false;
  return (
    domain.length >= 4 &&
    domain.length <= 8 &&
    isHex(domain, domain.length) &&
    isHex(bus, 2) &&
    slot.length === 4 &&
    isHex(slot.slice(0, 2), 2) &&
    slot[2] === "." &&
    "01234567".includes(slot[3] ?? "x")
  );
}

export function isPciDevice(address: string): boolean {
  return isPciAddress(address) && exists(`${PCI}/${address}`);
}

/** True if `name` is the PCI device itself or a device on it, such as "virtio3", whose number changes with each bind. */
export function isPciDeviceOrBelow(address: string, name: string): boolean {
  return name === address || (name !== "" && !name.includes("/") && exists(`${PCI}/${address}/${name}`));
}

/** True for a device on the auxiliary bus, such as the subfunction mlx5_core.sf.4. */
export function isAuxiliaryDevice(name: string): boolean {
  return !name.includes("/") && !name.startsWith(".") && name !== "" && exists(`${AUXILIARY}/${name}`);
}

/** True when a bus that hot-plugs network devices has a device of this name (IFLA_PARENT_DEV_NAME). */
export function isPluggedIn(parentDevice: string): boolean {
  if (parentDevice === "" || parentDevice.includes("/")) return false;
  return ["pci", "virtio", "auxiliary", "usb", "vmbus", "xen", "platform", "netdevsim"].some((bus) =>
    exists(`/sys/bus/${bus}/devices/${parentDevice}`),
  );
}

/**
 * The address of the device that an interface of the host belongs to; "" for a virtual interface. A kernel before 5.14 does not report it with the
 * link.
 */
export function placeOnHost(link: { name: string; kind: string; parentDevice: string }): string {
  if (link.parentDevice !== "") return busAddress(link.parentDevice);
  if (link.kind !== "") return "";
  const target = orUndefined(() => host.readlink(`${NET}/${link.name}/device`)) ?? "";
  return busAddress(target.slice(target.lastIndexOf("/") + 1));
}

/**
 * The address that a device keeps on its bus. The kernel renumbers virtio devices at each bind, so the address of a virtio device is that of the
 * function behind it; "" if /sys does not say which.
 */
export function busAddress(parentDevice: string): string {
  if (!parentDevice.startsWith("virtio")) return parentDevice;
  return (
    orUndefined(() => host.readlink(`${VIRTIO}/${parentDevice}`))
      ?.split("/")
      .at(-2) ?? ""
  );
}

/** Name of the driver bound to a PCI device; undefined if there is none. */
export function pciDriver(address: string): string | undefined {
  return pciLink(address, "driver");
}

/** Last component of the target of a link in a PCI device's directory, such as "driver", "physfn" or "virtfn0". */
export function pciLink(address: string, name: string): string | undefined {
  const target = orUndefined(() => host.readlink(`${PCI}/${address}/${name}`));
  return target?.slice(target.lastIndexOf("/") + 1);
}

/** True for a driver that hands the device to a program in userspace (DPDK, VMs). The device then has no network interface. */
export function isUserspaceDriver(driver: string): boolean {
  if (["uio_pci_generic", "igb_uio", "pci-stub"].includes(driver)) return true;
  // vfio-pci and the vendors' variants of it (mlx5_vfio_pci, ice-vfio-pci, …).
  return driver.endsWith("vfio-pci") || driver.endsWith("vfio_pci");
}

/** PCI_COMMAND_MASTER, in the first byte of the command register. */
const BUS_MASTER = 4;

/**
 * True if a program uses the device through its userspace driver: the driver has users, which the kernel counts, and the device may access memory,
 * which these drivers prevent when they are closed. False if /sys does not say.
 */
export function isDrivenByProgram(address: string): boolean {
  if (readText(`${PCI}/${address}/driver/module/refcnt`) === "0") return false;
  return ((readBytes(`${PCI}/${address}/config`, 5)?.[4] ?? 0) & BUS_MASTER) !== 0;
}

/** Network interfaces of a PCI device, in lexical order (the Go plugin takes the first). Those of a virtio device are one level deeper. */
export function pciInterfaces(address: string): string[] {
  return pciNetDirectory(address) ?? [];
}

/**
 * Like pciInterfaces, but distinguishes why there are none. undefined: no network driver is bound. []: a driver is bound, but the interface is in
 * another namespace (a pod's, or lost in a dead one).
 */
export function pciNetDirectory(address: string): string[] | undefined {
  const device = `${PCI}/${address}`;
  const own = interfacesBelow(device);
  if (own !== undefined) return own;
  // Not earlier, because a device's directory has some fifty names.
  const nested = (names(device) ?? []).filter((name) => name.startsWith("virtio")).sort();
  for (const name of nested) {
    const found = interfacesBelow(`${device}/${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The interface of this name and all that are on top of it in this namespace: VLANs, a bond, a bridge and what is on top of these. */
export function withUppers(name: string): Set<string> {
  const found = new Set([name]);
  // The loop also visits the names that it adds.
  for (const one of found)
    for (const entry of names(`${NET}/${one}`) ?? []) if (entry.startsWith("upper_")) found.add(entry.slice(6));
  return found;
}

export function auxiliaryInterfaces(name: string): string[] {
  return interfacesBelow(`${AUXILIARY}/${name}`) ?? [];
}

/** Names in `directory`/net, in lexical order; undefined when there is no such directory. `resolve`: RESOLVE_* bits. */
export function interfacesBelow(directory: string, resolve = 0): string[] | undefined {
  return names(`${directory}/net`, resolve)?.sort();
}

/** Names of interfaces with this address (lower-case colon form), from /sys/class/net: 166 ms for 5,000 interfaces. */
export function interfacesWithAddress(mac: string): string[] {
  return (names(NET) ?? []).sort().filter((name) => readText(`${NET}/${name}/address`) === mac);
}

/** linux/netdevice.h: NET_ADDR_SET. */
const SET = "3";

/** True if the MAC address of this interface of the host was set explicitly; a bridge then keeps it. False if /sys does not say. */
export function isAddressSet(name: string): boolean {
  return readText(`${NET}/${name}/addr_assign_type`) === SET;
}

/** Contents of a sysfs file without the newline; undefined if there is no such file, the device has gone, or the driver does not know. */
export function readText(path: string): string | undefined {
  const bytes = readBytes(path, 4096);
  return bytes && host.decode(bytes).trim();
}

function readBytes(path: string, count: number): Uint8Array | undefined {
  try {
    const fd = host.open(path, O_RDONLY | O_CLOEXEC);
    try {
      return host.read(fd, count);
    } finally {
      host.close(fd);
    }
  } catch (error) {
    // ENOENT, ENODEV, EINVAL, EOPNOTSUPP: drivers differ in how they refuse an attribute that they do not have.
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** Names in a directory, as the kernel gives them; undefined when there is no such directory. */
export function names(directory: string, resolve = 0): string[] | undefined {
  const fd = orUndefined(() => host.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, AT_FDCWD, resolve));
  if (fd === undefined) return undefined;
  try {
    return host.readdir(fd);
  } finally {
    host.close(fd);
  }
}

/** Throws Failure if sysfs is not mounted, because callers take false as proof that a device is gone. */
function exists(path: string): boolean {
  if (orUndefined(() => host.stat(path)) !== undefined) return true;
  if (orUndefined(() => host.stat("/sys/bus")) !== undefined) return false;
  throw new Failure(
    "failed",
    "there is no sysfs at /sys",
    `Cannot tell whether ${path} exists. Mount sysfs where the plugin runs (mount -t sysfs sysfs /sys).`,
  );
}

function orUndefined<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw error;
  }
}
