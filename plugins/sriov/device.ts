// Finds the virtual function at a PCI address, and its physical function.
import { Failure } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { getLink, type Link } from "../../src/link/link.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import {
  isPciDevice,
  isPciDeviceOrBelow,
  isUserspaceDriver,
  pciDriver,
  pciNetDirectory,
  readText,
} from "../../src/sysfs/device.ts";
import {
  physicalFunction,
  physicalFunctionInterface,
  virtualFunctionCount,
  virtualFunctionIndex,
} from "../../src/sysfs/vf.ts";

/** For a name that leads to another device each time. */
const LOOKS = 5;

export interface Vf {
  pci: string;
  /** Number on its PF, as in `ip link set PF vf NUMBER`. */
  index: number;
  pfPci: string;
  /** Interface of the PF. */
  pf: Link;
  /** Bound to a driver of userspace: there is no interface, and there will be none. */
  userspace: boolean;
}

/** From sysfs and the kernel. Throws Failure that says which of the files was missing and what that means. */
export function findVf(route: RouteSocket, pci: string): Vf {
  const vf = findOnPf(route, pci);
  if (pciDriver(pci) !== undefined) return vf;
  return fail(
    pci,
    `it has no driver (/sys/bus/pci/devices/${pci}/driver)`,
    "Bind the card's VF driver, or vfio-pci for DPDK.",
  );
}

/** The same for a VF that may have no driver: what is set on the PF does not need one. */
export function findOnPf(route: RouteSocket, pci: string): Vf {
  const base = `/sys/bus/pci/devices/${pci}`;
  if (!isPciDevice(pci))
    fail(
      pci,
      `there is no ${base}`,
      "The VF was removed after it was allocated. sriov_numvfs might have been changed.",
    );
  const pfPci = physicalFunction(pci);
  if (pfPci === undefined) {
    const isPf = virtualFunctionCount(pci) > 0;
    const cure = isPf
      ? "The device is a physical function. Use one of its VFs (virtfn0, …)."
      : "The device is not a virtual function. Use host-device for such devices, and for VFs that a hypervisor gave to this node.";
    fail(pci, `there is no ${base}/physfn`, cure);
  }
  const index = virtualFunctionIndex(pfPci, pci);
  if (index === undefined)
    fail(pci, `no virtfn link of ${pfPci} points to it`, "The card's VFs are being changed. Try again.");
  const pf = interfaceOf(route, pfPci, physicalFunctionInterface);
  if (pf === undefined) {
    fail(
      pci,
      `its physical function ${pfPci} has no interface in this namespace (${base}/physfn/net)`,
      "The PF has no network driver, is in another namespace, or is in switchdev mode without an uplink.",
    );
  }
  const driver = pciDriver(pci);
  return { pci, index, pfPci, pf, userspace: driver !== undefined && isUserspaceDriver(driver) };
}

/** The VF's interface in the namespace of `route`; undefined when it is not there. A virtio one is a level deeper. */
export function vfLink(route: RouteSocket, pci: string): Link | undefined {
  return interfaceOf(route, pci, () => pciNetDirectory(pci)?.[0]);
}

/**
 * sysfs tells the interface's name, and the kernel which link has that name: in between udev may rename it, or exchange two names. The
 * kernel says where the link is plugged in, since 5.14; if that is elsewhere, look again.
 */
function interfaceOf(route: RouteSocket, pci: string, nameOf: (pci: string) => string | undefined): Link | undefined {
  let link: Link | undefined;
  for (let looks = 0; looks < LOOKS; looks++) {
    if (looks > 0) host.sleep(20);
    const name = nameOf(pci);
    if (name === undefined) return undefined;
    link = getLink(route, name);
    if (link !== undefined && (link.parentDevice === "" || isPciDeviceOrBelow(pci, link.parentDevice))) return link;
  }
  if (link === undefined) return undefined;
  throw new Failure(
    "try again",
    `the interface of ${pci} is being renamed`,
    "On every attempt, its name referred to a different device. Retry the ADD.",
  );
}

/** Mbit/s of the port; 0 when it is not known. */
export function portSpeed({ pf }: Vf): number {
  const speed = Number(readText(`/sys/class/net/${pf.name}/speed`) ?? "0");
  return Math.max(speed, 0);
}

function fail(pci: string, problem: string, cure: string): never {
  throw new Failure("failed", `failed to get VF information for ${pci}: ${problem}`, cure);
}
