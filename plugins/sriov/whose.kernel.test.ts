// Whose a function is, and whose an address: across host-device and sriov, for functions with and without interface. The card is simulated.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { findHolders } from "../../src/cli/node/holders.ts";
import { Namespaces } from "../../src/cli/node/namespaces.ts";
import { host, SystemError } from "../../src/host/host.ts";
import { refuseAddressBelow } from "../../src/plugin/card-address.ts";
import { registerLenders } from "../../src/plugin/lent/lender.ts";
import { STATE_ROOT } from "../../src/state/record.ts";
import { makeCall } from "../../src/testing/calls.ts";
import { functionLender } from "../host-device/function.ts";
import { hostDevice } from "../host-device/plugin.ts";
import { hostDeviceLender } from "../host-device/record.ts";
import { sriovLender } from "./restore.ts";
import type { SimulatedCard } from "./testing/simulated-card.ts";
import { type Keys, LIVING, leaveMachine, newCard, PCI, run, sysfs, VF } from "./testing/simulated-node.ts";

leaveMachine();

const OTHER = "0000:af:06.0";
const MAC = "02:00:00:00:00:aa";
/** The interface that VF had. There is none such. */
const LINK = {
  ...{ name: "vf1", alias: "", altnames: [], index: 77, kind: "", parent: 0, parentDevice: VF, permanentMac: "" },
  ...{ mac: MAC, mtu: 1500, txqlen: 1000, up: false, promisc: false, allmulti: false },
};
let card: SimulatedCard;

beforeEach(() => {
  ({ card } = newCard());
  sysfs("vfio-pci");
  registerLenders([hostDeviceLender, sriovLender, functionLender]);
  rmSync("/var/lib/cni", { recursive: true, force: true });
});

function hostDeviceCall(command: "ADD" | "DEL" | "GC", pciBusID: string, id: string, netns = LIVING): void {
  const raw = { cniVersion: "1.1.0", name: "hd", type: "host-device", pciBusID };
  const call = { ...makeCall(hostDevice, command, raw, { id }), netns };
  if (command === "DEL") hostDevice.del(call);
  if (command === "GC") hostDevice.gc(call);
  if (command !== "ADD") return;
  try {
    hostDevice.add(call);
  } catch (error) {
    expect(call.transaction.rollback()).toEqual([]);
    throw error;
  }
}

const add = (id: string, keys: Keys, netns = LIVING) => run("ADD", keys, { id }, netns);

/** This process's own namespace: a record with it counts as that of a pod that is gone. */
const GONE = "/proc/self/ns/net";

