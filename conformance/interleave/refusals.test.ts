import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { pairs } from "./pairs.ts";
import { type Asked, chosenOf, refuse } from "./refusals.ts";

const BIN = "/usr/bin";
const FAULTS = ["flock", "rename"];
const asked = (more: Partial<Asked>): Asked => ({ bin: BIN, peer: BIN, pair: [], except: [], ...more });
const nothing = () => false;
const these =
  (...names: string[]) =>
  (name: string) =>
    names.includes(name);
const named = (name: string) => pairs.filter((pair) => pair.name === name);
/** Without the look at the plugins, which these do not need. */
const refused = (name: string, more: Partial<Asked>) => () =>
  refuse(
    asked(more),
    named(name).map((pair) => ({ ...pair, actors: pair.actors.map((actor) => withTrue(actor)) })),
    FAULTS,
    nothing,
  );
/** A program that is in /usr/bin. */
const withTrue = (actor: (typeof pairs)[number]["actors"][number]) =>
  "config" in actor ? { ...actor, config: { ...actor.config, type: "true", ipam: {} } } : actor;
const two = "host-local DEL, DEL";

describe("pairs", () => {
  test("are those whose name contains one text and not another", () => {
    expect(chosenOf(pairs, asked({ pair: [two] }))).toEqual(named(two));
    expect(chosenOf(pairs, asked({ except: ["host-local"] })).some(({ name }) => name.includes("host-local"))).toBe(
      false,
    );
  });
  test.each([{ pair: [two, "hostlocal"] }, { pair: [two], except: ["doktor"] }])(
    "a text that names none is refused, also beside one that does: %j",
    (more) => {
      expect(() => chosenOf(pairs, asked(more))).toThrow(
        /no pair is called (hostlocal|doktor); there are:\n {2}host-local/,
      );
    },
  );
  test("none left is refused", () => {
    expect(() => chosenOf(pairs, asked({ pair: [two], except: ["DEL"] }))).toThrow(/leaves no pair/);
  });
});

describe("what cannot be done is refused", () => {
  test.each(["garbage", "", "0;echo", "0:", "0:0,1", "0:-1,1", "0:5x,1", "0k,1", "0,,1", "0, 1", "0:1000000000", " 0"])(
    "no schedule: %j",
    (schedule) => {
      expect(refused(two, { schedule })).toThrow(/a schedule is like 0:17,1,0/);
    },
  );
  test("a schedule of more calls than the pair has", () => {
    expect(refused(two, { schedule: "5:1,0" })).toThrow(/0 to 1, and 5 is none/);
  });
  test("one that kills the Go plugin", () => {
    expect(refused("host-local DEL, Go DEL of one container", { schedule: "1:30k,0" })).toThrow(/kills the Go plugin/);
  });
  test("one with too many turns", () => {
    expect(refused(two, { schedule: Array(65).fill("0:1").join(",") })).toThrow(/64 turns/);
  });
  test("a fault that step.c does not know", () => {
    expect(refused(two, { fault: "nonsense" })).toThrow(/there are flock, rename/);
  });
  test("a directory without the plugins", () => {
    expect(() => refuse(asked({ bin: "/tmp" }), named(two), FAULTS, nothing)).toThrow("no program /tmp/host-local");
    const gc = named("gc --all, gc --all, one pod dead");
    expect(() => refuse(asked({ bin: "/nonexistent/cni" }), gc, FAULTS, nothing)).toThrow(
      "no program /nonexistent/podnic",
    );
  });
  test("a directory without the address plugin of a pair, or with files that cannot be executed", () => {
    const dir = mkdtempSync("/tmp/podnic-bin-");
    const of = () => refuse(asked({ bin: dir }), named("macvlan ADD, ADD"), FAULTS, nothing);
    try {
      writeFileSync(`${dir}/macvlan`, "", { mode: 0o755 });
      expect(of).toThrow("host-local: --bin");
      writeFileSync(`${dir}/host-local`, "", { mode: 0o644 });
      expect(of).toThrow("host-local: --bin");
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
  test("a directory that is given for the Go plugins and has none", () => {
    const withGo = named("host-local DEL, Go ADD").map((pair) => ({ ...pair, actors: [pair.actors[1]!] }));
    expect(() => refuse(asked({ peer: "/tmp" }), withGo, FAULTS, these("peer"))).toThrow("--peer is the directory");
    expect(() => refuse(asked({ peer: "/tmp" }), withGo, FAULTS, nothing)).not.toThrow();
    expect(() => refuse(asked({}), [], FAULTS, these("peer"))).toThrow("--peer has no effect");
  });
  test.each([
    ["seeded", "json"],
    ["seeded", "pair"],
    ["seeded", "fault"],
    ["schedule", "one"],
    ["schedule", "minutes"],
    ["all", "one"],
    ["all", "kill"],
  ])("--%s, with which --%s has no effect", (one, other) => {
    expect(() => refuse(asked({}), [], FAULTS, these(one, other))).toThrow(`--${other} has no effect with --${one}`);
    expect(() => refuse(asked({}), [], FAULTS, these(one))).not.toThrow();
  });
});

test("what can be done is not", () => {
  for (const schedule of ["0", "1,0", "0:17,1,0", "0:17k,1", "0:1,1:999k,0"]) refused(two, { schedule })();
  refused(two, { fault: "flock:networks/it's" })();
  refused("host-local DEL, Go DEL of one container", { schedule: "0:30k,1" })();
});
