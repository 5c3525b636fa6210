import { expect, it } from "vitest";
import { planOf } from "./plan.ts";

const WRITTEN = 2 ** 31;
const READ = 2 ** 30;

/** The report of a call: for each allocation, its number with the flags for reads and writes, and its size. */
const report = (...blocks: [number: number, size: number][]): number[] => blocks.flat();

it("lays together what calls write to, and what not just a few of them read", () => {
  const [passing, untouched, seldom, usual, written, busy, table] = [0, 1, 2, 3, 4, 5, 6];
  const calls = [1, 2, 3, 4].map((n) =>
    report(
      [untouched, 16],
      [seldom + (n < 3 ? READ : 0), 32],
      [usual + (n < 4 ? READ : 0), 64],
      [written + READ + (n === 2 ? WRITTEN : 0), 128],
      [busy + (n > 2 ? WRITTEN : 0), 256],
      [table + WRITTEN, 8192],
    ),
  );
  const plan = planOf(Uint32Array.from(calls.flat()));
  expect([...plan.subarray(0, 4)], "bytes of what is warm").toEqual([64, 0, 0, 0]);
  expect([...plan.subarray(4, 8)], "bytes of what is hot").toEqual([0, 1, 0, 0]);
  const [size, passes, cold, tepid, warm, hot] = [8, 0, 1, 2, 3, 4];
  expect(plan[size + passing]).toBe(passes);
  expect(plan[size + untouched]).toBe(cold);
  expect(plan[size + seldom]).toBe(cold);
  expect(plan[size + usual]).toBe(warm);
  expect(plan[size + written]).toBe(tepid);
  expect(plan[size + busy]).toBe(hot);
  expect(plan[size + table]).toBe(tepid);
});
