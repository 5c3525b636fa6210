import { describe, expect, test } from "vitest";
import { type Call, call, hostLocal, macvlan, wide } from "./calls.ts";
import { hopeless, untrue } from "./judge.ts";
import { foundLater, type Outcome, wholeResult } from "./world.ts";

const lease = (ip: string, container: string) =>
  `file /var/lib/cni/networks/net1/${ip} ${JSON.stringify(`${container}\r\neth0`)}`;
const outcome = (said: string[], left: string[]): Outcome => ({
  said,
  left,
  lost: [],
  logged: [],
  calls: [],
  turns: "",
  spoiled: 0,
});
const judged = (actors: readonly Call[], said: string[], left: string[], serial: Outcome[] = []) =>
  untrue({ actors }, outcome(said, left), serial);

describe("beside a call that was killed", () => {
  const two = [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)];
  const ok = "ok 198.51.100.11/24 | {}";

  test("an address that ADD printed has a lease of its container", () => {
    expect(judged(two, ["killed", ok], [lease("198.51.100.11", "ctr-2")])).toEqual([]);
    expect(judged(two, ["killed", ok], [lease("198.51.100.11", "ctr-1")])).toHaveLength(1);
    expect(judged(two, ["killed", ok], [])[0]).toContain("/net1/198.51.100.11");
  });
  test("a call that succeeds in each order still does", () => {
    const serial = [outcome([ok, ok], []), outcome([ok, ok], [])];
    expect(judged(two, ["killed", "error 11: locked"], [], serial)).toEqual(["actor 1 says: error 11: locked"]);
    expect(judged(two, ["killed", "error 11: locked"], [], [outcome([ok, "error 999: full"], [])])).toEqual([]);
  });
  test("a doctor that found something after it had cleaned up cleans that up when it is asked again", () => {
    const said = "failed: STATE\n\n0 errors, 1 warning; podnic doctor --fix can fix 1\n";
    expect(foundLater(said)).toBe(true);
    expect(foundLater("failed: STATE\n\n0 errors, 1 warning; podnic doctor --fix did not fix 1\n")).toBe(false);
    const killed = { ...outcome(["killed", said], []), again: [undefined, "ok"] };
    const serial = [outcome(["ok", "ok"], [])];
    const actors = [two[0]!, { podnic: ["doctor"] }];
    expect(untrue({ actors }, killed, serial)).toEqual([]);
    expect(untrue({ actors }, { ...killed, again: [undefined, said] }, serial)).toEqual([`actor 1 says: ${said}`]);
  });
  test("an ADD's interface is in its pod, with its address", () => {
    const actors = [call("ADD", macvlan(wide), 1), call("ADD", macvlan(wide), 2)];
    const left = [lease("198.51.100.11", "ctr-2"), "c2 eth0 mtu 1500 up 198.51.100.11/24"];
    expect(judged(actors, ["killed", ok], left)).toEqual([]);
    expect(judged(actors, ["killed", ok], [left[0]!, "c1 eth0 mtu 1500 up 198.51.100.11/24"])).toHaveLength(1);
    expect(judged(actors, ["killed", ok], [left[0]!, "c2 eth0 mtu 1500 up"])).toHaveLength(1);
  });
  test("a pod that takes no part keeps what it has", () => {
    const lost = [lease("198.51.100.39", "ctr-9")];
    expect(untrue({ actors: two }, { ...outcome(["killed", "killed"], []), lost }, [])).toEqual([
      `a bystander is without ${lost[0]}`,
    ]);
  });
  test("nothing is asked of an ADD whose container has a DEL", () => {
    const actors = [call("ADD", hostLocal(), 1), call("DEL", hostLocal(), 1)];
    expect(judged(actors, ["ok 198.51.100.10/24", "killed"], [])).toEqual([]);
  });
});

test("a call that fails in each order is wrong, one that fails when another was faster is not", () => {
  const two = [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)];
  const no = "error 7: no";
  expect(hopeless(two, [outcome(["ok", no], []), outcome([no, "ok"], [])])).toEqual([]);
  expect(hopeless(two, [outcome(["ok", no], []), outcome(["ok", no], [])])).toEqual([
    "actor 1 fails in each order: error 7: no",
  ]);
});

test("results are compared whole, but for the order of members and for what is drawn by lot", () => {
  const result = {
    ips: [{ gateway: "192.0.2.1", address: "192.0.2.2/24" }],
    interfaces: [{ name: "eth0", mac: "ae:00:00:00:00:01" }],
  };
  const other = {
    interfaces: [{ mac: "ae:00:00:00:00:02", name: "eth0" }],
    ips: [{ address: "192.0.2.2/24", gateway: "192.0.2.1" }],
  };
  expect(wholeResult(other)).toBe(wholeResult(result));
  for (const wrong of [
    { ...result, dns: {} },
    { ...result, ips: [{ address: "192.0.2.2/24" }] },
  ])
    expect(wholeResult(wrong)).not.toBe(wholeResult(result));
  const mac = (text: string) => wholeResult({ mac: text });
  expect(mac("02:00:00:00:00:07")).not.toBe(mac("02:00:00:00:00:08"));
});
