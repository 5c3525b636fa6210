import { describe, expect, test } from "vitest";
import { findDevice, isPhysical, judge, type View } from "./identity.ts";
import { IFF_LOOPBACK, IFF_UP, type Link } from "./link.ts";
import { type LinkSnapshot, snapshotLink } from "./snapshot.ts";

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

/** A namespace with these links. `marks`: of each index; absent, they cannot be had. */
function view(links: Link[], { marks, isHome = false, atHome = false, vf = false, peers = {} }: Given = {}): View {
  return {
    isHome,
    link: (which) => links.find(({ index, name }) => which === index || which === name),
    links: () => links,
    marked: (mark) => (marks === undefined ? "unknown" : links.find(({ index }) => marks[index] === mark)),
    mark: ({ index }) => marks?.[index],
    markAtHome: (index) => peers[index],
    place: ({ parentDevice }) => parentDevice,
    isMadeAtHome: () => atHome,
    isVirtualFunction: () => vf,
  };
}

interface Given {
  marks?: { [index: number]: number };
  isHome?: boolean;
  atHome?: boolean;
  vf?: boolean;
  /** Marks of the host's devices, by their index. */
  peers?: { [index: number]: number };
}

const judged = (seen: Link, saved: LinkSnapshot, ifName = "", given: Given = {}) =>
  judge(view([seen], given), seen, saved, ifName);

describe("a device of hardware", () => {
  const saved = snapshotLink(link);

  test("is known by its place and its permanent address, whatever the pod did to it", () => {
    const seen = { ...link, index: 3, name: "pod0", alias: "eth9", mac: "02:00:00:00:00:99", altnames: [], flags: 0 };
    expect(judged(seen, saved)).toBe("same");
  });

  test("is known by its permanent address where the kernel does not say its place (before 5.14)", () => {
    const old = { ...link, name: "dev7", parentDevice: "" };
    expect(judged(old, saved)).toBe("same");
    expect(judged(old, { ...saved, parentDevice: "" })).toBe("same");
    expect(judged({ ...old, permanentMac: "02:00:00:00:00:02" }, saved)).toBe("other");
  });

  test("is never known by name, alias, address and index where the kernel says neither", () => {
    const unknown = { ...saved, permanentMac: "" };
    const old = { ...link, parentDevice: "", permanentMac: "" };
    expect(judged(old, unknown)).toBe("unclear");
    expect(judged({ ...old, name: "other", mac: "02:00:00:00:00:99" }, unknown)).toBe("other");
    expect(judged({ ...old, flags: IFF_UP | IFF_LOOPBACK }, unknown, "ens5")).toBe("other");
  });

  test("is not another one that took its name, alias, address and index", () => {
    const impostor = { ...link, alias: "ens5", parentDevice: "", permanentMac: "", kind: "dummy" };
    expect(judged(impostor, saved)).toBe("other");
    expect(judged({ ...link, parentDevice: "0000:00:06.0" }, saved)).toBe("other");
  });

  test("is not the other port of its function", () => {
    const port2 = { ...link, index: 8, name: "ens5d1", mac: "02:00:00:00:00:02", permanentMac: "02:00:00:00:00:02" };
    expect(judged(port2, saved)).toBe("other");
    expect(judged({ ...link, portName: "p1" }, { ...saved, portName: "p0" })).toBe("other");
    expect(judged({ ...link, portName: "p1" }, saved)).toBe("same");
  });

  test("with another permanent address at the same place is doubted, unless it is a VF, whose PF gives it one", () => {
    const seen = { ...link, index: 3, name: "net1", permanentMac: "02:00:00:00:00:02" };
    expect(judged(seen, saved, "net1")).toBe("unclear");
    expect(judged(seen, saved, "net1", { vf: true })).toBe("same");
  });

  test("is known as a VF (of which no permanent address is kept) that came back from a dead namespace as dev9", () => {
    const kept = { ...saved, permanentMac: "", index: 0 };
    const back = { ...link, index: 9, name: "dev9", permanentMac: "02:00:00:00:00:02" };
    expect(judged(back, kept)).toBe("same");
    expect(judged({ ...back, parentDevice: "0000:00:06.0" }, kept)).toBe("other");
  });

  test("is not identified by the number of a virtio device that an older version recorded", () => {
    const virtio = { ...saved, parentDevice: "virtio2" };
    const seen = { ...link, parentDevice: "0000:00:05.0" };
    expect(judged(seen, virtio)).toBe("same");
    expect(judged({ ...seen, permanentMac: "02:00:00:00:00:02" }, virtio)).toBe("other");
    expect(judged(seen, { ...virtio, permanentMac: "" })).toBe("unclear");
  });

  test("outlives its namespace; a virtual one does not", () => {
    expect(isPhysical(saved)).toBe(true);
    expect(isPhysical({ ...link, kind: "veth", parentDevice: "" })).toBe(false);
  });
});

