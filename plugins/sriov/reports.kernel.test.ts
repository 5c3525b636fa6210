// Reports from the field that no card in the guest can give: drivers that take no address off, PFs that say nothing of their VFs or are away,
// names that udev exchanges, state that is not true any more. The card is simulated.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { registerPlugins } from "../../src/cni/registry.ts";
import { host } from "../../src/host/host.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { snapshotLink } from "../../src/link/snapshot.ts";
import type { VfState } from "../../src/link/vf.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { homeOf } from "../../src/plugin/lent/lender.ts";
import { failureCode } from "../../src/testing/calls.ts";
import { hostLocal } from "../host-local/plugin.ts";
import { stateBefore } from "./attributes.ts";
import type { SriovConfig } from "./config.schema.ts";
import { findVf, vfLink } from "./device.ts";
import { readLeftover } from "./left.ts";
import { restoreMac, setMac } from "./mac.ts";
import { records } from "./record.ts";
import { allocatedTo } from "./reference.ts";
import { restoreVf, settle } from "./restore-vf.ts";
import type { Interface, SimulatedCard } from "./testing/simulated-card.ts";
import {
  full,
  type Keys,
  LIVING,
  leaveMachine,
  newCard,
  PCI,
  PF,
  run,
  STATE,
  sysfs,
  VF,
} from "./testing/simulated-node.ts";

leaveMachine();

const EPERM = 1;
const EBUSY = 16;
const EINVAL = 22;
const EMSGSIZE = 90;
const MAC = "02:00:00:00:00:aa";
const every: Keys = { ...full, mac: MAC };
const inForce = {
  vf: 1,
  mac: MAC,
  vlan: { id: 100, qos: 3, protocol: 0x88a8 },
  linkState: 1,
  spoofchk: false,
  trust: true,
  minTxRate: 100,
  maxTxRate: 400,
};
const TRY_AGAIN = 11;

let card: SimulatedCard;
let route: RouteSocket;

beforeEach(() => {
  ({ card, route } = newCard());
  sysfs("vfio-pci");
});

/** Refuses this attribute so many times. */
function refuse(what: string, errno: number, times = Number.POSITIVE_INFINITY): void {
  let left = times;
  card.refusals[what] = () => (left-- > 0 ? errno : 0);
  // A driver without VLANs knows neither form.
  if (what === "vlan") card.refusals["plain-vlan"] = card.refusals.vlan!;
}

function recover(): void {
  for (const name of Object.keys(card.refusals)) delete card.refusals[name];
}

describe("a driver that refuses to reset an address (octeontx2, hinic)", () => {
  beforeEach(() => {
    card.refusals.mac = ([mac]) => (mac === "00:00:00:00:00:00" ? EINVAL : 0);
  });

  test("DEL ends, and the next pod sets its own", () => {
    run("ADD", { mac: MAC, vlan: 100 });
    run("DEL", {});
    expect(card.vfs[1]).toMatchObject({ mac: MAC, vlan: { id: 0 } });
    run("ADD", { mac: "02:00:00:00:00:bb" }, { id: "next" });
    expect(card.vfs[1]!.mac).toBe("02:00:00:00:00:bb");
  });

  test("with an interface: its own address is what stays pinned, not the pod's", () => {
    sysfs("octeontx2-nicvf");
    const vf = findVf(route, VF);
    const was = structuredClone(card.vfs[1]!);
    const own = card.interfaces.get(11)!.mac;
    const link = setMac(route, vf, getLink(route, 11)!, MAC);
    expect(restoreMac(route, vf, link, was.mac, own, undefined).left).toEqual([]);
    expect([card.interfaces.get(11)!.mac, card.vfs[1]!.mac]).toEqual([own, own]);
  });
});

