// What no card in the guest can do: the whole of ADD and DEL for a VF of a userspace driver, and the ladder of addresses, on a
// simulated card, with a made-up /sys and a state directory of its own.
import { execSync } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { O_PATH } from "../../src/host/constants.ts";
import { host } from "../../src/host/host.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { makeCall } from "../../src/testing/calls.ts";
import { findVf } from "./device.ts";
import { restoreMac, setMac } from "./mac.ts";
import { recordable, sriov } from "./plugin.ts";
import { records } from "./record.ts";
import { EADDRNOTAVAIL, EOPNOTSUPP, type SimulatedCard } from "./testing/simulated-card.ts";
import { full, LIVING, leaveMachine, newCard, PCI, PF, run, STATE, sysfs, VF } from "./testing/simulated-node.ts";

leaveMachine();

let card: SimulatedCard;
let route: RouteSocket;

beforeEach(() => {
  ({ card, route } = newCard());
});

describe("all attributes, on a card that takes them", () => {
  beforeEach(() => sysfs("vfio-pci"));

  test("are set in one request, in force, reported; DEL makes them what they were", () => {
    card.vfs[1] = { ...card.vfs[1]!, mac: "02:00:00:00:07:01", linkState: 2, minTxRate: 5, maxTxRate: 50 };
    const before = structuredClone(card.vfs);
    const result = run("ADD", { ...full, mac: "02:00:00:00:00:AA" });
    expect(card.vfs[1]).toEqual({
      vf: 1,
      mac: "02:00:00:00:00:aa",
      vlan: { id: 100, qos: 3, protocol: 0x88a8 },
      linkState: 1,
      spoofchk: false,
      trust: true,
      minTxRate: 100,
      maxTxRate: 400,
    });
    expect(card.vfs[0]).toEqual(before[0]);
    expect(result?.interfaces).toMatchObject([{ name: "eth0", mac: "02:00:00:00:00:aa", mtu: 1500, pciID: VF }]);
    const sets = card.kernel.sends.filter(([request]) => request!.type === 16);
    expect(sets.length).toBe(2);
    const state = JSON.parse(readFileSync(`${STATE}/dummy-eth0`, "utf8"));
    expect(state.OrigVfState).toMatchObject({
      HostIFName: "",
      AdminMAC: "02:00:00:00:07:01",
      LinkState: 2,
      MinTxRate: 5,
    });
    run("DEL", {});
    expect(card.vfs).toEqual(before);
    expect(readdirSync(STATE)).toEqual(["pci"]);
    run("DEL", {});
  });

  test("an ADD that was killed while it wrote the allocation leaves no file of it", () => {
    run("ADD", full);
    renameSync(`${STATE}/pci/${VF}`, `${STATE}/pci/.${VF}.tmp`);
    run("DEL", {});
    expect(readdirSync(`${STATE}/pci`)).toEqual(["vf_lock"]);
  });

  test.each(["vlan", "rate", "spoofchk", "link_state", "trust"])("a refusal of %s undoes the others", (what) => {
    const before = structuredClone(card.vfs);
    card.refusals[what] = EOPNOTSUPP;
    const named = what === "link_state" ? "linkState" : what;
    expect(() => run("ADD", full)).toThrow(`${named}: `);
    expect(card.vfs).toEqual(before);
    expect(readdirSync(STATE)).toEqual(["pci"]);
  });

  test.each(["vlan", "rate", "link_state"])("a driver that accepts %s and ignores it is found out", (what) => {
    const before = structuredClone(card.vfs);
    card.deaf.add(what);
    expect(() => run("ADD", full)).toThrow("accepted the value but did not apply it");
    expect(card.vfs).toEqual(before);
  });

  test("a driver that does not report spoofchk, trust and link state is believed, and not set back to what it never said", () => {
    card.vfs[1] = { ...card.vfs[1]!, spoofchk: undefined, trust: undefined, linkState: undefined };
    for (const what of ["spoofchk", "trust", "link_state"]) card.deaf.add(what);
    run("ADD", full);
    const asked = card.asked.length;
    run("DEL", {});
    expect(card.asked.slice(asked).filter((text) => /^(spoofchk|trust|link_state)/.test(text))).toEqual([]);
  });

  test("what operators always render asks nothing of a driver without VLANs", () => {
    card.refusals.vlan = EOPNOTSUPP;
    card.refusals["plain-vlan"] = EOPNOTSUPP;
    run("ADD", { vlan: 0, vlanQoS: 0, ipam: {} });
    run("DEL", {});
    expect(card.asked).toEqual([]);
  });

  test("802.1q on a driver that knows only the plain form", () => {
    card.refusals.vlan = EOPNOTSUPP;
    run("ADD", { vlan: 100, vlanQoS: 3 });
    expect(card.vfs[1]!.vlan).toEqual({ id: 100, qos: 3, protocol: 0x8100 });
    run("DEL", {});
    expect(card.vfs[1]!.vlan.id).toBe(0);
  });

  test("a VF has the address of its PF in the result (cases 19, 47)", () => {
    card.vfs[1]!.mac = "02:00:00:00:07:01";
    expect(run("ADD", {})?.interfaces).toMatchObject([{ mac: "02:00:00:00:07:01", mtu: 1500 }]);
  });

  test("a VF without an address of its PF has none in the result (case 20)", () => {
    expect(run("ADD", {})?.interfaces[0]?.mac).toBeUndefined();
  });
});

