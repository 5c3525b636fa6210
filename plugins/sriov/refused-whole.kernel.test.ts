// What a driver refuses altogether, or halfway: everything at once, its answer about the VF, the value that undoes what it took, the address
// of the VF's interface. DEL and GC always end, and soon. The card is simulated; refusals.kernel.test.ts has one attribute at a time.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { host } from "../../src/host/host.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { snapshotLink } from "../../src/link/snapshot.ts";
import type { VfState } from "../../src/link/vf.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { readLeftover } from "./left.ts";
import { records } from "./record.ts";
import { restoreVf } from "./restore-vf.ts";
import { EOPNOTSUPP, type SimulatedCard } from "./testing/simulated-card.ts";
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

const MAC = "02:00:00:00:00:aa";
const NONE = "00:00:00:00:00:00";
const every: Keys = { ...full, mac: MAC };
const attributes = ["mac", "vlan", "rate", "spoofchk", "link_state", "trust"];
const errnos: [name: string, errno: number][] = [
  ["EOPNOTSUPP", EOPNOTSUPP],
  ["EINVAL", 22],
  ["EPERM", 1],
  ["EBUSY", 16],
  ["EAGAIN", 11],
  ["EIO", 5],
  ["ENODEV", 19],
  ["ETIMEDOUT", 110],
];
/** Milliseconds that a call may wait in all for a driver that never answers. */
const SOON = 15_000;

let card: SimulatedCard;
let route: RouteSocket;
let before: VfState[];

beforeEach(() => {
  ({ card, route } = newCard());
  sysfs("vfio-pci");
  before = structuredClone(card.vfs);
});

const isNeutral = (value: unknown): boolean => value === 0 || value === NONE || value === "8100";

/** Refuses every value of these, or only those that mean "none". */
function refuse(names: readonly string[], errno: number, only: "all" | "none" = "all"): void {
  for (const name of names.includes("vlan") ? [...names, "plain-vlan"] : names)
    card.refusals[name] = (values) => (only === "all" || values.every(isNeutral) ? errno : 0);
}

function recover(): void {
  for (const name of Object.keys(card.refusals)) delete card.refusals[name];
  card.unanswered = () => [];
}

/** How long it took, by the clock that waiting goes by. */
function timed(body: () => void): number {
  const begin = host.monotonic();
  body();
  return host.monotonic() - begin;
}

/** Nothing holds the VF, and when the driver is well again, the next pod gets what it asks for and leaves the VF as it was at first. */
function isFree(): void {
  expect(records().list()).toEqual([]);
  expect(readdirSync(STATE)).toEqual(["pci"]);
  run("DEL", {});
  recover();
  run("ADD", { vlan: 7, mac: "02:00:00:00:00:bb" }, { id: "next" });
  const wanted = { mac: "02:00:00:00:00:bb", vlan: { id: 7, qos: 0, protocol: 0x8100 } };
  expect(card.vfs).toEqual([before[0], { ...before[1], ...wanted }]);
  run("DEL", {}, { id: "next" });
  expect(card.vfs).toEqual(before);
  expect(readLeftover(VF)).toBeUndefined();
}

describe.each(errnos)("%s", (_, errno) => {
  test("to everything, at ADD: undone", () => {
    refuse(attributes, errno);
    expect(timed(() => expect(() => run("ADD", every)).toThrow("failed to configure VF 1"))).toBeLessThan(SOON);
    expect(card.vfs).toEqual(before);
    isFree();
  });

  test("to everything, at DEL: ends", () => {
    run("ADD", every);
    refuse(attributes, errno);
    expect(timed(() => run("DEL", {}))).toBeLessThan(SOON);
    expect(readLeftover(VF)?.left.sort()).toEqual(["linkState", "mac", "rate", "spoofchk", "trust", "vlan"]);
    isFree();
  });

  test("to everything, at GC: ends", () => {
    run("ADD", every, {}, LIVING);
    refuse(attributes, errno);
    expect(timed(() => run("GC", {}))).toBeLessThan(SOON);
    isFree();
  });

  test("to the question about the VF, at ADD: undone", () => {
    card.unanswered = () => {
      throw errno;
    };
    expect(timed(() => expect(() => run("ADD", every)).toThrow())).toBeLessThan(SOON);
    expect(card.vfs).toEqual(before);
    isFree();
  });

  test("to the question about the VF, at DEL: ends", () => {
    run("ADD", every);
    card.unanswered = () => {
      throw errno;
    };
    expect(timed(() => run("DEL", {}))).toBeLessThan(SOON);
    expect(readLeftover(VF)?.left).toContain("attributes");
    isFree();
  });

  test.each(attributes)("to %s without a value, at DEL: ends", (what) => {
    run("ADD", every);
    refuse([what], errno, "none");
    expect(timed(() => run("DEL", {}))).toBeLessThan(SOON);
    isFree();
  });

  test("to trust at ADD, and to taking back what it took: undone as far as it goes, and free", () => {
    refuse(["trust"], errno);
    refuse(["vlan", "rate"], errno, "none");
    expect(timed(() => expect(() => run("ADD", every)).toThrow("trust"))).toBeLessThan(SOON);
    const { vlan, mac, spoofchk } = card.vfs[1]!;
    expect([vlan.id, mac, spoofchk]).toEqual([100, NONE, true]);
    expect(readLeftover(VF)?.left.sort()).toEqual(["rate", "vlan"]);
    isFree();
  });

  test.each(["its interface", "the PF", "both"])("to the address at DEL, %s: the rest is put back", (side) => {
    sysfs("igbvf");
    const link = getLink(route, 11)!;
    const saved = snapshotLink(link);
    Object.assign(card.interfaces.get(11)!, { mac: MAC, name: "eth0" });
    Object.assign(card.vfs[1]!, { mac: MAC, trust: true });
    if (side !== "its interface") refuse(["mac"], errno);
    if (side !== "the PF") {
      card.onInterfaceMac = () => {
        throw errno;
      };
    }
    mkdirSync(`${PCI}/${VF}/net/eth0`, { recursive: true });
    const home = { link: getLink(route, 11)!, saved };
    expect(timed(() => restoreVf(ownNamespace(), VF, before[1], home))).toBeLessThan(SOON);
    expect([card.interfaces.get(11)!.name, card.vfs[1]!.trust]).toEqual([saved.name, false]);
    const address = side === "the PF" ? saved.mac : MAC;
    expect(card.interfaces.get(11)!.mac).toBe(address);
    expect(readLeftover(VF)?.left.length).toBeGreaterThan(0);
  });
});

test("a PF that leaves the VF out of every answer, at DEL: ends", () => {
  run("ADD", every);
  card.unanswered = () => [1];
  expect(timed(() => run("DEL", {}))).toBeLessThan(SOON);
  expect(readLeftover(VF)?.left).toEqual(["attributes"]);
  isFree();
});

test("a PF that has no attributes any more (another driver), at DEL: ends", () => {
  run("ADD", every);
  card.unanswered = () => undefined;
  run("DEL", {});
  expect(readLeftover(VF)?.left).toEqual(["attributes"]);
  isFree();
});

test("a card that is gone with its VFs, at DEL: ends, and nothing is left", () => {
  run("ADD", every);
  for (const pci of [PF, VF]) rmSync(`${PCI}/${pci}`, { recursive: true });
  run("DEL", {});
  expect(records().list()).toEqual([]);
  expect(readLeftover(VF)).toBeUndefined();
});
