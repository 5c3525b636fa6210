// macvlan on a real kernel: made in the pod, known by its master, refused with a cause, deleted.
import { beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../errors.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import { deleteWithoutWaiting } from "../delete.ts";
import { getLink, type Link } from "../link.ts";
import { checkMaster, createUpper, findMaster, hostDeviceBelow, isMadeOn } from "../master.ts";
import { openNamespace } from "../namespace.ts";

const { own, pod } = enterSandbox();

beforeEach(() => {
  sh(`ip link del up0 2>/dev/null || true; ip -n pod link del net1 2>/dev/null || true
    ip link add up0 type veth peer name up0p; ip link set up0 up; ip link set up0p up`);
});

const make = (more = {}) =>
  createUpper(findMaster(own, "up0"), pod, { kind: "macvlan", name: "net1", mode: 4, ...more }, () => undefined);

function create(): Link {
  make();
  return getLink(pod.route, "net1")!;
}

/** The error as one text; "" when there was none. */
function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return `${error.message} | ${error.details}`;
    throw error;
  }
  return "";
}

describe("createUpper", () => {
  it("makes it in the pod, down, and never on the host", () => {
    const before = ipJson("link show").length;
    const link = create();
    expect([link.name, link.kind, link.mode, link.flags & 1]).toEqual(["net1", "macvlan", 4, 0]);
    expect(ipJson("-n pod link show net1")[0].linkinfo.info_data.mode).toBe("bridge");
    expect(ipJson("link show").length).toBe(before);
  });

  it("says what ADD needs of it, as the whole answer has it", () => {
    const index = 77_777;
    const wanted = { index, mtu: 1400, mac: "02:00:00:00:00:77" };
    expect(make(wanted)).toEqual({ ...wanted, bcqueuelen: undefined });
    expect(getLink(pod.route, index)).toMatchObject({ ...wanted, name: "net1" });
    sh("ip -n pod link del net1");
    expect(make({ bcqueuelen: 500 }).bcqueuelen).toBe(500);
  });

  it("although the host has a device of that name", () => {
    sh("ip link add net1 type veth peer name net1p");
    expect(create().kind).toBe("macvlan");
    expect(getLink(own.route, "net1")?.kind).toBe("veth");
    sh("ip link del net1");
  });

  it("leaves a device of that name in the pod alone", () => {
    sh("ip -n pod link add net1 type veth peer name other");
    expect(refusal(create)).toMatch(/net1.*already exists.*left unchanged/);
    expect(getLink(pod.route, "net1")?.kind).toBe("veth");
  });

  it("says that a bridge has the master", () => {
    sh("ip link add br0 type bridge; ip link set up0 master br0");
    expect(refusal(create)).toMatch(/is a port of a bridge/);
    sh("ip link del br0");
  });
});

describe("findMaster and checkMaster", () => {
  it("finds by name and by alternative name", () => {
    sh("ip link property add dev up0 altname uplink-of-rack-7");
    expect(findMaster(own, "uplink-of-rack-7").link.name).toBe("up0");
    expect(refusal(() => findMaster(own, "none0"))).toMatch(/"none0": Link not found/);
  });

  it("without a name takes the default route's device, or says that there is none", () => {
    expect(refusal(() => findMaster(own, ""))).toMatch(/no default route interface found/);
    sh("ip address add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.254");
    expect(findMaster(own, "").link.name).toBe("up0");
  });

  it("refuses one that is down, loopback, or too small", () => {
    const check = (name: string, mtu = 0) => refusal(() => checkMaster(findMaster(own, name), "macvlan", mtu));
    expect(check("up0", 1500)).toBe("");
    expect(check("up0", 1501)).toMatch(/invalid MTU 1501, must be \[0, master MTU\(1500\)\]/);
    expect(check("lo")).toMatch(/loopback/);
    sh("ip link set up0 down");
    expect(check("up0")).toMatch(/is down.*ip link set up0 up/);
  });
});