describe("a function with a driver of userspace", () => {
  test("host-device gives it to one pod at a time; DEL releases it", () => {
    hostDeviceCall("ADD", VF, "b");
    expect(() => hostDeviceCall("ADD", VF, "a")).toThrow(/is held by container b/);
    expect(() => hostDeviceCall("ADD", VF, "b")).toThrow(/already on network hd/);
    hostDeviceCall("ADD", OTHER, "a");
    const holders = findHolders(Namespaces.find()).map(({ by, pci, key, life }) => [by, pci, key.containerId, life]);
    expect(holders.sort()).toEqual([
      ["host-device", OTHER, "a", "alive"],
      ["host-device", VF, "b", "alive"],
    ]);
    hostDeviceCall("DEL", VF, "b");
    hostDeviceCall("ADD", VF, "c");
    hostDeviceCall("DEL", VF, "b");
    expect(
      functionLender
        .store()
        .list()
        .map(({ key }) => key.containerId)
        .sort(),
    ).toEqual(["a", "c"]);
  });

  test("sriov changes nothing of one that host-device has given to another pod", () => {
    const before = structuredClone(card.vfs);
    hostDeviceCall("ADD", VF, "b");
    expect(() => add("a", { vlan: 77, mac: MAC })).toThrow(/is held by container b/);
    expect(card.vfs).toEqual(before);
    expect(card.asked).toEqual([]);
    hostDeviceCall("DEL", VF, "b");
    add("a", { vlan: 77, mac: MAC });
  });

  test("host-device does not give away one that sriov has given to another pod", () => {
    add("b", { vlan: 77 });
    expect(() => hostDeviceCall("ADD", VF, "a")).toThrow(/already allocated to container b/);
    run("DEL", {}, { id: "b" }, LIVING);
    hostDeviceCall("ADD", VF, "a");
  });

  test("what an attachment left whose pod is gone is taken over: its settings are undone first", () => {
    add("b", { vlan: 77 }, GONE);
    expect(card.vfs[1]!.vlan.id).toBe(77);
    hostDeviceCall("ADD", VF, "a");
    expect(card.vfs[1]!.vlan.id).toBe(0);
    hostDeviceCall("DEL", VF, "a");
    hostDeviceCall("ADD", VF, "c", GONE);
    add("d", {});
    expect(functionLender.store().list()).toEqual([]);
  });

  test("the search for what an attachment left is not done under the card's lock", () => {
    add("b", { vlan: 77 }, GONE);
    const store = sriovLender.store();
    const [record] = store.list();
    store.write(record!.key, { ...record!.data, link: LINK }, record!.home);
    const { open } = host;
    const free: boolean[] = [];
    const look = (path: string, ...rest: unknown[]) => {
      if (path === "/proc") free.push(spawnSync("flock", ["-n", `${STATE_ROOT}/card/${VF}.lock`, "true"]).status === 0);
      return (open as (...all: unknown[]) => number).call(host, path, ...rest);
    };
    Object.assign(host, { open: look });
    try {
      hostDeviceCall("ADD", VF, "a");
    } finally {
      Object.assign(host, { open });
    }
    expect(new Set(free)).toEqual(new Set([true]));
    expect(sriovLender.store().list()).toEqual([]);
  });

  test("GC releases what no valid attachment has", () => {
    hostDeviceCall("ADD", VF, "b");
    hostDeviceCall("GC", VF, "");
    expect(functionLender.store().list()).toEqual([]);
  });

  test("a program has its VFIO group open: both refuse, and change nothing", () => {
    const { open } = host;
    symlinkSync("../../../kernel/iommu_groups/7", `${PCI}/${VF}/iommu_group`);
    const busy = (path: string, ...rest: unknown[]) => {
      if (path === "/dev/vfio/7") throw new SystemError("open", 16, "EBUSY", path);
      return (open as (...all: unknown[]) => number).call(host, path, ...rest);
    };
    Object.assign(host, { open: busy });
    try {
      expect(() => hostDeviceCall("ADD", VF, "a")).toThrow(/is in use: a program has it open \(driver vfio-pci\)/);
      expect(() => add("a", { vlan: 77 })).toThrow(/is in use: a program has it open \(driver vfio-pci\)/);
      expect(card.asked).toEqual([]);
      hostDeviceCall("ADD", OTHER, "a");
    } finally {
      Object.assign(host, { open });
    }
  });

  test.each(["uio_pci_generic", "igb_uio", "pci-stub"])("%s: one pod at a time, whichever plugin gave it", (driver) => {
    sysfs(driver);
    hostDeviceCall("ADD", VF, "b");
    expect(() => hostDeviceCall("ADD", VF, "a")).toThrow(/is held by container b/);
    expect(() => add("a", { vlan: 77 })).toThrow(/is held by container b/);
    add("c", { deviceID: OTHER });
    expect(() => hostDeviceCall("ADD", OTHER, "a")).toThrow(/already allocated to container c/);
    hostDeviceCall("DEL", VF, "b");
    add("a", { vlan: 77 });
  });

  /** The command register, and how often the driver is open. */
  function use(command: number, users: string): void {
    writeFileSync(`${PCI}/${VF}/config`, Uint8Array.of(0x86, 0x80, 0xca, 0x10, command, 0));
    mkdirSync(`${PCI}/${VF}/driver/module`, { recursive: true });
    writeFileSync(`${PCI}/${VF}/driver/module/refcnt`, users);
  }

  test.each(["uio_pci_generic", "igb_uio", "vfio-pci"])(
    "%s without a file to ask: bus mastering tells of a program",
    (driver) => {
      sysfs(driver);
      const refused = new RegExp(`is in use: a program has it open .driver ${driver}`);
      use(6, "1\n");
      expect(() => hostDeviceCall("ADD", VF, "a")).toThrow(refused);
      expect(() => add("a", { vlan: 77 })).toThrow(refused);
      expect(card.asked).toEqual([]);
      // Another function is open, of the same driver.
      use(2, "1\n");
      hostDeviceCall("ADD", VF, "a");
      hostDeviceCall("DEL", VF, "a");
      // Left on by a program that has ended, as before Linux 5.4.
      use(6, "0\n");
      add("a", { vlan: 77 });
    },
  );

  test("one that sriov gave with an interface, and that is a virtual machine's since (Kata)", () => {
    add("b", { vlan: 77 });
    const store = sriovLender.store();
    const [record] = store.list();
    store.write(record!.key, { ...record!.data, link: LINK }, record!.home);
    rmSync("/var/lib/cni/sriov/pci", { recursive: true });
    expect(() => add("a", {})).toThrow(/already allocated to container b/);
  });
});

