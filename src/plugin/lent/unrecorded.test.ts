// The table of evidence and the rules: what each rule decides, and what no rule may do with evidence that a pod can forge.
import { describe, expect, test } from "vitest";
import { decide, EVIDENCE, type Piece, RULES, type Subject, type Verdict } from "./unrecorded.ts";

type Says = Partial<Record<Piece, boolean>>;

function subject(of: Subject["of"], isInPod: boolean, says: Says): Subject {
  return { of, isInPod, says: (piece) => says[piece] };
}

const verdict = (of: Subject["of"], isInPod: boolean, says: Says): Verdict =>
  decide(subject(of, isInPod, says)).verdict;

const PIECES = Object.keys(EVIDENCE) as Piece[];
const forgedBy = (who: string): Piece[] => PIECES.filter((piece) => EVIDENCE[piece].forgedBy === who);

/** Every combination of what these pieces say. */
function* combinations(pieces: readonly Piece[], values: readonly (boolean | undefined)[]): Generator<Says> {
  const [first, ...rest] = pieces;
  if (first === undefined) {
    yield {};
    return;
  }
  for (const says of combinations(rest, values)) {
    for (const value of values) yield value === undefined ? says : { ...says, [first]: value };
  }
}

describe("a card in the pod", () => {
  const card = (says: Says): Verdict => verdict("card", true, says);
  test.each<[string, Says, Verdict]>([
    ["its place on the bus is enough", { bus: true }, "ours"],
    ["another place is not it, whatever the rest says", { bus: false, alias: true, lent: true, name: true }, "other"],
    ["its permanent address is enough", { permanent: true, alias: false }, "ours"],
    ["its alias, as Go writes it", { alias: true }, "ours"],
    ["the pod changed the alias, and an ADD is known", { alias: false, lent: true }, "ours"],
    ["libcni names another card", { permanent: false, mac: false, alias: false, lent: true }, "other"],
    ["a later pod has it", { permanent: true, alias: true, owner: true }, "another's"],
    ["the address in hwaddr is another", { address: false, lent: true }, "other"],
    ["nothing", {}, "other"],
  ])("%s", (_, says, expected) => expect(card(says)).toBe(expected));
});

describe("a virtual device in the pod", () => {
  const virtual = (says: Says): Verdict => verdict("virtual", true, says);
  const harmless = { byName: true, tied: true, name: true };
  test.each<[string, Says, Verdict]>([
    ["a record proves it", { record: true }, "ours"],
    ["its own pod has it", { ...harmless, record: false, stored: true, lent: true }, "other"],
    ["libcni's result", { ...harmless, stored: true, lent: true }, "ours"],
    ["the same, but it leads out of the pod", { byName: true, name: true, stored: true, lent: true }, "doubt"],
    ["a lease, and it is idle", { ...harmless, lent: true, idle: true, programs: false }, "ours"],
    ["a lease, and it carries something", { ...harmless, lent: true, idle: false, programs: false }, "doubt"],
    ["a lease, and the name is another program's", { ...harmless, lent: true, idle: true, programs: true }, "doubt"],
    ["nothing but what Go leaves", { ...harmless, alias: true, lent: false }, "doubt"],
    ["the same, and it is another's", { ...harmless, alias: true, lent: false, others: true }, "another's"],
    ["the pod renamed it, and nothing is known", { byName: true, tied: true, alias: true, lent: false }, "other"],
    ["the device is on the host", { ...harmless, onHost: true, stored: true, lent: true }, "other"],
    ["nothing", {}, "other"],
  ])("%s", (_, says, expected) => expect(virtual(says)).toBe(expected));
});

describe("in another namespace", () => {
  test.each<[string, Subject["of"], Says, Verdict]>([
    ["the card, by the bus", "card", { bus: true, lent: true }, "doubt"],
    ["the card, which a later pod got", "card", { permanent: true, lent: true, owner: true }, "another's"],
    ["a card with its alias and address", "card", { alias: true, mac: true, tied: true, lent: true }, "doubt"],
    ["a veth with its alias and address", "virtual", { alias: true, mac: true, tied: true, lent: true }, "doubt"],
    ["a veth with its alias and name", "virtual", { alias: true, name: true, tied: true, lent: true }, "doubt"],
    ["the same, which another pod has", "virtual", { alias: true, name: true, owner: true, lent: true }, "another's"],
    ["a veth that leads elsewhere", "virtual", { alias: true, mac: true, lent: true }, "other"],
    ["a card with its alias alone", "card", { alias: true, lent: true }, "other"],
    ["nothing tells of an ADD", "card", { bus: true, lent: false }, "other"],
  ])("%s", (_, of, says, expected) => expect(verdict(of, false, says)).toBe(expected));

  test("nothing is taken from there, whatever says so", () => {
    for (const of of ["card", "virtual"] as const) {
      for (const says of combinations(
        ["bus", "permanent", "alias", "mac", "tied", "lent", "stored", "record"],
        [true, undefined],
      ))
        expect(verdict(of, false, says)).not.toBe("ours");
    }
  });
});

describe("a file of sriov-cni", () => {
  test.each<[string, Says, Verdict]>([
    ["of this network", { state: true, bus: false }, "ours"],
    ["of another name, and of the same function", { state: false, bus: true }, "ours"],
    ["of another name, and DEL names no function", { state: false }, "ours"],
    ["of another name and function", { state: false, bus: false }, "another's"],
    ["an ADD of this network failed", { state: false, bus: true, refused: true }, "another's"],
  ])("%s", (_, says, expected) => expect(verdict("state", true, says)).toBe(expected));
});

describe("the table", () => {
  test("each piece is asked for by a rule, and each rule can decide", () => {
    const used = new Set(RULES.flatMap(({ all = {}, some = [] }) => [...(Object.keys(all) as Piece[]), ...some]));
    expect(PIECES.filter((piece) => !used.has(piece))).toEqual([]);
    for (const rule of RULES) {
      const [first] = rule.some ?? [];
      const says: Says = { ...rule.all, ...(first !== undefined && { [first]: true }) };
      const kinds = rule.of === undefined ? (["card", "virtual"] as const) : [rule.of];
      const decided = kinds.map((of) => decide(subject(of, rule.isInPod ?? true, says)).verdict);
      expect([rule.why, ...decided]).toContain(rule.verdict);
    }
  });

  test("what a pod can forge takes no virtual device out of it by itself", () => {
    for (const says of combinations(forgedBy("the pod"), [true, false, undefined]))
      expect(verdict("virtual", true, { ...says, byName: true, tied: true, idle: true, programs: false })).not.toBe(
        "ours",
      );
  });

  test("what a pod can forge never outweighs what it cannot", () => {
    for (const says of combinations(forgedBy("the pod"), [true, undefined])) {
      expect(verdict("card", true, { ...says, bus: false })).toBe("other");
      expect(verdict("card", true, { ...says, lent: true, owner: true })).toMatch(/^(another's|other)$/);
      expect(verdict("virtual", true, { ...says, lent: true, record: false })).toBe("other");
      expect(verdict("virtual", true, { ...says, lent: true, onHost: true })).toBe("other");
    }
  });
});
