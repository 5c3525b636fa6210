import { expect, test } from "vitest";
import { patched } from "./objects.ts";

const pool = { metadata: { resourceVersion: "7" }, spec: { allocations: { "1": { podref: "a/b" } } } };

test("a JSON patch whose tests hold is applied, to a copy", () => {
  const result = patched(pool, [
    { op: "test", path: "/metadata/resourceVersion", value: "7" },
    { op: "test", path: "/spec/allocations/2", value: null },
    { op: "add", path: "/spec/allocations/2", value: { podref: "c/d" } },
    { op: "remove", path: "/spec/allocations/1" },
  ]);
  expect(result).toEqual({ ...pool, spec: { allocations: { "2": { podref: "c/d" } } } });
  expect(Object.keys(pool.spec.allocations)).toEqual(["1"]);
});

test.each([
  ["an older version", { op: "test", path: "/metadata/resourceVersion", value: "6" }],
  ["an address that is taken", { op: "test", path: "/spec/allocations/1", value: null }],
  ["an object that is not there", { op: "add", path: "/status/ready", value: true }],
] as const)("a JSON patch is refused: %s", (_, operation) => expect(patched(pool, [operation])).toBeUndefined());