describe("a MAC address for a VF", () => {
  const PF_MAC = "02:00:00:00:00:ff";

  test.each([
    ["mac", { mac: PF_MAC }, ""],
    ["runtimeConfig", { runtimeConfig: { mac: PF_MAC } }, ""],
    ["args", { args: { cni: { mac: PF_MAC } } }, ""],
    ["CNI_ARGS", {}, `IgnoreUnknown=1;MAC=${PF_MAC}`],
  ])("the physical function's, by %s: refused before anything is touched", (_, keys, args) => {
    const before = structuredClone(card.vfs);
    expect(() => run("ADD", { vlan: 7, ...keys }, { id: "a", args }, LIVING)).toThrow(
      "belongs to the physical function enp175s0f1",
    );
    expect(card.vfs).toEqual(before);
    expect(card.asked).toEqual([]);
    expect(sriovLender.store().list()).toEqual([]);
  });

  test.each(["as the PF says", "of which the PF says nothing"])("that of another container's VF, %s", (how) => {
    add("b", { deviceID: OTHER, mac: MAC });
    if (how !== "as the PF says") card.vfs[0]!.mac = "00:00:00:00:00:00";
    const before = structuredClone(card.vfs);
    expect(() => add("a", { mac: MAC })).toThrow(/belongs to container b \(eth0, network net1\)/);
    expect(card.vfs).toEqual(before);
    run("DEL", { deviceID: OTHER }, { id: "b" }, LIVING);
    add("a", { mac: MAC });
  });

  test("that of a VF which another container has by host-device", () => {
    card.vfs[0]!.mac = MAC;
    hostDeviceCall("ADD", OTHER, "b");
    expect(() => add("a", { mac: MAC })).toThrow(/belongs to container b/);
  });

  test("that of a VF which nobody has, or whose pod is gone", () => {
    card.vfs[0]!.mac = MAC;
    add("a", { mac: MAC });
    run("DEL", {}, { id: "a" }, LIVING);
    card.vfs[0]!.mac = "00:00:00:00:00:00";
    add("b", { deviceID: OTHER, mac: MAC }, GONE);
    add("a", { mac: MAC });
  });

  test("two VFs of one container have one address: a bond in the pod", () => {
    add("a", { deviceID: OTHER, mac: MAC });
    run("ADD", { mac: MAC }, { id: "a", ifName: "net2" }, LIVING);
    expect(card.vfs.map(({ mac }) => mac)).toEqual([MAC, MAC]);
  });

  test("of an interface of the node that is up, and of one that is down", () => {
    card.interfaces.set(30, { name: "eth0.5", mac: MAC, flags: 1 });
    expect(() => add("a", { mac: MAC })).toThrow("belongs to eth0.5 on this node");
    card.interfaces.get(30)!.flags = 0;
    add("a", { mac: MAC });
  });

  test("of a VF that is up on the node, or in a namespace that nobody knows", () => {
    sysfs("igbvf");
    card.vfs[0]!.mac = MAC;
    card.interfaces.get(10)!.flags = 1;
    card.interfaces.get(10)!.mac = "02:00:00:00:00:01";
    expect(() => add("a", { mac: MAC })).toThrow(`virtual function ${OTHER}, which is up on this node (enp175s6)`);
    rmSync(`${PCI}/${OTHER}/net/enp175s6`, { recursive: true });
    expect(() => add("a", { mac: MAC })).toThrow(`virtual function ${OTHER}, which is in another namespace`);
  });

  test("for bridge, and for macvlan on a bridge or a bond: that of a VF of a card below", () => {
    for (const upper of ["enp175s0f1/upper_bond0", "bond0/upper_bond0.5", "bond0.5/upper_br0", "eth9/upper_br9"])
      mkdirSync(`/sys/class/net/${upper}`, { recursive: true });
    const refuse = (name: string, id: string, mac = MAC) => refuseAddressBelow(name, mac, { containerId: id });
    add("b", { mac: MAC });
    for (const name of ["br0", "bond0.5", "bond0"])
      expect(() => refuse(name, "a"), name).toThrow(/belongs to container b \(eth0, network net1\)/);
    refuse("br9", "a");
    refuse("br0", "b");
    refuse("br0", "a", "02:00:00:00:00:ab");
    run("DEL", {}, { id: "b" }, LIVING);
    refuse("br0", "a");
    add("b", { mac: MAC }, GONE);
    refuse("br0", "a");
  });

  /** Runs `body` when the record of container a is about to be there: its ADD has looked already. */
  function whileAddWrites(body: () => void, look: () => void): void {
    const { rename } = host;
    let runs = 0;
    Object.assign(host, {
      rename: (...all: Parameters<typeof rename>) => {
        if (String(all[1]).startsWith("net1:a:") && runs++ === 0) body();
        return rename.apply(host, all);
      },
    });
    try {
      look();
    } finally {
      Object.assign(host, { rename });
    }
    expect(runs).toBe(1);
  }

  test("two ADDs at one time: neither gets what the other one asks for", () => {
    whileAddWrites(
      () => add("b", { deviceID: OTHER, mac: MAC }),
      () => expect(() => add("a", { mac: MAC })).toThrow(/belongs to container b/),
    );
    expect(card.vfs.map(({ mac }) => mac)).toEqual([MAC, "00:00:00:00:00:00"]);
  });

  test("a record with it appears, whose VF is neither here nor in its pod: the search for that is no second ADD", () => {
    add("b", { deviceID: OTHER, mac: MAC });
    const store = sriovLender.store();
    const [record] = store.list();
    run("DEL", { deviceID: OTHER }, { id: "b" }, LIVING);
    const write = (): void => {
      store.write(record!.key, { ...record!.data, link: { ...LINK, parentDevice: OTHER } }, record!.home);
      rmSync(`${PCI}/${OTHER}/driver`);
    };
    whileAddWrites(write, () => add("a", { mac: MAC }));
  });

  test("a bridge over the PF that pins it to a port: before, and meanwhile", () => {
    mkdirSync("/sys/class/net/enp175s0f1/upper_br0", { recursive: true });
    card.interfaces.set(40, { name: "br0", mac: "02:00:00:00:00:40", flags: 1, kind: "bridge" });
    card.interfaces.set(41, { name: "veth1", mac: "02:00:00:00:00:41", flags: 1, alias: "podnic:br:b:eth0:-" });
    const pin = (): void => void card.pinned.push({ bridge: 40, port: 41, mac: MAC });
    const refused = (): void =>
      expect(() => add("a", { mac: MAC })).toThrow("belongs to port veth1 of bridge br0, to which it is pinned");
    const before = structuredClone(card.vfs);
    whileAddWrites(pin, refused);
    expect(card.vfs).toEqual(before);
    const { rename } = host;
    Object.assign(host, { rename: () => expect.unreachable("a record is written") });
    try {
      refused();
    } finally {
      Object.assign(host, { rename });
    }
    expect(card.asked).toEqual([]);
    add("b", { mac: MAC });
  });
});