describe("what belongs to others stays", () => {
  beforeEach(() => sysfs("vfio-pci"));

  /** What sriov-cni writes for a VF of a driver of userspace that it took out of VLAN 7. */
  function bySriovCni(...attachments: string[]): void {
    mkdirSync(`${STATE}/pci/vf_lock`, { recursive: true });
    const state = { deviceID: VF, VFID: 1, name: "net1", vlan: 100, OrigVfState: { Vlan: 7, HostIFName: "" } };
    for (const name of attachments) writeFileSync(`${STATE}/${name}`, JSON.stringify(state));
    writeFileSync(`${STATE}/pci/${VF}`, LIVING);
    card.vfs[1]!.vlan.id = 100;
  }

  /** Changes to the card, and the files. */
  const picture = () => [[...card.asked], readdirSync(STATE).sort(), readdirSync(`${STATE}/pci`).sort()];

  test.each(["/var/lib/gone", ""])(
    "a late DEL of a pod of sriov-cni (CNI_NETNS %j): the allocation to the next pod",
    (netns) => {
      bySriovCni("c1-eth0", "c2-eth0");
      run("DEL", {}, { id: "c1" }, netns);
      expect(picture()).toEqual([[], ["c2-eth0", "pci"], [VF, "vf_lock"]]);
    },
  );

  test("DEL of another network with the same CNI_IFNAME, after its ADD had failed", () => {
    run("ADD", full, {}, LIVING);
    const before = picture();
    expect(() => run("ADD", { name: "other" }, {}, LIVING)).toThrow("already allocated");
    run("DEL", { name: "other" }, {}, LIVING);
    expect(picture()).toEqual(before);
    run("DEL", {}, {}, LIVING);
    bySriovCni("dummy-eth0");
    const taken = picture();
    expect(() => run("ADD", { name: "other" }, {}, LIVING)).toThrow("already allocated");
    run("DEL", { name: "other" }, {}, LIVING);
    expect(picture()).toEqual(taken);
    run("DEL", {}, {}, LIVING);
    expect(card.vfs[1]!.vlan.id).toBe(7);
  });

  test("DEL of the network under another name, without an ADD of that: sriov-cni's function is given back", () => {
    bySriovCni("dummy-eth0");
    run("DEL", { name: "other" }, {}, LIVING);
    expect(card.vfs[1]!.vlan.id).toBe(7);
    expect(picture().slice(1)).toEqual([["pci"], ["vf_lock"]]);
  });

  test("GC: an attachment that is valid and whose interface has a dash in its name", () => {
    const valid = [{ containerId: "dummy", ifName: "net-1" }];
    run("ADD", full, { ifName: "net-1" }, LIVING);
    const before = picture();
    run("GC", {}, { valid });
    expect(picture()).toEqual(before);
    run("DEL", {}, { ifName: "net-1" }, LIVING);
    bySriovCni("dummy-net-1");
    const taken = picture();
    run("GC", {}, { valid });
    expect(picture()).toEqual(taken);
    run("GC", {}, {});
    expect(card.vfs[1]!.vlan.id).toBe(7);
  });

  test("a second ADD of one attachment with another VF is refused, and the first VF comes back", () => {
    const before = structuredClone(card.vfs);
    run("ADD", full, {}, LIVING);
    expect(() => run("ADD", { ...full, deviceID: "0000:af:06.0" }, {}, LIVING)).toThrow("already");
    run("DEL", {}, {}, LIVING);
    expect(card.vfs).toEqual(before);
  });
});

