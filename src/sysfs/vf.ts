// SR-IOV in sysfs: the physical function of a virtual function, its index there, and its interface.
import { pciInterfaces, pciLink, readText } from "./device.ts";

const PCI = "/sys/bus/pci/devices";
const NET = "/sys/class/net";

/** PCI address of the physical function; undefined if the device is not a virtual function, or is gone. */
export function physicalFunction(vf: string): string | undefined {
  return pciLink(vf, "physfn");
}

/** The current number of virtual functions; 0 also if the device is not a physical function. */
export function virtualFunctionCount(pf: string): number {
  const count = Number(readText(`${PCI}/${pf}/sriov_numvfs`) ?? "0");
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** PCI address of virtual function `index`; undefined if there is none. */
export function virtualFunction(pf: string, index: number): string | undefined {
  return pciLink(pf, `virtfn${index}`);
}

/** Number of a virtual function, for `ip link set PF vf NUMBER`; undefined if the physical function does not list it. */
export function virtualFunctionIndex(pf: string, vf: string): number | undefined {
  const count = virtualFunctionCount(pf);
  for (let index = 0; index < count; index++) if (virtualFunction(pf, index) === vf.toLowerCase()) return index;
  return undefined;
}

/**
 * Interface of a physical function: the first in lexical order that is not a representor. With switchdev, the directory also contains the
 * representors of all VFs (phys_port_name pf0vf3, c1pf0sf88) beside the uplink (p0, p0s1, or no such name). undefined: the physical function has no
 * network driver, its interface is in another namespace, or there are only representors.
 */
export function physicalFunctionInterface(pf: string): string | undefined {
  return pciInterfaces(pf).find((name) => !isRepresentor(name));
}

export function isRepresentor(name: string): boolean {
  const port = readText(`${NET}/${name}/phys_port_name`) ?? "";
  return port.includes("pf");
}
