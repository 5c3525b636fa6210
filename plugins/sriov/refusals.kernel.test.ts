// What drivers refuse, and when: each attribute with each errno that drivers answer with, at ADD and at DEL. The card is simulated, the
// state is on a disk of its own. For refusals of more than one attribute see refused-whole.kernel.test.ts.
import { readdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { snapshotLink } from "../../src/link/snapshot.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { failureCode } from "../../src/testing/calls.ts";
import { applyState, wantedState } from "./attributes.ts";
import type { SriovConfig } from "./config.schema.ts";
import { findVf } from "./device.ts";
import { readLeftover } from "./left.ts";
import { setMac } from "./mac.ts";
import { records } from "./record.ts";
import { restoreVf } from "./restore-vf.ts";
import { EOPNOTSUPP, type SimulatedCard } from "./testing/simulated-card.ts";
import { full, type Keys, leaveMachine, newCard, run, STATE, sysfs, VF } from "./testing/simulated-node.ts";

leaveMachine();

const EAGAIN = 11;
const EBUSY = 16;
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
  ["EINVAL", 22, false],
  ["EPERM", 1, false],
  ["EBUSY", EBUSY, true],
  ["EAGAIN", EAGAIN, true],
  ["EIO", 5, false],
  ["ENODEV", 19, false],
  ["ENOMEM", 12, false],
  ["ERANGE", 34, false],
  ["ETIMEDOUT", 110, false],
  // The kernel's own, which some drivers let through.
  ["ENOTSUPP", 524, false],
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

  test.each(attributes.slice(1))("%s, EBUSY until podnic has given up: an error that says which", (what) => {
    const before = structuredClone(card.vfs);
    refuse(what, EBUSY);
    // The PF is asked about the VF again when there is no more waiting.
    const asked = card.asked.length;
    card.unanswered = () => {
      if (card.asked.length > asked) recover();
      return [];
    };
    const named = what === "link_state" ? "linkState" : what;
    expect(() => run("ADD", every)).toThrow(new RegExp(`: ${named}: `));
    expect(card.vfs).toEqual(before);
  });

  test.each(attributes)("%s is accepted and ignored: undone, and an error that says so", (what) => {
    const before = structuredClone(card.vfs);
    card.deaf.add(what);
    expect(() => run("ADD", every)).toThrow(/accepted the value but did not apply it|different from requested/);
    expect(card.vfs).toEqual(before);
    expect(records().list()).toEqual([]);
  });
});

/** Errnos of a driver that applies the value and answers with an error all the same. */
const rashly = attributes.flatMap((what) => refusals.slice(0, 5).map(([name, errno]) => [what, name, errno] as const));