describe("a PF that says nothing of its VFs", () => {
  const neutral: Keys = { vlan: 0, vlanQoS: 0, spoofchk: "off", trust: "off", link_state: "auto", max_tx_rate: 0 };
  const silences: [string, () => undefined][] = [
    ["its driver has no VF attributes (virtio-net, ena)", () => undefined],
    [
      "the kernel cannot list them (EMSGSIZE, InfiniBand)",
      () => {
        throw EMSGSIZE;
      },
    ],
  ];

  test.each(silences)("%s: default values cause no request", (_, silence) => {
    card.unanswered = silence;
    for (const keys of [{}, { vlan: 0 }, neutral]) {
      run("ADD", keys);
      run("CHECK", keys);
      run("DEL", {});
    }
    expect(card.asked).toEqual([]);
    expect(records().list()).toEqual([]);
  });

  test.each(silences)("%s: more is refused, before anything is touched", (_, silence) => {
    card.unanswered = silence;
    for (const keys of [
      { vlan: 5 },
      { trust: "on" },
      { spoofchk: "on" },
      { link_state: "enable" },
      { min_tx_rate: 1 },
      { mac: MAC },
    ]) {
      expect(() => run("ADD", keys)).toThrow("enp175s0f1 does not report VF 1 (0000:af:06.1)");
    }
    expect(card.asked).toEqual([]);
    expect(records().list()).toEqual([]);
  });

  test("the address that the VF has already asks nothing either", () => {
    sysfs("virtio-pci");
    card.unanswered = () => undefined;
    const vf = findVf(route, VF);
    const has = card.interfaces.get(11)!.mac;
    expect(stateBefore(route, vf, { vlan: 0 } as SriovConfig, { wanted: has, has })).toBeUndefined();
    expect(() => stateBefore(route, vf, {} as SriovConfig, { wanted: MAC, has })).toThrow("does not report");
  });

  test("a VF that is missing from a reply during its reset is queried again", () => {
    let answers = 0;
    card.unanswered = () => (++answers % 3 === 1 ? [1] : []);
    run("ADD", every);
    expect(card.vfs[1]).toEqual(inForce);
    run("DEL", {});
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 0 }, trust: false });
  });

  test("it leaves the VF out for good: that is in doubt, also for what every VF is at first", () => {
    card.unanswered = () => [1];
    expect(failureCode(() => run("ADD", { vlan: 0 }))).toBe(TRY_AGAIN);
    run("ADD", {});
    run("DEL", {});
  });
});

describe("rates", () => {
  test("a rate that excludes the other one resets it, as with sriov-cni", () => {
    card.vfs[1]!.minTxRate = 100;
    run("ADD", { max_tx_rate: 50 });
    expect(card.vfs[1]).toMatchObject({ minTxRate: 0, maxTxRate: 50 });
    run("DEL", {});
    expect(card.vfs[1]).toMatchObject({ minTxRate: 100, maxTxRate: 0 });
    Object.assign(card.vfs[1]!, { minTxRate: 0, maxTxRate: 50 });
    run("ADD", { min_tx_rate: 60 });
    expect(card.vfs[1]).toMatchObject({ minTxRate: 60, maxTxRate: 0 });
  });

  test("one that goes with the other keeps it", () => {
    Object.assign(card.vfs[1]!, { minTxRate: 20, maxTxRate: 50 });
    run("ADD", { max_tx_rate: 40 });
    expect(card.vfs[1]).toMatchObject({ minTxRate: 20, maxTxRate: 40 });
  });

  test("no limit, with a driver that reports the port's speed instead (qed)", () => {
    mkdirSync("/sys/class/net/enp175s0f1", { recursive: true });
    writeFileSync("/sys/class/net/enp175s0f1/speed", "25000\n");
    card.vfs[1]!.maxTxRate = 25_000;
    card.deaf.add("rate");
    const keys = { max_tx_rate: 0 };
    run("ADD", keys);
    run("CHECK", keys);
    run("DEL", {});
    expect(card.asked).toEqual([]);
    card.vfs[1]!.maxTxRate = 500;
    expect(() => run("ADD", keys)).toThrow("accepted the value but did not apply it");
  });
});

test("a VLAN of the other protocol is another VLAN (802.1Q, 802.1ad)", () => {
  card.vfs[1]!.vlan = { id: 100, qos: 3, protocol: 0x8100 };
  const keys = { vlan: 100, vlanQoS: 3, vlanProto: "802.1ad" };
  run("ADD", keys);
  expect(card.vfs[1]!.vlan).toEqual({ id: 100, qos: 3, protocol: 0x88a8 });
  card.vfs[1]!.vlan.protocol = 0x8100;
  expect(() => run("CHECK", keys)).toThrow("vlan of VF 1");
  card.vfs[1]!.vlan.protocol = 0x88a8;
  run("DEL", {});
  expect(card.vfs[1]!.vlan).toEqual({ id: 100, qos: 3, protocol: 0x8100 });
});

