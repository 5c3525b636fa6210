// podnic devices: a lent veth that returned without a DEL, and that is a port of one of the node's bridges again.
import { expect, test } from "vitest";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { findDevicesOf } from "../node/devices.ts";
import type { Holder } from "../node/holders.ts";

const { own } = enterSandbox();

test("it is listed once, as the device of its attachment", () => {
  sh("ip link add br0 type bridge; ip link add d0 type veth peer name p0 netns pod; ip link set d0 master br0");
  const holder = {
    ...{ by: "host-device", key: { network: "n", containerId: "c1", ifName: "net1" }, age: "now", pci: "" },
    ...{
      saved: identify(own, getLink(own.route, "d0")!),
      life: "gone",
      netns: { path: "/run/netns/c1", dev: 0, ino: 1 },
    },
  } as unknown as Holder;
  const states = (holders: Holder[]) =>
    findDevicesOf({ holders, insides: [] })
      .filter(({ interface: at }) => at?.name === "d0")
      .map(({ state, why }) => `${state}: ${why}`);
  expect(states([])).toEqual(["pod: port of br0, without podnic's alias"]);
  // podnic has not seen the port's other end, so the interface's name in the pod is not known.
  expect(findDevicesOf({ holders: [], insides: [] }).find(({ name }) => name === "d0")?.holder?.interface).toBe("");
  expect(states([holder])).toEqual([expect.stringMatching(/^lost: /)]);
});
