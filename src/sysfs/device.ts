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

/** `dddd:bb:dd.f`; the domain may be longer (VMD uses 5 digits). Anything else never becomes part of a path. */
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

/** True for the PCI device itself and for one on it, such as "virtio3", whose number changes with each bind. */
export function isPciDeviceOrBelow(address: string, name: string): boolean {
  return name === address || (name !== "" && !name.includes("/") && exists(`${PCI}/${address}/${name}`));
}

/** Auxiliary bus: subfunctions such as mlx5_core.sf.4. */
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

/** What an interface of the host is plugged into; "" for a virtual one. A kernel before 5.14 does not say it of the link. */
export function placeOnHost(link: { name: string; kind: string; parentDevice: string }): string {
  if (link.parentDevice !== "") return busAddress(link.parentDevice);
  if (link.kind !== "") return "";
  const target = orUndefined(() => host.readlink(`${NET}/${link.name}/device`)) ?? "";
  return busAddress(target.slice(target.lastIndexOf("/") + 1));
}

/**
 * The address that a device keeps on its bus. The kernel numbers virtio devices anew at each bind: of one, it is that of the function
 * behind it; "" when /sys does not say that.
 */
export function busAddress(parentDevice: string): string {
  if (!parentDevice.startsWith("virtio")) return parentDevice;
  return (
    orUndefined(() => host.readlink(`${VIRTIO}/${parentDevice}`))
      ?.split("/")
      .at(-2) ?? ""
  );
}

/** Name of the driver bound to a PCI device; undefined when none is. */
export function pciDriver(address: string): string | undefined {
  return pciLink(address, "driver");
}

/** Last component of what a link in a PCI device's directory points to: "driver", "physfn", "virtfn0". */
export function pciLink(address: string, name: string): string | undefined {
  const target = orUndefined(() => host.readlink(`${PCI}/${address}/${name}`));
  return target?.slice(target.lastIndexOf("/") + 1);
}

/** Drivers that hand a device to a program in userspace (DPDK, VMs); it has no network interface then. */
export function isUserspaceDriver(driver: string): boolean {
  if (["uio_pci_generic", "igb_uio", "pci-stub"].includes(driver)) return true;
  // vfio-pci and the vendors' variants of it (mlx5_vfio_pci, ice-vfio-pci, …).
  return driver.endsWith("vfio-pci") || driver.endsWith("vfio_pci");
}

/** PCI_COMMAND_MASTER, in the first byte of the command register. */
const BUS_MASTER = 4;

/**
 * Whether a program uses a device through its driver of userspace: it lets the device access memory, which the drivers end when they are closed, and
 * somebody has the driver open, of which the kernel counts the users. False when /sys does not say.
 */
export function isDrivenByProgram(address: string): boolean {
  if (readText(`${PCI}/${address}/driver/module/refcnt`) === "0") return false;
  return ((readBytes(`${PCI}/${address}/config`, 5)?.[4] ?? 0) & BUS_MASTER) !== 0;
}

/** Network interfaces of a PCI device, in lexical order (the first is what the Go plugin takes). A virtio one nests them a level down. */
export function pciInterfaces(address: string): string[] {
  return pciNetDirectory(address) ?? [];
}

/**
 * The same, with what an empty list means told apart: undefined, no network driver is bound; [], one is, and the interface is in
 * another namespace (a pod's, or lost in a dead one).
 */
export function pciNetDirectory(address: string): string[] | undefined {
  const device = `${PCI}/${address}`;
  const own = interfacesBelow(device);
  if (own !== undefined) return own;
  // Only now: a device's directory has some fifty names.
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
  // Those that are added meanwhile come up as well.
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

/** Whether somebody gave this interface of the host its MAC address; a bridge then keeps it. False when /sys does not say. */
export function isAddressSet(name: string): boolean {
  return readText(`${NET}/${name}/addr_assign_type`) === SET;
}

/** Contents of a sysfs file without the newline; undefined when there is no such file, or the device went or cannot say. */
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
    // ENOENT, ENODEV, EINVAL, EOPNOTSUPP: drivers answer as they like what they do not have.
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

/** Throws when sysfs is not there to be asked: devices are taken for gone by what this says. */
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
