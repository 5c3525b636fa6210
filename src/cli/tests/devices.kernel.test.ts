// podnic devices: settings that an earlier pod left on a VF, because the driver did not reset them. The card is simulated.
import { writeFileSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import type { SimulatedCard } from "../../../plugins/sriov/testing/simulated-card.ts";
import { leaveMachine, newCard, PCI, run, sysfs, VF } from "../../../plugins/sriov/testing/simulated-node.ts";
import { findDevicesOf } from "../node/devices.ts";

leaveMachine();

const EBUSY = 16;
let card: SimulatedCard;

beforeEach(() => {
  ({ card } = newCard());
  sysfs("vfio-pci");
  writeFileSync(`${PCI}/${VF}/class`, "0x020000\n");
});

const about = (): string | undefined => findDevicesOf({ holders: [], insides: [] }).find(({ pci }) => pci === VF)?.why;

test("what an earlier pod left is said of the VF until the next pod has it", () => {
  run("ADD", { vlan: 100, trust: "on" });
  for (const what of ["vlan", "plain-vlan", "trust"]) card.refusals[what] = EBUSY;
  run("DEL", {});
  expect(about()).toBe("for userspace drivers (DPDK, VMs); an earlier pod left vlan, trust");
  for (const what of ["vlan", "plain-vlan", "trust"]) delete card.refusals[what];
  run("ADD", {}, { id: "next" });
  run("DEL", {}, { id: "next" });
  expect(about()).toBe("for userspace drivers (DPDK, VMs)");
});

test("nothing is said of a VF on which nothing was left", () => {
  run("ADD", { vlan: 100 });
  run("DEL", {});
  expect(about()).toBe("for userspace drivers (DPDK, VMs)");
});

test("a device that lost its name is free, and the command to restore the name is one for a shell", () => {
  card.interfaces.set(77, { name: "dev77", mac: "02:00:00:00:00:77", flags: 0, alias: "it's $(id) [was $(reboot)]" });
  const device = findDevicesOf({ holders: [], insides: [] }).find((one) => one.interface?.name === "dev77");
  expect(device).toMatchObject({ state: "free", why: 'was "$(reboot)", but another device had that name' });
  expect(device?.cure).toContain("`ip link set dev dev77 name '$(reboot)' alias 'it'\\''s $(id)'`");
});