describe.each([
  ["its attributes are reported", []],
  ["spoofchk, trust and link_state are not", ["spoofchk", "trust", "linkState"]],
] as const)("a driver that applies what it refuses; %s", (_, silent) => {
  let before: typeof card.vfs;

  beforeEach(() => {
    for (const name of silent) card.vfs[1]![name] = undefined;
    // It reports them no more when they are set.
    if (silent.length > 0) for (const what of ["spoofchk", "trust", "link_state"]) card.deaf.add(what);
    before = structuredClone(card.vfs);
  });

  test.each(rashly)("%s, %s, at ADD: undone, and an error that says which", (what, _, errno) => {
    refuse(what, errno);
    if (!card.deaf.has(what)) for (const name of [what, `plain-${what}`]) card.rash.add(name);
    const named = what === "link_state" ? "linkState" : what;
    expect(() => run("ADD", every)).toThrow(new RegExp(`: ${named}: `));
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test.each(rashly)("%s, %s, at DEL: nothing is left", (what, _, errno) => {
    run("ADD", every);
    refuse(what, errno);
    for (const name of [what, `plain-${what}`]) card.rash.add(name);
    run("DEL", {});
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  });
});

describe("a driver that resets the VF with its address", () => {
  const reset: { [what: string]: (state: (typeof card.vfs)[number]) => void } = {
    vlan: (state) => Object.assign(state, { vlan: { id: 0, qos: 0, protocol: 0x8100 } }),
    rate: (state) => Object.assign(state, { minTxRate: 0, maxTxRate: 0 }),
    spoofchk: (state) => Object.assign(state, { spoofchk: true }),
    link_state: (state) => Object.assign(state, { linkState: 0 }),
    trust: (state) => Object.assign(state, { trust: false }),
  };
  let before: typeof card.vfs;

  beforeEach(() => {
    card.vfs[1] = { ...inForce, mac: "02:00:00:00:07:01", vlan: { id: 5, qos: 0, protocol: 0x8100 }, linkState: 2 };
    before = structuredClone(card.vfs);
  });

  test.each(Object.keys(reset))("%s: set once more, at ADD and at DEL", (what) => {
    card.onAdministrativeMac = (vf) => reset[what]!(card.vfs[vf]!);
    run("ADD", every);
    expect(card.vfs[1]).toEqual(inForce);
    run("DEL", {});
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test.each(Object.keys(reset))("%s, with an interface: set once more", (what) => {
    sysfs("igbvf");
    card.onAdministrativeMac = (vf) => reset[what]!(card.vfs[vf]!);
    const vf = findVf(route, VF);
    const link = getLink(route, 11)!;
    const saved = snapshotLink(link);
    const wanted = wantedState(every as SriovConfig & Keys, before[1]!);
    applyState(route, vf, wanted, before[1]!);
    setMac(route, vf, link, MAC, wanted);
    expect([card.interfaces.get(11)!.mac, card.vfs[1]]).toEqual([MAC, inForce]);
    restoreVf(ownNamespace(), VF, before[1], { link: getLink(route, 11)!, saved });
    expect([card.interfaces.get(11)!.mac, card.vfs[1]]).toEqual([saved.mac, before[1]]);
    expect(readLeftover(VF)).toBeUndefined();
  });

  test.each(Object.keys(reset))("%s, and does not take it any more: undone, and an error that says which", (what) => {
    card.vfs[1] = { ...card.vfs[1]!, spoofchk: true, trust: false };
    card.onAdministrativeMac = (vf) => {
      reset[what]!(card.vfs[vf]!);
      card.deaf.add(what);
    };
    const named = what === "link_state" ? "linkState" : what;
    expect(() => run("ADD", every)).toThrow(`: ${named}: the driver accepted the value but did not apply it`);
    expect(records().list()).toEqual([]);
  });

  test("and its address with the attribute: undone, and an error", () => {
    const trust = (): boolean => card.vfs[1]!.trust === true;
    card.vfs[1]!.trust = false;
    card.onAdministrativeMac = (vf) => reset.trust!(card.vfs[vf]!);
    card.refusals.trust = () => {
      if (!trust() && card.vfs[1]!.mac === MAC) card.vfs[1]!.mac = "02:00:00:00:07:01";
      return 0;
    };
    expect(() => run("ADD", every)).toThrow("different from requested");
    expect(card.vfs[1]).toEqual({ ...before[1], trust: false });
  });
});

const pairs = attributes.flatMap((what) => attributes.filter((other) => other !== what).map((other) => [what, other]));

describe("DEL", () => {
  test.each(pairs)("%s is refused until %s is what it was: tried again", (what, other) => {
    const before = structuredClone(card.vfs);
    run("ADD", every);
    const part = parts[other!]!;
    const isBack = (): boolean => JSON.stringify(part(card.vfs[1]!)) === JSON.stringify(part(before[1]!));
    for (const name of [what!, `plain-${what}`]) card.refusals[name] = () => (isBack() ? 0 : 1);
    run("DEL", {});
    expect(card.vfs).toEqual(before);
    expect(readLeftover(VF)).toBeUndefined();
  });

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
    recover();
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
