// For tests: a node with a simulated card, in a private mount namespace with a made-up /sys and a state directory of its own.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { Result } from "../../../src/cni/result.ts";
import { host } from "../../../src/host/host.ts";
import type { RouteSocket } from "../../../src/netlink/socket.ts";
import { isUserspaceDriver } from "../../../src/sysfs/device.ts";
import { type Given, makeCall } from "../../../src/testing/calls.ts";
import { sriov } from "../plugin.ts";
import { SimulatedCard } from "./simulated-card.ts";

export const PCI = "/sys/bus/pci/devices";
export const PF = "0000:af:00.1";
export const VF = "0000:af:06.1";
export const STATE = "/var/lib/cni/sriov";
/** Another namespace than this process's. */
export const LIVING = "/var/lib/netns";

const CLONE_NEWNS = 0x20000;

/** Once a process: from then on its /sys, /run and /var/lib are its own. */
export function leaveMachine(): void {
  host.unshare(CLONE_NEWNS);
  execFileSync("sh", [
    "-ec",
    "mount --make-rprivate /; mount -t tmpfs tmpfs /sys; mount -t tmpfs tmpfs /run; mkdir -p /var/lib; mount -t tmpfs tmpfs /var/lib; touch /var/lib/netns; unshare --net=/var/lib/netns true",
  ]);
}

/** A card as it comes, and no state of anybody. */
export function newCard(): { card: SimulatedCard; route: RouteSocket } {
  rmSync("/var/lib/cni", { recursive: true, force: true });
  const card = new SimulatedCard("enp175s0f1", ["enp175s6", "enp175s7"]);
  card.kernel.tick = 50;
  const route = card.kernel.open();
  // The clock moves by itself.
  Object.assign(host, { sleep: () => {} });
  return { card, route };
}

/** The tree of sriov-cni's tests; the VFs have `driver`, and interfaces unless that is one of userspace. */
export function sysfs(driver: string): void {
  for (const name of ["bus", "class"]) rmSync(`/sys/${name}`, { recursive: true, force: true });
  mkdirSync(`${PCI}/${PF}/net/enp175s0f1`, { recursive: true });
  writeFileSync(`${PCI}/${PF}/sriov_numvfs`, "2\n");
  mkdirSync(`/sys/bus/pci/drivers/${driver}`, { recursive: true });
  for (const n of [0, 1]) {
    const vf = `0000:af:06.${n}`;
    const below = isUserspaceDriver(driver)
      ? ""
      : driver === "virtio-pci"
        ? `/virtio${n}/net/enp175s${6 + n}`
        : `/net/enp175s${6 + n}`;
    mkdirSync(`${PCI}/${vf}${below}`, { recursive: true });
    symlinkSync(`../${vf}`, `${PCI}/${PF}/virtfn${n}`);
    symlinkSync(`../${PF}`, `${PCI}/${vf}/physfn`);
    symlinkSync(`../../drivers/${driver}`, `${PCI}/${vf}/driver`);
  }
}

export type Keys = { [key: string]: unknown };

/** One call for VF, in this process. After an ADD that failed its undo must have gone well. */
export function run(
  command: "ADD" | "CHECK" | "DEL" | "GC",
  keys: Keys,
  given: Given = {},
  netns = "/proc/self/ns/net",
): Result | undefined {
  const raw = { cniVersion: "1.1.0", name: "net1", type: "sriov", deviceID: VF, ...keys };
  const added = { prevResult: { cniVersion: "1.1.0", interfaces: [{ name: "eth0", sandbox: netns }] } };
  const call = { ...makeCall(sriov, command, raw, command === "CHECK" ? { ...added, ...given } : given), netns };
  if (command !== "ADD") {
    if (command === "DEL") sriov.del(call);
    else if (command === "CHECK") sriov.check(call);
    else sriov.gc(call);
    return undefined;
  }
  sriov.validate(call);
  try {
    return sriov.add(call);
  } catch (error) {
    expect(call.transaction.rollback()).toEqual([]);
    // As cni/dispatch.ts does.
    sriov.addFailed!(call.attachment);
    throw error;
  }
}

/** Every attribute, each other than it is at first. */
export const full: Keys = {
  vlan: 100,
  vlanQoS: 3,
  vlanProto: "802.1AD",
  min_tx_rate: 100,
  max_tx_rate: 400,
  spoofchk: "off",
  trust: "on",
  link_state: "enable",
};