describe("a virtual device", () => {
  const veth: Link = { ...link, kind: "veth", parent: 6, parentDevice: "", permanentMac: "" };
  const marked = { ...snapshotLink(veth), mark: 4711 };

  test("is the one with its mark, whatever else it is called", () => {
    const seen = { ...veth, index: 3, name: "x", mac: "02:00:00:00:00:99", alias: "eth9" };
    expect(judged(seen, marked, "net1", { marks: { 3: 4711 } })).toBe("same");
    expect(findDevice(view([seen], { marks: { 3: 4711 } }), marked, "net1")).toEqual({ link: seen });
  });

  test("is not another device with the same kind, name, alias, address, index and peer", () => {
    const seen = { ...veth, alias: "ens5" };
    expect(judged(seen, marked, "ens5", { marks: { 7: 4712 }, isHome: true, atHome: true })).toBe("other");
    expect(findDevice(view([seen], { marks: { 7: 4712 } }), marked, "ens5")).toBeUndefined();
  });

  test("is, in a pod, the veth whose other end on the host is the one that it was, also when marks are others", () => {
    const seen = { ...veth, name: "net1", mac: "02:00:00:00:00:99", linkNetnsid: 0 };
    const paired = { ...marked, parentOnHost: true, peerMark: 12 };
    const found = (of: Link, given: Given) => findDevice(view([of], { marks: {}, ...given }), paired, "net1");
    expect(found(seen, { peers: { 6: 12 }, atHome: true })).toEqual({ link: seen });
    expect(found(seen, { peers: { 6: 13 }, atHome: true })).toBeUndefined();
    expect(found(seen, { peers: {}, atHome: true })).toBeUndefined();
    expect(found(seen, { peers: { 6: 12 } })).toBeUndefined();
    expect(found({ ...seen, parent: 5 }, { peers: { 6: 12 }, atHome: true })).toBeUndefined();
    expect(found({ ...seen, kind: "macvlan" }, { peers: { 6: 12 }, atHome: true })).toBeUndefined();
    expect(found({ ...seen, name: "x" }, { peers: { 6: 12 }, atHome: true })).toBeUndefined();
    expect(found(seen, { peers: { 6: 12 }, atHome: true, isHome: true })).toBeUndefined();
  });

  const unmarked = (kind: string, more: Partial<Link> = {}): [Link, LinkSnapshot] => {
    const seen: Link = { ...veth, kind, ...more };
    const saved = { ...snapshotLink(seen), parentOnHost: true };
    if (seen.vlan !== undefined) saved.vlan = seen.vlan;
    if (seen.mode !== undefined) saved.mode = seen.mode;
    return [{ ...seen, name: "x", mac: "02:00:00:00:00:99", index: 3 }, saved];
  };
  const VLAN = { vlan: { id: 100, protocol: 0x8100 } };

  test.each([
    ["a veth by its peer on the host", unmarked("veth")],
    ["a VLAN by its number and its parent on the host", unmarked("vlan", VLAN)],
    ["a passthru macvlan by its parent on the host", unmarked("macvlan", { mode: 8 })],
  ])("without a mark is known: %s", (_, [seen, saved]) => {
    expect(judged(seen, saved, "", { atHome: true })).toBe("same");
    expect(judged({ ...seen, parent: 5 }, saved, "x", { atHome: true })).toBe("other");
    // The peer or the parent has left the host, and its index there may be another one.
    expect(judged({ ...seen, parent: 5 }, saved, "x")).toBe("unclear");
    expect(judged(seen, saved, "net1")).toBe("other");
  });

  test.each([
    ["a dummy", unmarked("dummy", { parent: 0 })],
    ["a bridged macvlan, of which a parent may have many", unmarked("macvlan", { mode: 4 })],
    ["a VLAN whose number an older version did not record", unmarked("vlan")],
  ])("without a mark is doubted: %s", (_, [seen, saved]) => {
    const old = { ...saved, parentOnHost: saved.kind === "macvlan" };
    expect(judged(seen, old, "x", { atHome: true })).toBe("unclear");
    expect(judged(seen, old, "net1", { atHome: true })).toBe("other");
    expect(findDevice(view([seen], { atHome: true }), old, "x")).toEqual({ unclear: seen });
  });

  test("is not a VLAN with another number", () => {
    const [seen, saved] = unmarked("vlan", VLAN);
    const other = { ...seen, name: saved.name, mac: saved.mac, vlan: { id: 101, protocol: 0x8100 } };
    expect(judged(other, saved, "", { atHome: true, isHome: true })).toBe("other");
  });

  test("without a mark is known by its index on the host, and nowhere else", () => {
    const [seen, saved] = unmarked("dummy", { parent: 0 });
    const old = { ...saved, parentOnHost: false };
    expect(judged({ ...seen, index: 7 }, old, "", { isHome: true })).toBe("same");
    expect(judged({ ...seen, index: 7 }, old)).toBe("other");
  });

  // S06: one of the hints of old was enough.
  test.each([
    ["alias", { alias: "ens5" }],
    ["name", { name: "ens5" }],
    ["MAC", { mac: "02:00:00:00:00:01" }],
  ])("is not known by its %s", (_, change) => {
    const stranger: Link = { ...veth, index: 12, name: "x", mac: "02:00:00:00:00:99", ...change };
    expect(judged(stranger, snapshotLink(veth))).toBe("unclear");
    expect(judged(stranger, marked, "", { marks: { 12: 5 } })).toBe("other");
  });
});