test("a VF that lost its driver meanwhile is left to the next pod as it was", () => {
  sysfs("vfio-pci");
  const before = structuredClone(card.vfs);
  run("ADD", full);
  rmSync(`${PCI}/${VF}/driver`);
  run("DEL", {});
  expect(card.vfs).toEqual(before);
});

describe("addresses, as drivers take them", () => {
  const WANTED = "02:00:00:00:00:aa";
  const macs = () => [card.interfaces.get(11)!.mac, card.vfs[1]!.mac];

  /** Sets the address and restores it; both must work on this driver. */
  function there(): void {
    const vf = findVf(route, VF);
    const was = structuredClone(card.vfs[1]!);
    const before = macs();
    const link = setMac(route, vf, getLink(route, 11)!, WANTED);
    expect(macs()).toEqual([WANTED, WANTED]);
    expect(restoreMac(route, vf, link, was.mac, before[0]!, undefined).left).toEqual([]);
    expect(macs()).toEqual(before);
  }

  beforeEach(() => sysfs("iavf"));

  test("mlx5: both are set, neither follows the other", there);

  test("i40e with iavf: the VF has the new address some time after it said yes", () => {
    card.onInterfaceMac = (vf, mac) => {
      let looks = 0;
      const link = card.interfaces.get(10 + vf)!;
      const { mac: old } = link;
      Object.defineProperty(link, "mac", {
        configurable: true,
        get: () => (++looks > 3 ? mac : old),
        set: (value) => Object.defineProperty(link, "mac", { configurable: true, writable: true, value }),
      });
    };
    there();
  });

  test("igb: a pinned VF takes no address, not even its own, until the pin is off", () => {
    card.vfs[1]!.mac = "02:00:00:00:07:01";
    card.interfaces.get(11)!.mac = "02:00:00:00:07:01";
    card.onInterfaceMac = (vf, mac) => {
      if (card.vfs[vf]!.mac !== "00:00:00:00:00:00" && card.vfs[vf]!.mac !== mac) throw EADDRNOTAVAIL;
      card.interfaces.get(10 + vf)!.mac = mac;
    };
    there();
  });

  test("igb: an address that the VF has told its PF by itself is left there", () => {
    const vf = findVf(route, VF);
    const was = structuredClone(card.vfs[1]!);
    const link = getLink(route, 11)!;
    card.vfs[1]!.mac = link.mac;
    restoreMac(route, vf, link, was.mac, link.mac, undefined);
    expect(card.asked).toEqual([]);
  });

  test("a VF that takes its address from the PF alone, when it is opened", () => {
    card.onInterfaceMac = () => {
      throw EADDRNOTAVAIL;
    };
    card.onUp = (vf) => {
      card.interfaces.get(10 + vf)!.mac = card.vfs[vf]!.mac;
    };
    const vf = findVf(route, VF);
    setMac(route, vf, getLink(route, 11)!, WANTED);
    expect(macs()).toEqual([WANTED, WANTED]);
    expect(card.interfaces.get(11)!.flags).toBe(0);
  });

  test("the administrative address is put back although the driver does not take the interface's", () => {
    const vf = findVf(route, VF);
    const was = { ...structuredClone(card.vfs[1]!), mac: "02:00:00:00:07:01" };
    const link = setMac(route, vf, getLink(route, 11)!, WANTED);
    card.onInterfaceMac = () => {
      throw EADDRNOTAVAIL;
    };
    expect(restoreMac(route, vf, link, was.mac, "02:00:00:00:00:01", undefined).left).toEqual(["address"]);
    expect(macs()).toEqual([WANTED, was.mac]);
  });

  test("one that is never in force is an error that says which (cases 28, 30)", () => {
    const vf = findVf(route, VF);
    card.deaf.add("mac");
    expect(() => setMac(route, vf, getLink(route, 11)!, WANTED)).toThrow(
      "hardware mac address is different from requested one",
    );
    card.deaf.clear();
    card.onInterfaceMac = () => {};
    expect(() => setMac(route, vf, getLink(route, 11)!, "02:00:00:00:00:bb")).toThrow(
      "failed to set netlink MAC address",
    );
  });
});

