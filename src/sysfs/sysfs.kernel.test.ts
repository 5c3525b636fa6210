// Uses an artificial /sys in a private mount namespace, with the same trees as real ones.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { host } from "../host/host.ts";
import {
  auxiliaryInterfaces,
  interfacesWithAddress,
  isAuxiliaryDevice,
  isPciAddress,
  isPciDevice,
  isPluggedIn,
  isUserspaceDriver,
  pciDriver,
  pciInterfaces,
  pciNetDirectory,
  placeOnHost,
  readText,
} from "./device.ts";
import {
  isRepresentor,
  physicalFunction,
  physicalFunctionInterface,
  virtualFunction,
  virtualFunctionCount,
  virtualFunctionIndex,
} from "./vf.ts";

const CLONE_NEWNS = 0x20000;
host.unshare(CLONE_NEWNS);
execFileSync("sh", ["-ec", "mount --make-rprivate /; mount -t tmpfs tmpfs /sys"]);

const PCI = "/sys/bus/pci/devices";
const AUX = "/sys/bus/auxiliary/devices";
const PF = "0000:af:00.1";

beforeEach(() => {
  for (const name of ["bus", "class", "devices"]) rmSync(`/sys/${name}`, { recursive: true, force: true });
});

function directory(...paths: string[]): void {
  for (const path of paths) mkdirSync(path, { recursive: true });
}