describe("names that udev exchanges while we look", () => {
  /** Between the answer of sysfs and the kernel's: `name` of the first question about it goes to another link. */
  function exchange(name: string, indexes: [number, number], directories: [string, string]): void {
    for (const [n, pci] of ["0000:af:06.0", VF].entries()) card.interfaces.get(10 + n)!.parent = pci;
    card.interfaces.get(1)!.parent = PF;
    card.onQuestion = (asked) => {
      if (asked !== name) return;
      card.onQuestion = () => {};
      const [a, b] = indexes.map((index) => card.interfaces.get(index)!) as [Interface, Interface];
      [a.name, b.name] = [b.name, a.name];
      const [here, there] = directories.map((pci) => `${PCI}/${pci}/net`) as [string, string];
      renameSync(here, `${here}.aside`);
      renameSync(there, here);
      renameSync(`${here}.aside`, there);
    };
  }

  test("the VF's interface is the one at its PCI address", () => {
    sysfs("iavf");
    exchange("enp175s7", [10, 11], ["0000:af:06.0", VF]);
    expect(vfLink(route, VF)).toMatchObject({ index: 11, name: "enp175s6" });
  });

  test("the PF's interface is the one at its PCI address", () => {
    sysfs("iavf");
    exchange("enp175s0f1", [1, 10], [PF, "0000:af:06.0"]);
    expect(findVf(route, VF).pf).toMatchObject({ index: 1, name: "enp175s6" });
  });

  test("a name that leads elsewhere each time is an error, not another's interface", () => {
    sysfs("iavf");
    card.interfaces.get(11)!.parent = "0000:af:06.0";
    expect(failureCode(() => vfLink(route, VF))).toBe(TRY_AGAIN);
  });

  test("a virtio function's is the one on its virtio device", () => {
    sysfs("virtio-pci");
    card.interfaces.get(11)!.parent = "virtio1";
    expect(vfLink(route, VF)?.index).toBe(11);
    card.interfaces.get(11)!.parent = "virtio0";
    expect(() => vfLink(route, VF)).toThrow("is being renamed");
  });
});

describe("an interface that is being reset (iavf: EBUSY)", () => {
  test("accepts its address after the reset", () => {
    sysfs("iavf");
    let busy = 3;
    card.onInterfaceMac = (vf, mac) => {
      if (busy-- > 0) throw EBUSY;
      card.interfaces.get(10 + vf)!.mac = mac;
    };
    const asked = card.asked.length;
    setMac(route, findVf(route, VF), getLink(route, 11)!, MAC);
    expect(card.interfaces.get(11)!.mac).toBe(MAC);
    // Not by the ladder, which takes the pin off.
    expect(card.asked.slice(asked)).toEqual([`mac ${MAC}`]);
  });
});

describe("DEL when the PF does not answer for the VF: one line in the log, which does not say that the driver refused a value", () => {
  const lines: string[] = [];
  const { write } = host;

  beforeEach(() => {
    lines.length = 0;
    host.write = (fd, data) => {
      if (fd !== 2) return write.call(host, fd, data);
      lines.push(host.decode(data));
      return data.length;
    };
    return () => Object.assign(host, { write });
  });

  test("it is in another namespace", () => {
    run("ADD", every);
    renameSync(`${PCI}/${PF}/net/enp175s0f1`, `${PCI}/${PF}/aside`);
    run("DEL", {});
    expect(lines).toEqual([expect.stringContaining("cannot restore the VF's attributes")]);
  });

  test("its driver leaves the VF out", () => {
    run("ADD", every);
    card.unanswered = () => [1];
    run("DEL", {});
    expect(lines).toEqual([expect.stringContaining("cannot read the VF's attributes")]);
  });
});

