import { describe, expect, test } from "vitest";
import { Random } from "../../src/testing/random.ts";
import {
  drawn,
  drawnOf,
  drawnOfMany,
  hasBystander,
  isKill,
  kills,
  type Lengths,
  oneChange,
  rowsOf,
  type Shape,
  serialOrders,
  sizeOf,
  twoChanges,
  wholeRow,
} from "./schedule.ts";

/** Of calls that are as long in each order. */
const lengths = (one: number, other: number): Lengths => [
  { first: one, most: one },
  { first: other, most: other },
];

const listed = (shapes: readonly Shape[]): string[] => drawnOf(shapes, Number.POSITIVE_INFINITY, new Random(1));

describe("schedules of calls that make 3 and 2 system calls", () => {
  test("with one change stop either call before each of its later system calls", () => {
    expect(listed(oneChange(lengths(3, 2)))).toEqual(["0:1,1,0", "0:2,1,0", "1:1,0,1"]);
  });
  test("with two changes stop both, and either begins", () => {
    expect(listed(twoChanges(lengths(3, 2)))).toEqual(["0:1,1:1,0,1", "0:2,1:1,0,1", "1:1,0:1,1,0", "1:1,0:2,1,0"]);
  });
  test("with a kill end one call, first or anywhere in the middle of the other", () => {
    const all = listed(kills(lengths(3, 2)));
    const within = ["0:1,1:1k,0", "0:2,1:1k,0", "1:1,0:1k,1", "1:1,0:2k,1"];
    expect(all).toEqual(["0:1k,1", "0:2k,1", "1:1k,0", ...within]);
    expect(all.every(isKill)).toBe(true);
    expect(listed(oneChange(lengths(3, 2))).some(isKill)).toBe(false);
  });
  test("stop the second call also where only the first one's work lets it come", () => {
    const later: Lengths = [
      { first: 2, most: 2 },
      { first: 2, most: 4 },
    ];
    expect(listed(twoChanges(later))).toEqual(["0:1,1:1,0,1", "0:1,1:2,0,1", "0:1,1:3,0,1", "1:1,0:1,1,0"]);
  });
  test("are drawn without repetition, and again by the same seed", () => {
    const shapes = twoChanges(lengths(20, 20));
    const some = drawnOf(shapes, 50, new Random(1));
    expect(new Set(some).size).toBe(50);
    expect(drawnOf(shapes, 50, new Random(1))).toEqual(some);
    expect(drawnOf(shapes, 50, new Random(2))).not.toEqual(some);
    expect(sizeOf(shapes)).toBe(2 * 19 * 19);
    expect(new Set(drawnOf(shapes, 9999, new Random(1)))).toEqual(new Set(listed(shapes)));
    expect(drawn([1, 2, 3], 9, new Random(1)).sort()).toEqual([1, 2, 3]);
  });
});

describe("all schedules of two calls", () => {
  /** Call 1 makes `calls` of them when 0 has stopped at `stop`, sleeps for a lock, or ends. */
  async function run(row: { shape: Shape; stop: number }, calls: (stop: number) => number): Promise<string[]> {
    const made: string[] = [];
    await wholeRow(row, async (schedule) => {
      made.push(schedule);
      const [, stop, second] = /^0:(\d+),1:(\d+)/.exec(schedule) ?? [];
      return Number(second) < calls(Number(stop)) ? "ccee" : "csee";
    });
    return made;
  }
  const rows = rowsOf(twoChanges(lengths(3, 4)));

  test("end where the second call ends or sleeps, because a later stop is the same schedule", async () => {
    expect(await run(rows[0]!, () => 2)).toEqual(["0:1,1:1,0,1", "0:1,1:2,0,1"]);
  });
  test("go on where it makes more calls than alone", async () => {
    expect(await run(rows[1]!, () => 6)).toHaveLength(6);
  });
  test("with a kill go on past the shorter length, which the call has beside a bystander", async () => {
    const made: string[] = [];
    await wholeRow(rowsOf(kills(lengths(3, 4))).find(({ shape }) => shape.second > 1)!, async (schedule) => {
      made.push(schedule);
      const second = Number(/,1:(\d+)k/.exec(schedule)![1]);
      return second < (hasBystander(schedule) ? 2 : 6) ? "cce" : "cee";
    });
    expect(made.map((schedule) => Number(/,1:(\d+)k/.exec(schedule)![1]))).toEqual([1, 2, 3, 4, 5, 6]);
  });
  test("have one row for each stop of the first", () => {
    expect(rows.map(({ shape, stop }) => shape.text(stop, 1))).toEqual([
      "0:1,1:1,0,1",
      "0:2,1:1,0,1",
      "1:1,0:1,1,0",
      "1:2,0:1,1,0",
      "1:3,0:1,1,0",
    ]);
  });
  test("of one stop are one for each", async () => {
    const made: string[] = [];
    for (const row of rowsOf(oneChange(lengths(3, 2))))
      await wholeRow(row, async (schedule) => {
        made.push(schedule);
        return "cee";
      });
    expect(made).toEqual(["0:1,1,0", "0:2,1,0", "1:1,0,1"]);
  });
});

describe("schedules of three calls", () => {
  test("one after the other: all orders", () => {
    expect(serialOrders(2)).toEqual(["0,1", "1,0"]);
    expect(serialOrders(3)).toEqual(["0,1,2", "0,2,1", "1,0,2", "1,2,0", "2,0,1", "2,1,0"]);
  });
  const three = [30, 20, 10];
  test("let two of them stop, and all of them end", () => {
    for (const schedule of drawnOfMany(three, 50, 0, new Random(1))) {
      const turns = schedule.split(",");
      expect(turns.filter((turn) => /^[012]:[1-9]\d?$/.test(turn))).toHaveLength(2);
      expect(turns.filter((turn) => !turn.includes(":")).sort()).toEqual(["0", "1", "2"]);
    }
  });
  test("with a kill end one in the middle of another", () => {
    const schedules = drawnOfMany(three, 0, 50, new Random(1));
    expect(schedules).not.toHaveLength(0);
    for (const schedule of schedules) expect(schedule).toMatch(/^(\d):\d+,\d:\d+k,\d,\1$/);
  });
  test("come mixed, so that an early end leaves kills and others, and no schedule comes twice", () => {
    const begin = drawnOfMany(three, 100, 100, new Random(1)).slice(0, 40);
    expect(begin.filter(isKill).length).toBeGreaterThan(5);
    expect(begin.filter((one) => !isKill(one)).length).toBeGreaterThan(5);
    const few = drawnOfMany([3, 3, 2], 200, 200, new Random(1));
    expect(new Set(few).size).toBe(few.length);
  });
});