function file(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** The device of sriov-cni's tests: a PF with two VFs. */
function physicalFunctionWithVfs(): void {
  directory(`${PCI}/${PF}/net/enp175s0f1`, `${PCI}/0000:af:06.0/net/enp175s6`, `${PCI}/0000:af:06.1/net/enp175s7`);
  file(`${PCI}/${PF}/sriov_numvfs`, "2\n");
  for (const vf of [0, 1]) {
    symlinkSync(`../0000:af:06.${vf}`, `${PCI}/${PF}/virtfn${vf}`);
    symlinkSync(`../${PF}`, `${PCI}/0000:af:06.${vf}/physfn`);
  }
}

describe("a device that sysfs does not have", () => {
  it("is gone when there is a sysfs", () => {
    directory(PCI);
    expect(isPciDevice(PF)).toBe(false);
    expect(isPluggedIn(PF)).toBe(false);
    expect(isAuxiliaryDevice("mlx5_core.sf.4")).toBe(false);
  });

  it("cannot be told without one", () => {
    for (const ask of [() => isPciDevice(PF), () => isPluggedIn(PF), () => isAuxiliaryDevice("mlx5_core.sf.4")]) {
      expect(ask).toThrow("there is no sysfs at /sys");
    }
  });
});

describe("names that may become part of a path", () => {
  it("are PCI addresses with their domain", () => {
    for (const good of ["0000:3b:02.1", "0000:AF:06.0", "10000:01:00.0"]) expect(isPciAddress(good), good).toBe(true);
    const bad = [
      "3b:02.1",
      "0000:3b:02.8",
      "0000:3b:02",
      "0000:3b:02.1/../../x",
      "../0000:3b:02.1",
      "0000:3b:02.1\n",
      "000g:3b:02.1",
      "0000:3b:02.12",
      "",
    ];
    for (const text of bad) expect(isPciAddress(text), text).toBe(false);
  });

  it("never leave their directory", () => {
    file(`${PCI}/0000:3b:02.1/vendor`, "0x8086\n");
    directory(`${AUX}/mlx5_core.sf.4`);
    expect(isPciDevice("0000:3b:02.1")).toBe(true);
    expect(isPciDevice("0000:3b:02.0")).toBe(false);
    expect(isAuxiliaryDevice("mlx5_core.sf.4")).toBe(true);
    for (const bad of ["../mlx5_core.sf.4", "..", ".", "", "mlx5_core.sf.4/.."])
      expect(isAuxiliaryDevice(bad), bad).toBe(false);
  });
});

describe("interfaces of a device", () => {
  it("in lexical order", () => {
    directory(`${PCI}/0000:05:00.0/net/ens1d1`, `${PCI}/0000:05:00.0/net/ens1`);
    expect(pciInterfaces("0000:05:00.0")).toEqual(["ens1", "ens1d1"]);
  });

  it("of a virtio device are one level down", () => {
    directory(`${PCI}/0000:00:03.0/virtio1/net/eth0`, `${PCI}/0000:00:03.0/power`);
    expect(pciInterfaces("0000:00:03.0")).toEqual(["eth0"]);
  });

  it("of an auxiliary device", () => {
    directory(`${AUX}/mlx5_core.sf.4/net/en3f0pf0sf88`);
    expect(auxiliaryInterfaces("mlx5_core.sf.4")).toEqual(["en3f0pf0sf88"]);
    expect(auxiliaryInterfaces("mlx5_core.sf.5")).toEqual([]);
  });

  it("an empty directory (in another namespace) is not the same as none (no network driver)", () => {
    directory(`${PCI}/0000:05:00.0/net`, `${PCI}/0000:06:00.0`);
    expect(pciNetDirectory("0000:05:00.0")).toEqual([]);
    expect(pciNetDirectory("0000:06:00.0")).toBeUndefined();
    expect(pciNetDirectory("0000:07:00.0")).toBeUndefined();
  });

  it("know what they are plugged into", () => {
    directory("/sys/class/net/ens5", "/sys/class/net/veth0");
    symlinkSync("../../../0000:05:00.0", "/sys/class/net/ens5/device");
    const place = (name: string, parentDevice = "") => placeOnHost({ name, kind: "", parentDevice });
    expect(["ens5", "veth0", "none"].map((name) => place(name))).toEqual(["0000:05:00.0", "", ""]);
    // The number of a virtio device changes with each bind, but the function behind it stays the same.
    expect(place("ens5", "virtio0")).toBe("");
    directory("/sys/bus/virtio/devices");
    symlinkSync("../../../devices/pci0000:00/0000:00:03.0/virtio0", "/sys/bus/virtio/devices/virtio0");
    expect(place("ens5", "virtio0")).toBe("0000:00:03.0");
  });

  it("by their address", () => {
    file("/sys/class/net/b/address", "02:00:00:00:00:01\n");
    file("/sys/class/net/a/address", "02:00:00:00:00:01\n");
    file("/sys/class/net/c/address", "02:00:00:00:00:02\n");
    directory("/sys/class/net/bonding_masters");
    expect(interfacesWithAddress("02:00:00:00:00:01")).toEqual(["a", "b"]);
    expect(interfacesWithAddress("02:00:00:00:00:03")).toEqual([]);
  });
});

describe("drivers", () => {
  it("bound, and none", () => {
    directory(`${PCI}/0000:05:00.0`, `${PCI}/0000:06:00.0`, "/sys/bus/pci/drivers/vfio-pci");
    symlinkSync("../../drivers/vfio-pci", `${PCI}/0000:05:00.0/driver`);
    expect(pciDriver("0000:05:00.0")).toBe("vfio-pci");
    expect(pciDriver("0000:06:00.0")).toBeUndefined();
  });

  it("for user space, vendors' variants too", () => {
    for (const driver of ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_vfio_pci"])
      expect(isUserspaceDriver(driver), driver).toBe(true);
    for (const driver of ["iavf", "igbvf", "mlx5_core", "virtio-pci", ""])
      expect(isUserspaceDriver(driver), driver).toBe(false);
  });
});

describe("virtual functions", () => {
  it("know their physical one, and it knows them by number", () => {
    physicalFunctionWithVfs();
    expect(physicalFunction("0000:af:06.1")).toBe(PF);
    expect(physicalFunction(PF)).toBeUndefined();
    expect(physicalFunction("0000:af:07.0")).toBeUndefined();
    expect(virtualFunctionCount(PF)).toBe(2);
    expect(virtualFunctionCount("0000:af:06.0")).toBe(0);
    expect(virtualFunctionIndex(PF, "0000:af:06.0")).toBe(0);
    expect(virtualFunctionIndex(PF, "0000:AF:06.1")).toBe(1);
    expect(virtualFunctionIndex(PF, "0000:af:06.7")).toBeUndefined();
    expect(virtualFunction(PF, 0)).toBe("0000:af:06.0");
    expect(virtualFunction(PF, 33)).toBeUndefined();
    expect(physicalFunctionInterface(PF)).toBe("enp175s0f1");
  });

  it("a gap in the list does not shift the numbers", () => {
    physicalFunctionWithVfs();
    rmSync(`${PCI}/${PF}/virtfn0`);
    expect(virtualFunctionIndex(PF, "0000:af:06.1")).toBe(1);
  });

  it("representors of a switchdev PF are not its interface", () => {
    physicalFunctionWithVfs();
    // These names come before the uplink's in lexical order.
    directory(`${PCI}/${PF}/net/a_vf0`, `${PCI}/${PF}/net/a_sf88`);
    file("/sys/class/net/a_vf0/phys_port_name", "pf0vf0\n");
    file("/sys/class/net/a_sf88/phys_port_name", "c1pf0sf88\n");
    file("/sys/class/net/enp175s0f1/phys_port_name", "p0\n");
    expect(physicalFunctionInterface(PF)).toBe("enp175s0f1");
    expect(isRepresentor("a_vf0")).toBe(true);
    expect(isRepresentor("no-such-name-file")).toBe(false);
  });

  it("of a PF whose interface is elsewhere", () => {
    directory(`${PCI}/${PF}/net`);
    expect(physicalFunctionInterface(PF)).toBeUndefined();
  });
});

it("what cannot be read is not there: a directory, a missing file", () => {
  directory("/sys/class/net/x/address");
  expect(readText("/sys/class/net/x/address")).toBeUndefined();
  expect(readText("/sys/class/net/none/address")).toBeUndefined();
});