describe("what is left is tried again by the next ADD", () => {
  test("a PF that was in another namespace at DEL", () => {
    const before = structuredClone(card.vfs);
    run("ADD", every);
    renameSync(`${PCI}/${PF}/net/enp175s0f1`, `${PCI}/${PF}/aside`);
    run("DEL", {});
    expect(card.vfs[1]).toEqual(inForce);
    expect(records().list()).toEqual([]);
    expect(readLeftover(VF)?.left).toEqual(["attributes"]);
    renameSync(`${PCI}/${PF}/aside`, `${PCI}/${PF}/net/enp175s0f1`);
    run("ADD", {}, { id: "next" });
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test("what the driver still refuses stays left, and the pod has what it asks for", () => {
    run("ADD", every);
    refuse("trust", EPERM);
    run("DEL", {});
    run("ADD", { vlan: 7 }, { id: "next" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 7 }, trust: true, mac: "00:00:00:00:00:00" });
    run("DEL", {}, { id: "next" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 0 }, trust: true });
    expect(readLeftover(VF)?.left).toEqual(["trust"]);
  });

  test("an ADD that is refused leaves the file as it was", () => {
    run("ADD", every);
    refuse("trust", EPERM);
    run("DEL", {});
    const [file] = readdirSync("/var/lib/cni/podnic/sriov-left");
    const text = () => readFileSync(`/var/lib/cni/podnic/sriov-left/${file}`, "utf8");
    const before = text();
    refuse("vlan", EPERM);
    expect(() => run("ADD", { vlan: 7 }, { id: "next" })).toThrow();
    expect(text()).toBe(before);
  });

  const byHand: [what: string, change: Partial<VfState>][] = [
    ["mac", { mac: "02:00:00:00:00:77" }],
    ["vlan", { vlan: { id: 77, qos: 0, protocol: 0x8100 } }],
    ["rate", { minTxRate: 7, maxTxRate: 77 }],
    ["link_state", { linkState: 2 }],
  ];

  test.each(byHand)("but not %s, which somebody has set since", (what, change) => {
    run("ADD", every);
    refuse(what, EPERM);
    run("DEL", {});
    expect(readLeftover(VF)?.left.length).toBe(1);
    recover();
    card.vfs[1] = { ...card.vfs[1]!, ...change };
    const expected = structuredClone(card.vfs[1]);
    run("ADD", {}, { id: "next" });
    expect(card.vfs[1]).toEqual(expected);
    run("DEL", {}, { id: "next" });
    expect(card.vfs[1]).toEqual(expected);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test("of two that are left, the one that nobody has set since", () => {
    run("ADD", every);
    for (const what of ["vlan", "trust"]) refuse(what, EPERM);
    run("DEL", {});
    recover();
    card.vfs[1]!.vlan = { id: 77, qos: 0, protocol: 0x8100 };
    run("ADD", { link_state: "enable" }, { id: "next" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 77 }, trust: false, linkState: 1 });
    run("DEL", {}, { id: "next" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 77 }, trust: false, linkState: 0 });
  });

  test("what somebody has set since stays what the VF was, while the driver refuses another one", () => {
    run("ADD", every);
    for (const what of ["vlan", "trust"]) refuse(what, EPERM);
    run("DEL", {});
    recover();
    refuse("trust", EPERM);
    card.vfs[1]!.vlan = { id: 77, qos: 0, protocol: 0x8100 };
    run("ADD", { vlan: 7 }, { id: "next" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 7 }, trust: true });
    run("DEL", {}, { id: "next" });
    expect(readLeftover(VF)?.left).toEqual(["trust"]);
    recover();
    run("ADD", {}, { id: "last" });
    expect(card.vfs[1]).toMatchObject({ vlan: { id: 77 }, trust: false });
  });

  test("functions made anew: what they are at first stays", () => {
    run("ADD", { ...every, spoofchk: "on" });
    for (const what of ["vlan", "mac"]) refuse(what, EPERM);
    run("DEL", {});
    recover();
    card.vfs[1] = { ...card.vfs[1]!, mac: "02:00:00:00:00:11", vlan: { id: 0, qos: 0, protocol: 0x8100 } };
    card.asked.length = 0;
    run("ADD", {}, { id: "next" });
    expect(card.asked).toEqual([]);
  });

  test.each([
    ["its interface's address", true],
    ["the address on its PF", false],
  ])("but not %s, which somebody has set since", (_, below) => {
    sysfs("igbvf");
    const link = getLink(route, 11)!;
    const saved = snapshotLink(link);
    const before = structuredClone(card.vfs[1]!);
    card.interfaces.get(11)!.mac = MAC;
    card.vfs[1]!.mac = MAC;
    refuse("mac", EPERM);
    card.onInterfaceMac = () => {
      throw EPERM;
    };
    restoreVf(ownNamespace(), VF, before, { link: getLink(route, 11)!, saved });
    expect(readLeftover(VF)?.left.sort()).toEqual(["address", "interface", "mac"]);
    recover();
    card.onInterfaceMac = (vf, mac) => {
      card.interfaces.get(10 + vf)!.mac = mac;
    };
    const OTHER = "02:00:00:00:00:77";
    if (below) card.interfaces.get(11)!.mac = OTHER;
    else card.vfs[1]!.mac = OTHER;
    settle(route, findVf(route, VF));
    const expected = below ? [OTHER, before.mac] : [MAC, OTHER];
    expect([card.interfaces.get(11)!.mac, card.vfs[1]!.mac]).toEqual(expected);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test("an earlier boot's is none: the VFs were made anew", () => {
    run("ADD", every);
    refuse("trust", EPERM);
    run("DEL", {});
    const [file] = readdirSync("/var/lib/cni/podnic/sriov-left");
    const path = `/var/lib/cni/podnic/sriov-left/${file}`;
    const record = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...record, bootId: "earlier" }));
    card.asked.length = 0;
    run("ADD", {}, { id: "next" });
    expect(card.asked).toEqual([]);
  });
});

