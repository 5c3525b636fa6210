// What drivers refuse, and when: each attribute with each errno that drivers answer with, at ADD and at DEL. The card is simulated, the
// state is on a disk of its own.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { failureCode } from "../../src/cni/testing.ts";
import { getLink } from "../../src/link/link.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { stateBefore } from "./attributes.ts";
import type { SriovConfig } from "./config.ts";
import { findVf, vfLink } from "./device.ts";
import { readLeftover } from "./left.ts";
import { restoreMac, setMac } from "./mac.ts";
import { records } from "./record.ts";
import { EOPNOTSUPP, type Interface, type SimulatedCard } from "./simulated-card.ts";
import { full, type Keys, leaveMachine, newCard, PCI, PF, run, STATE, sysfs, VF } from "./simulated-node.ts";

leaveMachine();

const EPERM = 1;
const EAGAIN = 11;
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

/** Of a VF, by the names that the card gives to requests. */
const parts: Record<string, (state: (typeof card.vfs)[number]) => unknown> = {
  mac: (state) => state.mac,
  vlan: (state) => state.vlan,
  rate: (state) => [state.minTxRate, state.maxTxRate],
  spoofchk: (state) => state.spoofchk,
  link_state: (state) => state.linkState,
  trust: (state) => state.trust,
};
const attributes = Object.keys(parts);

/** Errnos that drivers answer with, and whether the call may wait for them to pass. */
const refusals: [name: string, errno: number, passing: boolean][] = [
  ["EOPNOTSUPP", EOPNOTSUPP, false],
  ["EINVAL", EINVAL, false],
  ["EPERM", EPERM, false],
  ["EBUSY", EBUSY, true],
  ["EAGAIN", EAGAIN, true],
];
const matrix = attributes.flatMap((what) => refusals.map((refusal) => [what, ...refusal] as const));

describe("ADD", () => {
  test.each(matrix)("%s, always %s: undone, and an error that says which", (what, _, errno, passing) => {
    const before = structuredClone(card.vfs);
    refuse(what, errno);
    const named = what === "link_state" ? "linkState" : what;
    expect(() => run("ADD", every)).toThrow(named);
    expect(failureCode(() => run("ADD", every)) === TRY_AGAIN).toBe(passing);
    expect(card.vfs).toEqual(before);
    expect(records().list()).toEqual([]);
    expect(readdirSync(STATE)).toEqual(["pci"]);
  });

  test.each(attributes.flatMap((what) => [[what, "EBUSY", EBUSY] as const, [what, "EAGAIN", EAGAIN] as const]))(
    "%s, %s three times: repeated until it is in force",
    (what, _, errno) => {
      refuse(what, errno, 3);
      run("ADD", every);
      expect(card.vfs[1]).toEqual(inForce);
    },
  );

  test.each(attributes)("%s is accepted and ignored: undone, and an error that says so", (what) => {
    const before = structuredClone(card.vfs);
    card.deaf.add(what);
    expect(() => run("ADD", every)).toThrow(/accepted and is not in force|different from requested/);
    expect(card.vfs).toEqual(before);
    expect(records().list()).toEqual([]);
  });
});

describe("DEL", () => {
  /** All but the refused attribute are what they were, nothing holds the VF, and the next pod gets what it asks for. */
  function endsAllTheSame(what: string, before: typeof card.vfs, refused: boolean): void {
    run("DEL", {});
    for (const [name, part] of Object.entries(parts)) {
      const expected = refused && name === what ? part(inForce) : part(before[1]!);
      expect([name, part(card.vfs[1]!)]).toEqual([name, expected]);
    }
    expect(card.vfs[0]).toEqual(before[0]);
    expect(records().list()).toEqual([]);
    expect(readdirSync(STATE)).toEqual(["pci"]);
    run("DEL", {});
    expect(readLeftover(VF)?.left).toEqual(refused ? [what === "link_state" ? "linkState" : what] : undefined);
    for (const refused of Object.keys(card.refusals)) delete card.refusals[refused];
    card.deaf.clear();
    run("ADD", { vlan: 7, mac: "02:00:00:00:00:bb" }, { id: "next" });
    const wanted = { mac: "02:00:00:00:00:bb", vlan: { id: 7, qos: 0, protocol: 0x8100 } };
    expect(card.vfs[1]).toEqual({ ...before[1], ...wanted });
    run("DEL", {}, { id: "next" });
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  }

  test.each(matrix)("%s, always %s: ends, with the others put back", (what, _, errno) => {
    const before = structuredClone(card.vfs);
    run("ADD", every);
    refuse(what, errno);
    endsAllTheSame(what, before, true);
  });

  test.each(attributes.flatMap((what) => [[what, "EBUSY", EBUSY] as const, [what, "EAGAIN", EAGAIN] as const]))(
    "%s, %s three times: repeated until it is back",
    (what, _, errno) => {
      const before = structuredClone(card.vfs);
      run("ADD", every);
      refuse(what, errno, 3);
      endsAllTheSame(what, before, false);
    },
  );

  test.each(attributes)("%s is accepted and ignored: ends, with the others put back", (what) => {
    const before = structuredClone(card.vfs);
    run("ADD", every);
    card.deaf.add(what);
    endsAllTheSame(what, before, true);
  });
});

describe("a driver that takes no address off (octeontx2, hinic)", () => {
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
    expect(restoreMac(route, vf, link, was.mac, own, undefined)).toEqual([]);
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

  test.each(silences)("%s: what every VF is at first asks nothing of it", (_, silence) => {
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

  test("it leaves the VF out of an answer while that is reset: asked again", () => {
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
  test("one that rules the other out switches that off, as with sriov-cni", () => {
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

  test("no limit, on a driver that reports the port's speed for it (qed)", () => {
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
    expect(() => run("ADD", keys)).toThrow("accepted and is not in force");
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

  test("the VF's interface is the one on its PCI address", () => {
    sysfs("iavf");
    exchange("enp175s7", [10, 11], ["0000:af:06.0", VF]);
    expect(vfLink(route, VF)).toMatchObject({ index: 11, name: "enp175s6" });
  });

  test("so is the PF's", () => {
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
  test("takes its address when that has passed", () => {
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

describe("what is left is tried again by the next ADD", () => {
  test("a PF that was away at DEL (in another namespace)", () => {
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