describe("isMadeOn", () => {
  it("knows the master on the host, and no other", () => {
    const link = create();
    sh("ip link add up9 type veth peer name up9p");
    expect(isMadeOn(link, findMaster(own, "up0"), pod)).toBe(true);
    expect(isMadeOn(link, findMaster(own, "up9"), pod)).toBe(false);
    sh("ip link del up9");
  });

  it("does not take a master in the pod for one of the same index on the host", () => {
    const index = findMaster(own, "up0").link.index;
    sh(`ip -n pod link add in0 index ${index} type veth peer name in0p
      ip -n pod link set in0 up; ip -n pod link add net1 link in0 type macvlan`);
    const link = getLink(pod.route, "net1")!;
    expect(isMadeOn(link, findMaster(own, "up0"), pod)).toBe(false);
    expect(isMadeOn(link, findMaster(pod, "in0"), pod)).toBe(true);
    sh("ip -n pod link del in0");
  });

  it("a macvlan on a macvlan is one on its master", () => {
    sh("ip link add mv0 link up0 type macvlan mode bridge; ip link set mv0 up");
    createUpper(findMaster(own, "mv0"), pod, { kind: "macvlan", name: "net1", mode: 4 }, () => undefined);
    const link = getLink(pod.route, "net1")!;
    expect(isMadeOn(link, findMaster(own, "mv0"), pod)).toBe(true);
    expect(isMadeOn(link, findMaster(own, "up0"), pod)).toBe(true);
  });

  // Not every kernel that this runs on has VLANs.
  it("a VLAN on a VLAN stands on it, and not beside it", () => {
    const vlan = (index: number, parent: number) => ({ ...findMaster(own, "up0").link, kind: "vlan", index, parent });
    const isOn = (parent: number) =>
      isMadeOn({ ...vlan(7, parent), linkNetnsid: undefined }, { link: vlan(6, 5), namespace: own }, own);
    expect([5, 6].map(isOn)).toEqual([false, true]);
  });
});

describe("isMadeOn compares a device together with its namespace", () => {
  /** Of `pod`, on a device of its own that has the index of up0. */
  function decoy() {
    const { index } = getLink(own.route, "up0")!;
    sh(`ip -n pod link del low 2>/dev/null || true; ip -n pod link add low index ${index} type veth peer name low2
      ip -n pod link add net1 link low type macvlan mode bridge`);
    return getLink(pod.route, "net1")!;
  }

  it.each(["up0", "mv0"])("%s of the host", (name) => {
    sh("ip link add mv0 link up0 type macvlan mode bridge");
    const link = decoy();
    expect(isMadeOn(link, findMaster(own, name), pod)).toBe(false);
    expect(isMadeOn(link, findMaster(pod, "low"), pod)).toBe(true);
  });

  it("a macvlan of the pod, whose own master is the host's", () => {
    sh("ip link add mv1 link up0 netns pod type macvlan mode bridge");
    const link = decoy();
    expect(isMadeOn(link, findMaster(pod, "mv1"), pod)).toBe(false);
    sh("ip -n pod link del net1; ip -n pod link add net1 link mv1 type macvlan mode bridge");
    expect(isMadeOn(getLink(pod.route, "net1")!, findMaster(pod, "mv1"), pod)).toBe(true);
    sh("ip -n pod link del mv1");
  });

  it("one that another pod's link is made on", () => {
    const { index } = getLink(own.route, "up0")!;
    sh(`ip netns add third; ip -n third link add low index ${index} type veth peer name low2
      ip -n third link add net1 link low netns pod type macvlan mode bridge`);
    const link = getLink(pod.route, "net1")!;
    expect(link.linkNetnsid).toBeDefined();
    expect(isMadeOn(link, findMaster(own, "up0"), pod)).toBe(false);
    const there = openNamespace("/run/netns/third")!;
    expect(isMadeOn(link, findMaster(there, "low"), pod)).toBe(true);
    sh("ip netns del third");
  });
});

describe("hostDeviceBelow", () => {
  it("is what the pod's macvlans are made on, and none for what the pod has for itself", () => {
    sh(`ip link add mv1 link up0 netns pod type macvlan mode bridge; ip -n pod link add link mv1 name mv2 type macvlan mode bridge
      ip -n pod link add own0 type veth peer name own1; ip -n pod link add mv3 link own0 type macvlan mode bridge`);
    const below = (name: string) => hostDeviceBelow(pod, getLink(pod.route, name)!)?.name;
    expect(["mv1", "mv2", "mv3", "own0"].map(below)).toEqual(["up0", "up0", undefined, undefined]);
    sh("for name in mv2 mv1 own0; do ip -n pod link del $name; done");
  });
});

it("deleteWithoutWaiting: gone when it returns, and no error when it was gone", () => {
  const { index } = create();
  deleteWithoutWaiting(pod, index);
  expect(getLink(pod.route, "net1")).toBeUndefined();
  deleteWithoutWaiting(pod, index);
});
