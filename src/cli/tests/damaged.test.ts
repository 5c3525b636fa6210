// Damaged records of devices for which nothing tells which pod had them.
import { expect, test } from "vitest";
import type { Damaged } from "../../state/record.ts";
import { DamagedRecords } from "../node/damaged.ts";
import type { Inside } from "../node/inside.ts";
import type { Node } from "../node/node.ts";

const found: Damaged = { why: "damaged", file: "/x", name: "x", text: "", written: 1 };
const link = (name: string, more = {}) => ({ name, alias: "", flags: 0, ...more });
const inside = (ino: number, ...links: object[]) =>
  ({ namespace: { path: `/run/netns/n${ino}`, dev: 4, ino, named: true }, links }) as unknown as Inside;

function doubt(
  insides: Inside[],
  { seesProcesses = true, holders = [] as object[], blind = [] as string[], text = "" } = {},
): string {
  const namespaces = { seesProcesses, lifeOf: () => "gone" };
  const node = { namespaces, holders, insides, blind, cache: [] };
  return new DamagedRecords(node as unknown as Node).doubt({ ...found, text });
}

test("it may go when all namespaces are seen, and every interface in them is another's", () => {
  const holders = [{ key: { ifName: "net1" }, netns: { path: "", dev: 4, ino: 1 } }];
  const known = inside(1, link("lo", { flags: 8 }), link("tunl0"), link("net1"), link("m", { alias: "podnic:n:c" }));
  expect(doubt([known], { holders })).toBe("");
  expect(doubt([])).toBe("");
});

test("it stays for any other interface, of whatever name, and when pods may be out of sight", () => {
  expect(doubt([inside(1, link("x"))])).toBe("x in /run/netns/n1 might be its device");
  expect(
    doubt([inside(2, link("net1"))], { holders: [{ key: { ifName: "net1" }, netns: { path: "", dev: 4, ino: 1 } }] }),
  ).toBe("net1 in /run/netns/n2 might be its device");
  expect(doubt([inside(1, ...["a", "b", "c", "d", "e", "f"].map((name) => link(name)))])).toBe(
    "one of a, b, c, d, e, ... in /run/netns/n1 might be its device",
  );
  expect(doubt([], { seesProcesses: false })).toBe("podnic cannot see all pods");
});

test("it stays while a namespace cannot be looked into, also when its pod is known to be gone", () => {
  const blind = ["/run/netns/shut"];
  const text = '{"netns":{"path":"/run/netns/gone","dev":4,"ino":7},';
  expect(doubt([], { text })).toBe("");
  for (const each of ["", text])
    expect(doubt([], { blind, text: each })).toBe("podnic cannot look into /run/netns/shut");
});
