import { describe, expect, test } from "vitest";
import { IFF_LOOPBACK, IFF_UP, type Link } from "./link.ts";
import { isPhysical, isSameDevice, snapshotLink } from "./snapshot.ts";

const link: Link = {
  index: 7,
  name: "ens5",
  altnames: ["enp0s5"],
  alias: "",
  flags: IFF_UP,
  mtu: 1500,
  minMtu: 68,
  maxMtu: 9000,
  txqlen: 1000,
  mac: "02:00:00:00:00:01",
  permanentMac: "02:00:00:00:00:01",
  operstate: 6,
  parent: 0,
  linkNetnsid: undefined,
  master: 0,
  kind: "",
  slaveKind: "",
  mode: undefined,
  modeFlags: undefined,
  bcqueuelen: undefined,
  macaddrs: undefined,
  parentDevice: "0000:00:05.0",
};

describe("a device of hardware", () => {
  const was = snapshotLink(link);

  test("is known by its place and its permanent address, whatever the pod did to it", () => {
    const changed = {
      ...link,
      index: 3,
      name: "pod0",
      alias: "eth9",
      mac: "02:00:00:00:00:99",
      altnames: [],
      flags: 0,
    };
    expect(isSameDevice(changed, was)).toBe(true);
  });

  test("is known by its permanent address where the kernel does not say its place", () => {
    const old = { ...link, name: "dev7", parentDevice: "" };
    expect(isSameDevice(old, was)).toBe(true);
    expect(isSameDevice({ ...old, permanentMac: "02:00:00:00:00:02" }, was)).toBe(false);
  });

  test("is known by hints where the kernel says neither, and is not the loopback that has them", () => {
    const unknown = { ...was, permanentMac: "" };
    const old = { ...link, name: "eth0", parentDevice: "", permanentMac: "", mac: "02:00:00:00:00:99" };
    expect(isSameDevice(old, unknown, "eth0")).toBe(true);
    expect(isSameDevice({ ...old, index: 8 }, unknown, "eth0")).toBe(false);
    expect(isSameDevice({ ...old, flags: IFF_UP | IFF_LOOPBACK }, unknown, "eth0")).toBe(false);
  });

  test("is not another one that took its name, alias and address", () => {
    const impostor = { ...link, alias: "ens5", parentDevice: "", permanentMac: "", kind: "dummy" };
    expect(isSameDevice(impostor, was)).toBe(false);
    expect(isSameDevice({ ...link, parentDevice: "0000:00:06.0" }, was)).toBe(false);
  });

  test("is not the other port of its PCI function", () => {
    const port2 = { ...link, index: 8, name: "ens5d1", permanentMac: "02:00:00:00:00:02" };
    expect(isSameDevice(port2, was)).toBe(false);
  });

  test("is known as a VF whose PF gave it another permanent address", () => {
    expect(isSameDevice({ ...link, index: 3, name: "net1", permanentMac: "02:00:00:00:00:02" }, was, "net1")).toBe(
      true,
    );
  });

  test("is known as a VF (of which no permanent address is kept) that came back from a dead namespace as dev9", () => {
    const kept = { ...was, permanentMac: "", index: 0 };
    expect(isSameDevice({ ...link, index: 9, name: "dev9", permanentMac: "02:00:00:00:00:02" }, kept)).toBe(true);
    expect(isSameDevice({ ...link, index: 9, name: "dev9", parentDevice: "0000:00:06.0" }, kept)).toBe(false);
  });

  test("is known by its permanent address alone where the kernel does not tell its place (before 5.14)", () => {
    const old = { ...link, parentDevice: "" };
    expect(isSameDevice({ ...old, index: 3, name: "pod0" }, snapshotLink(old))).toBe(true);
  });

  test("outlives its namespace; a virtual one does not", () => {
    expect(isPhysical(was)).toBe(true);
    expect(isPhysical(snapshotLink({ ...link, kind: "veth", parentDevice: "" }))).toBe(false);
  });
});

describe("a virtual device", () => {
  const veth: Link = { ...link, kind: "veth", parent: 6, parentDevice: "", permanentMac: "" };
  const was = snapshotLink(veth);

  test.each([
    ["renamed and with another address, alias kept", { name: "pod0", mac: "02:00:00:00:00:99", alias: "ens5" }],
    ["with another index and name, alias kept", { index: 12, name: "pod0", alias: "ens5" }],
    ["with another index, under the name it was given", { index: 12, name: "net1" }],
  ])("is known %s", (_, change) => {
    expect(isSameDevice({ ...veth, ...change }, was, "net1")).toBe(true);
  });

  test.each([
    ["of another kind", { kind: "macvlan" }],
    ["made later under its name on the same peer", { index: 12, mac: "02:00:00:00:00:99" }],
    // A pod's own veth can have both numbers by chance.
    ["that has its old index and its peer's", { name: "pod0", mac: "02:00:00:00:00:99" }],
    ["that only has its old index", { name: "eth0", mac: "02:00:00:00:00:99", parent: 2 }],
  ])("is not one %s", (_, change) => {
    expect(isSameDevice({ ...veth, ...change }, was)).toBe(false);
  });
});