test("vfio-pci at ADD with a MAC, the kernel's driver at DEL: its interface has not the pod's address", () => {
  card.vfs[1]!.mac = "02:00:00:00:07:01";
  run("ADD", { mac: MAC });
  sysfs("igbvf");
  // What the driver found when it was bound.
  card.interfaces.get(11)!.mac = MAC;
  card.interfaces.get(11)!.parent = VF;
  run("DEL", {});
  expect([card.interfaces.get(11)!.mac, card.vfs[1]!.mac]).toEqual(["02:00:00:00:07:01", "02:00:00:00:07:01"]);
  expect(readLeftover(VF)).toBeUndefined();
});

test("its own driver at ADD, and vfio-pci afterwards (kata): CHECK looks at the PF's side, and not for the interface that a virtual machine has", () => {
  sysfs("vfio-pci");
  const netns = { path: LIVING, dev: 4, ino: 1 };
  const key = { network: "net1", containerId: "dummy", ifName: "eth0" };
  const link = { ...snapshotLink(getLink(route, "enp175s7")!), parentDevice: VF };
  records().write(key, { pci: VF, link, netns, state: structuredClone(card.vfs[1]!) }, homeOf(ownNamespace()));
  card.vfs[1]!.vlan = { id: 100, qos: 0, protocol: 0x8100 };
  run("CHECK", { vlan: 100 });
  card.vfs[1]!.vlan.id = 0;
  expect(() => run("CHECK", { vlan: 100 })).toThrow("vlan of VF 1");
  card.vfs[1]!.vlan.id = 100;
  sysfs("igbvf");
  expect(() => run("CHECK", { vlan: 100 })).toThrow("interface eth0 is not in the pod");
});

test("an MTU above the PF's is accepted with a warning in the log", () => {
  sysfs("igbvf");
  card.interfaces.get(11)!.parent = VF;
  const logOf = (mtu: number): string => {
    let text = "";
    const write = host.write.bind(host);
    host.write = (fd, data) => {
      if (fd !== 2) return write(fd, data);
      text += host.decode(data);
      return data.length;
    };
    try {
      run("ADD", { mtu });
    } finally {
      host.write = write;
      run("DEL", {});
    }
    return text;
  };
  const warning = `the card might drop frames, because mtu is above the PF's MTU device="${VF}" pf="enp175s0f1" mtu=1500`;
  expect(logOf(1501)).toContain(warning);
  expect(logOf(1500)).not.toContain("might drop frames");
});

describe("an outdated allocation file of sriov-cni", () => {
  const allocate = (path: string): void => {
    mkdirSync(`${STATE}/pci`, { recursive: true });
    writeFileSync(`${STATE}/pci/${VF}`, path);
  };

  test("it leads to the host's own namespace (a process number that was given again)", () => {
    allocate("/proc/self/ns/net");
    run("ADD", { vlan: 7 }, {}, LIVING);
    expect(card.vfs[1]!.vlan.id).toBe(7);
  });

  test("the VF's interface is on the host", () => {
    sysfs("iavf");
    allocate(LIVING);
    card.interfaces.get(11)!.parent = VF;
    expect(allocatedTo(VF)).toBeUndefined();
    // Nor is the path looked at then: it may be one that cannot be opened.
    symlinkSync("loop", `${STATE}/loop`);
    allocate(`${STATE}/loop`);
    expect(allocatedTo(VF)).toBeUndefined();
    allocate(LIVING);
    card.interfaces.delete(11);
    expect(allocatedTo(VF)).toBe(LIVING);
  });

  test("and one that may be true keeps the VF", () => {
    allocate(LIVING);
    expect(() => run("ADD", {})).toThrow("is already allocated");
  });
});