test("before Linux 5.14, which does not say what a link is plugged into, a VF in a namespace that ends is waited for", () => {
  sysfs("iavf");
  mkdirSync("/sys/class/net/enp175s7", { recursive: true });
  symlinkSync(`../../../${VF}`, "/sys/class/net/enp175s7/device");
  const link = recordable(ownNamespace(), getLink(route, 11)!);
  const netns = { path: "/var/lib/gone", dev: 1, ino: 1 };
  const { attachment } = makeCall(sriov, "DEL", { cniVersion: "1.1.0", name: "net1", type: "sriov", deviceID: VF });
  records().write(attachment, { pci: VF, link, netns });
  card.interfaces.delete(11);
  rmSync(`${PCI}/${VF}/net/enp175s7`, { recursive: true });
  expect(() => run("DEL", {})).toThrow("is in a namespace that podnic cannot see");
  // What GC leaves, it says.
  expect(() => run("GC", {})).toThrow("is in a namespace that podnic cannot see");
  expect(records().list().length).toBe(1);
});

test.each(["", "{", "null", "[1]", '"text"'])(
  "a device-info file that is %j is left as it is, and ADD succeeds",
  (text) => {
    sysfs("vfio-pci");
    const directory = "/run/k8s.cni.cncf.io/devinfo/cni";
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/info`, text);
    const result = run("ADD", { runtimeConfig: { CNIDeviceInfoFile: `/var${directory}/info` } });
    expect(result?.interfaces).toMatchObject([{ pciID: VF }]);
    expect(readFileSync(`${directory}/info`, "utf8")).toBe(text);
  },
);

test.each([{ "pci-address": "0000:af:06.7" }, "0000:af:06.7", { "pci-address": 7 }])(
  "a device-info file about another device (%j) is left as it is",
  (pci) => {
    sysfs("vfio-pci");
    const directory = "/run/k8s.cni.cncf.io/devinfo/cni";
    mkdirSync(directory, { recursive: true });
    const text = JSON.stringify({ type: "pci", version: "1.1.0", pci });
    writeFileSync(`${directory}/victim`, text);
    const result = run("ADD", { runtimeConfig: { CNIDeviceInfoFile: `/var${directory}/victim` } });
    expect(result?.interfaces).toMatchObject([{ pciID: VF }]);
    expect(readFileSync(`${directory}/victim`, "utf8")).toBe(text);
  },
);

test("a device-info file is only where Multus keeps those of pods", () => {
  sysfs("vfio-pci");
  const path = "/var/run/k8s.cni.cncf.io/devinfo/dp/net-0000:af:06.1-device.json";
  expect(() => run("ADD", { runtimeConfig: { CNIDeviceInfoFile: path } })).toThrow("is outside");
});

test.each(["mkfifo", "mknod c", "ln -s"])(
  "what somebody planted as the device-info file (%s) is not opened",
  (kind) => {
    sysfs("vfio-pci");
    const directory = "/run/k8s.cni.cncf.io/devinfo/cni";
    mkdirSync(directory, { recursive: true });
    writeFileSync("/run/foreign", "{}", { mode: 0o600 });
    const make = { mkfifo: "mkfifo F", "mknod c": "mknod F c 1 3", "ln -s": "ln -s /run/foreign F" }[kind]!;
    execSync(`rm -f ${directory}/planted; ${make.replace("F", `${directory}/planted`)}`);
    const opens: string[] = [];
    const real = host.open.bind(host);
    const open = vi.spyOn(host, "open").mockImplementation((...how) => {
      const fd = real(...how);
      if ((how[1] & O_PATH) === 0) opens.push(readlinkSync(`/proc/self/fd/${fd}`));
      return fd;
    });
    try {
      expect(() => run("ADD", { runtimeConfig: { CNIDeviceInfoFile: `/var${directory}/planted` } })).toThrow();
    } finally {
      open.mockRestore();
    }
    expect(opens).toContain(directory);
    expect(opens.filter((path) => /planted|foreign/.test(path))).toEqual([]);
    expect(readFileSync("/run/foreign", "utf8")).toBe("{}");
  },
);

describe("discovery", () => {
  test("a virtio VF has its interface a level deeper", () => {
    sysfs("virtio-pci");
    expect(findVf(route, VF)).toMatchObject({ index: 1, pfPci: PF, pf: { name: "enp175s0f1" }, userspace: false });
  });

  test("in switchdev mode the PF is the uplink, not the first representor", () => {
    sysfs("mlx5_core");
    for (const [name, port] of [
      ["a_vf0", "pf0vf0"],
      ["enp175s0f1", "p0"],
    ] as const) {
      mkdirSync(`${PCI}/${PF}/net/${name}`, { recursive: true });
      mkdirSync(`/sys/class/net/${name}`, { recursive: true });
      writeFileSync(`/sys/class/net/${name}/phys_port_name`, `${port}\n`);
    }
    expect(findVf(route, VF).pf.name).toBe("enp175s0f1");
    rmSync(`${PCI}/${PF}/net/enp175s0f1`, { recursive: true });
    expect(() => findVf(route, VF)).toThrow(
      /physical function 0000:af:00.1 has no interface in this namespace \(.*physfn\/net\)/,
    );
  });

  test.each<[string, string, () => void, string]>([
    ["a VF that is gone", "0000:af:06.3", () => {}, `there is no ${PCI}/0000:af:06.3`],
    ["a PF", PF, () => {}, "physfn"],
    ["a VF without driver", VF, () => rmSync(`${PCI}/${VF}/driver`), "it has no driver"],
    [
      "a VF its PF does not list",
      VF,
      () => rmSync(`${PCI}/${PF}/virtfn1`),
      "no virtfn link of 0000:af:00.1 points to it",
    ],
  ])("of %s fails and says which file was missing", (_, pci, change, words) => {
    sysfs("iavf");
    change();
    expect(() => findVf(route, pci)).toThrow(words);
  });
});

test("the device-info file is where Multus looks for it, also where /var/run is no link to /run", () => {
  sysfs("vfio-pci");
  execSync("mount -t tmpfs -o mode=755 tmpfs /var; mkdir -p /var/lib /var/run/k8s.cni.cncf.io/devinfo/cni");
  try {
    const path = "/var/run/k8s.cni.cncf.io/devinfo/cni/own";
    const raw = { runtimeConfig: { CNIDeviceInfoFile: path } };
    run("ADD", raw);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ type: "pci", pci: { "pf-pci-address": PF } });
    const call = makeCall(sriov, "ADD", { cniVersion: "1.1.0", name: "net1", type: "sriov", deviceID: VF, ...raw });
    expect(sriov.writes!(call).map((place) => place.path)).toContain("/var/run/k8s.cni.cncf.io");
  } finally {
    execSync("umount -l /var");
  }
});
