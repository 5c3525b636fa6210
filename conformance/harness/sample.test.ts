import { expect, it } from "vitest";
import { sample } from "./sample.ts";

const cases = Array.from({ length: 200 }, (_, n) => ({ id: `CASE-${n}` }));
const ids = (items: { id: string }[]) => items.map(({ id }) => id);

it("draws the number asked for, in the order of the cases; another seed draws others", () => {
  const drawn = sample(cases, 20, "1");
  expect(drawn).toHaveLength(20);
  expect(ids(drawn)).toEqual(ids(cases.filter((c) => drawn.includes(c))));
  expect(ids(sample(cases, 20, "1"))).toEqual(ids(drawn));
  expect(ids(sample(cases, 20, "2"))).not.toEqual(ids(drawn));
});

it("a case that is added takes the place of one at most", () => {
  const before = new Set(ids(sample(cases, 20, "1")));
  const after = ids(sample([{ id: "NEW-1" }, ...cases], 20, "1"));
  expect(after.filter((id) => !before.has(id)).length).toBeLessThanOrEqual(1);
});