test("an error names a driver that creates no interface (vdpa, virtio_net not bound), not another namespace", () => {
  sysfs("virtio-pci");
  rmSync(`${PCI}/${VF}/virtio1/net`, { recursive: true });
  expect(() => run("ADD", {})).toThrow("its driver (virtio-pci) has not created an interface");
});

test("a state file of sriov-cni from before the boot is ignored: the VFs were made anew since", () => {
  mkdirSync(`${STATE}/pci/vf_lock`, { recursive: true });
  const state = { deviceID: VF, VFID: 1, name: "net1", vlan: 100, OrigVfState: { Vlan: 7, HostIFName: "" } };
  const write = (written: Date): void => {
    writeFileSync(`${STATE}/old-eth0`, JSON.stringify(state));
    utimesSync(`${STATE}/old-eth0`, written, written);
  };
  write(new Date("2001-01-01"));
  run("ADD", {});
  expect([card.asked, card.vfs[1]!.vlan.id]).toEqual([[], 0]);
  run("DEL", {});
  run("DEL", {}, { id: "old" }, "/var/lib/gone");
  expect([card.asked, readdirSync(STATE)]).toEqual([[], ["pci"]]);
  // One of this boot is what a pod left.
  write(new Date());
  run("ADD", {});
  expect(card.vfs[1]!.vlan.id).toBe(7);
});

describe("the pod's namespace is gone, and the VF's interface with it", () => {
  /** VF 1 is in VLAN 100 by an ADD, its interface nowhere to be seen, and ours the namespace with this number. */
  function vanished(cookie: string): void {
    sysfs("igbvf");
    Object.defineProperty(ownNamespace(), "cookie", { value: cookie.padStart(16, "0"), configurable: true });
    const link = { ...snapshotLink(getLink(route, "enp175s7")!), parentDevice: VF };
    const netns = { path: "/var/lib/gone", dev: 4, ino: 1 };
    const key = { network: "net1", containerId: "dummy", ifName: "eth0" };
    records().write(key, { pci: VF, link, netns, state: structuredClone(card.vfs[1]!) }, homeOf(ownNamespace()));
    card.vfs[1]!.vlan.id = 100;
    card.interfaces.delete(11);
  }

  test("on a node that is a container, it is now in the machine's namespace: the PF's side is restored, and DEL ends", () => {
    vanished("7");
    run("DEL", {}, {}, "/var/lib/gone");
    expect([card.vfs[1]!.vlan.id, records().list()]).toEqual([0, []]);
  });

  test("in the machine's initial namespace, it will return: DEL is to be repeated, and the record stays", () => {
    vanished("1");
    expect(failureCode(() => run("DEL", {}, {}, "/var/lib/gone"))).toBe(TRY_AGAIN);
    expect([card.vfs[1]!.vlan.id, records().list().length]).toEqual([100, 1]);
  });
});

describe("a state file of sriov-cni that cannot be read is not absent", () => {
  const state = `${STATE}/dummy-eth0`;
  const lease = "/var/lib/cni/networks/net1/198.51.100.2";
  const ipam = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] };

  beforeEach(() => {
    registerPlugins([hostLocal]);
    mkdirSync(STATE, { recursive: true });
    mkdirSync(dirname(lease), { recursive: true });
    writeFileSync(state, '{"deviceID": "0000:af:0');
    writeFileSync(lease, "dummy\r\neth0");
    // In the pod: without a directory in /sys of the host.
    card.interfaces.get(11)!.parent = VF;
  });

  const left = (): boolean[] => [state, lease].map(existsSync);

  test("DEL fails while the pod has the VF, and ends when it is on the host", () => {
    expect(failureCode(() => run("DEL", { ipam }, {}, LIVING))).toBe(TRY_AGAIN);
    expect(left()).toEqual([true, true]);
    sysfs("iavf");
    run("DEL", { ipam }, {}, LIVING);
    expect(left()).toEqual([false, false]);
  });

  test("DEL ends when the pod has nothing of the VF's place", () => {
    card.interfaces.get(11)!.parent = "0000:af:06.7";
    run("DEL", { ipam }, {}, LIVING);
    expect(left()).toEqual([false, false]);
  });

  test("GC keeps the lease of its attachment, and releases others", () => {
    const other = "/var/lib/cni/networks/net1/198.51.100.3";
    writeFileSync(other, "other\r\neth0");
    run("GC", { ipam });
    expect([...left(), existsSync(other)]).toEqual([true, true, false]);
    rmSync(state);
    run("GC", { ipam });
    expect(left()).toEqual([false, false]);
  });
});
