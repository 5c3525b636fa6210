import { describe, expect, test } from "vitest";
import { type Call, call, hostLocal, macvlan, wide } from "./calls.ts";
import { untrue } from "./judge.ts";
import type { Outcome } from "./world.ts";

const lease = (ip: string, container: string) =>
  `file /var/lib/cni/networks/net1/${ip} ${JSON.stringify(`${container}\r\neth0`)}`;
const outcome = (said: string[], left: string[]): Outcome => ({
  said,
  left,
  logged: [],
  calls: [],
  turns: "",
  spoiled: 0,
});
const judged = (actors: readonly Call[], said: string[], left: string[], serial: Outcome[] = []) =>
  untrue({ actors }, outcome(said, left), serial);

describe("beside a call that was killed", () => {
  const two = [call("ADD", hostLocal(), 1), call("ADD", hostLocal(), 2)];
  const ok = "ok 198.51.100.11/24";

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
  test("an ADD's interface is in its pod, with its address", () => {
    const actors = [call("ADD", macvlan(wide), 1), call("ADD", macvlan(wide), 2)];
    const left = [lease("198.51.100.11", "ctr-2"), "c2 eth0 mtu 1500 up 198.51.100.11/24"];
    expect(judged(actors, ["killed", ok], left)).toEqual([]);
    expect(judged(actors, ["killed", ok], [left[0]!, "c1 eth0 mtu 1500 up 198.51.100.11/24"])).toHaveLength(1);
    expect(judged(actors, ["killed", ok], [left[0]!, "c2 eth0 mtu 1500 up"])).toHaveLength(1);
  });
  test("nothing is asked of an ADD whose container has a DEL", () => {
    const actors = [call("ADD", hostLocal(), 1), call("DEL", hostLocal(), 1)];
    expect(judged(actors, ["ok 198.51.100.10/24", "killed"], [])).toEqual([]);
  });
});
