// Tests pairs and rings of devices that few kernels can create, so the test makes up the kernel's answers.
import { beforeAll, beforeEach, expect, it, vi } from "vitest";
import type { Link } from "../link/link.ts";
import { enterSandbox } from "../testing/sandbox.ts";
import { lowestOf, refuseToJoin } from "./node-device.ts";

let links: Link[] = [];
let asked = 0;

beforeAll(() => {
  const { route } = enterSandbox().own;
  vi.spyOn(route, "find").mockImplementation((operation): never => {
    // Stops an endless loop.
    if (++asked > 100) throw new Error("asks without an end");
    return links.find(({ index }) => operation === `ip link show ${index}`) as never;
  });
  vi.spyOn(route, "dump").mockImplementation(() => ({ items: [] }) as never);
});

beforeEach(() => {
  asked = 0;
});

const link = (index: number, kind: string, parent = 0): Link =>
  ({ index, kind, parent, name: `d${index}`, altnames: [], mac: "", parentDevice: "" }) as unknown as Link;

it("finds what carries the frames of a VLAN on a macvlan", () => {
  links = [link(1, ""), link(2, "macvlan", 1), link(3, "vlan", 2)];
  expect(lowestOf(links[2]!)).toBe(links[0]);
});

it.each(["veth", "vxcan", "netkit"])("takes the other end of a %s for nothing below it", (kind) => {
  links = [link(1, kind, 2), link(2, kind, 1), link(3, "vlan", 1)];
  expect(lowestOf(links[2]!)).toBe(links[0]);
});

it("ends where tunnels are made on each other", () => {
  links = [link(1, "gretap", 2), link(2, "gretap", 1), link(3, "vlan", 1)];
  expect(lowestOf(links[2]!)).toBe(links[1]);
});

it.each(["veth", "vxcan", "netkit"])("refuses the wire of another pod: a %s", (kind) => {
  const wire = { ...link(1, kind, 2), linkNetnsid: 0 };
  expect(() => refuseToJoin(wire)).toThrow("whose other end is in another namespace");
});
