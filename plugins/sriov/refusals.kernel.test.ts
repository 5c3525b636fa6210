// What drivers refuse, and when: each attribute with each errno that drivers answer with, at ADD and at DEL. The card is simulated, the
// state is on a disk of its own. For refusals of more than one attribute see refused-whole.kernel.test.ts.
import { readdirSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { failureCode } from "../../src/testing/calls.ts";
import { readLeftover } from "./left.ts";
import { records } from "./record.ts";
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

beforeEach(() => {
  ({ card } = newCard());
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

const pairs = attributes.flatMap((what) => attributes.filter((other) => other !== what).map((other) => [what, other]));

describe("DEL", () => {
  test.each(pairs.filter((pair) => !pair.includes("mac")))(
    "%s is refused until %s is what it was: tried again",
    (what, other) => {
      const before = structuredClone(card.vfs);
      run("ADD", every);
      const part = parts[other!]!;
      const isBack = (): boolean => JSON.stringify(part(card.vfs[1]!)) === JSON.stringify(part(before[1]!));
      for (const name of [what!, `plain-${what}`]) card.refusals[name] = () => (isBack() ? 0 : 1);
      run("DEL", {});
      expect(card.vfs).toEqual(before);
      expect(readLeftover(VF)).toBeUndefined();
    },
  );

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
