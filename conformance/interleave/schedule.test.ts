import { describe, expect, test } from "vitest";
import { Random } from "../../src/testing/random.ts";
import { drawn, isKill, kills, manyActors, oneChange, serialOrders, twoChanges } from "./schedule.ts";

describe("schedules of calls that make 3 and 2 system calls", () => {
  test("with one change stop either call before each of its later system calls", () => {
    expect(oneChange([3, 2])).toEqual(["0:1,1,0", "0:2,1,0", "1:1,0,1"]);
  });
  test("with two changes stop both, and either begins", () => {
    expect(twoChanges([3, 2])).toEqual(["0:1,1:1,0,1", "0:2,1:1,0,1", "1:1,0:1,1,0", "1:1,0:2,1,0"]);
  });
  test("with a kill end one call, first or in the middle of the other", () => {
    const all = kills([3, 2]);
    expect(all).toEqual(["0:1k,1", "1:1,0:1k,1", "0:2k,1", "1:0,0:2k,1", "1:1k,0", "0:1,1:1k,0"]);
    expect(all.every(isKill)).toBe(true);
    expect(oneChange([3, 2]).some(isKill)).toBe(false);
  });
  test("are drawn without repetition, and again by the same seed", () => {
    const all = twoChanges([20, 20]);
    const some = drawn(all, 50, new Random(1));
    expect(new Set(some).size).toBe(50);
    expect(drawn(all, 50, new Random(1))).toEqual(some);
    expect(drawn(all, 50, new Random(2))).not.toEqual(some);
    expect(new Set(drawn(all, 9999, new Random(1)))).toEqual(new Set(all));
  });
});

describe("schedules of three calls", () => {
  test("one after the other: all orders", () => {
    expect(serialOrders(2)).toEqual(["0,1", "1,0"]);
    expect(serialOrders(3)).toEqual(["0,1,2", "0,2,1", "1,0,2", "1,2,0", "2,0,1", "2,1,0"]);
  });
  test("let two of them stop, and all of them end", () => {
    const random = new Random(1);
    for (let n = 0; n < 50; n++) {
      const turns = manyActors([30, 20, 10], false, random).split(",");
      expect(turns.filter((turn) => /^[012]:[1-9]\d?$/.test(turn))).toHaveLength(2);
      expect(turns.filter((turn) => !turn.includes(":")).sort()).toEqual(["0", "1", "2"]);
    }
  });
  test("with a kill end one in the middle of another", () => {
    expect(manyActors([30, 20, 10], true, new Random(1))).toMatch(/^(\d):\d+,\d:\d+k,\d,\1$/);
  });
});
