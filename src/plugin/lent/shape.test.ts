// A record with all there can be in it is taken; with any single part of it lost or of another type, it is not.
import { describe, expect, test } from "vitest";
import { linkSnapshot, loanFields, network } from "./shape.ts";

type Json = { [key: string]: unknown };

const route = {
  ...{ dst: "10.9.0.0/16", tos: 4, gateway: "10.1.0.1", onlink: true, prefsrc: "10.1.0.2", table: 101, scope: 0 },
  ...{ protocol: 4, priority: 10, mtu: 1400, advmss: 1360, metrics: [[10, 1, 0]], attributes: [[2, 10, 0]] },
  ...{ srcLength: 24, hops: [{ gateway: "10.1.0.3", onlink: true, weight: 2, device: "eth7" }] },
};
const address = {
  ...{ address: "10.1.0.2/24", broadcast: "10.1.0.255", permanent: true, flags: 128, scope: 0, peer: "10.1.0.9/32" },
  ...{ label: "eth1:1", attributes: [[11, 3]] },
};
const link = {
  ...{ name: "eth1", alias: "", altnames: ["enp5s0"], index: 4, kind: "", parent: 0, parentDevice: "0000:05:00.0" },
  ...{ permanentMac: "02:00:00:00:00:04", mac: "02:00:00:00:00:05", mtu: 1500, txqlen: 1000, up: true },
  ...{
    promisc: false,
    allmulti: false,
    noarp: false,
    multicast: true,
    mark: 7,
    peerMark: 8,
    vlan: { id: 5, protocol: 33024 },
  },
  ...{ portName: "p0", mode: 1, parentOnHost: true, master: "br0" },
  settings: {
    ...{ broadcast: "ff:ff:ff:ff:ff:ff", sizes: { group: 1 }, conf4: [1], conf6: [2], secret: "::1", xdp: [3] },
  },
};
const netns = { path: "/var/run/netns/pod", dev: 4, ino: 105, cookie: "77" };

/** What may be absent: what older versions did not write, or what a device need not have. */
const OPTIONAL = [
  ...["tos", "gateway", "onlink", "prefsrc", "mtu", "advmss"].map((key) => `routes/N/${key}`),
  ...["metrics", "attributes", "srcLength", "hops"].map((key) => `routes/N/${key}`),
  ...["gateway", "onlink", "device"].map((key) => `routes/N/hops/N/${key}`),
  ...["scope", "peer", "label", "attributes"].map((key) => `addresses/N/${key}`),
  ...["settings", "settings/conf4", "settings/conf6", "settings/secret", "settings/sizes/group"],
  ...["noarp", "multicast", "mark", "peerMark", "vlan", "portName", "mode", "parentOnHost", "master"],
  "cookie",
];

const whole: [string, (value: unknown) => boolean, unknown][] = [
  ["network", network, { addresses: [address], routes: [route] }],
  ["link", linkSnapshot, link],
  ["netns", loanFields.netns, netns],
];

/** Each copy of `value` in which one part, at any depth, is lost or is another thing. */
function damaged(value: unknown): { at: string; path: string; lost: boolean; copy: unknown }[] {
  const found: { at: string; path: string; lost: boolean; copy: unknown }[] = [];
  const visit = (part: unknown, path: string[]) => {
    if (typeof part !== "object" || part === null) return;
    for (const key of Object.keys(part)) {
      const at = [...path, key];
      const was = (part as Json)[key];
      for (const put of [
        undefined,
        null,
        { none: "of it" },
        [[]],
        typeof was === "string" ? 7 : "not one of its values",
      ]) {
        if (put === undefined && Array.isArray(part)) continue;
        if (isSameKind(was, put)) continue;
        found.push({
          at: `${at.join("/")} = ${JSON.stringify(put)}`,
          path: at.map((step) => (/^\d+$/.test(step) ? "N" : step)).join("/"),
          lost: put === undefined,
          copy: replaced(value, at, put),
        });
      }
      visit(was, at);
    }
  };
  visit(value, []);
  return found;
}

/** Of texts that are names any text is as good as another. */
function isSameKind(was: unknown, put: unknown): boolean {
  return typeof was === typeof put && typeof was === "string";
}

function replaced(value: unknown, [key, ...rest]: string[], put: unknown): unknown {
  if (key === undefined) return put;
  const copy: Json = Array.isArray(value) ? ([...value] as unknown as Json) : { ...(value as Json) };
  if (rest.length === 0 && put === undefined) delete copy[key];
  else copy[key] = replaced(copy[key], rest, put);
  return copy;
}

describe.each(whole)("%s", (_name, isWhole, value) => {
  test("is taken when it is whole, and with what a later version adds", () => {
    expect(isWhole(value)).toBe(true);
    expect(isWhole({ ...(value as Json), later: { any: 1 } })).toBe(true);
  });

  const cases = damaged(value);

  test.each(cases)("is not taken with $at", ({ path, lost, copy }) => {
    expect(isWhole(copy)).toBe(lost && OPTIONAL.includes(path));
  });
});

test.each([
  ["a destination", { routes: [{ ...route, dst: "10.9.0.0" }], addresses: [] }],
  ["a gateway", { routes: [{ ...route, gateway: "10.1.0" }], addresses: [] }],
  ["an address", { routes: [], addresses: [{ ...address, address: "10.1.0.2/33" }] }],
  ["an attribute without its type", { routes: [{ ...route, attributes: [[]] }], addresses: [] }],
])("%s that is none is not taken", (_what, value) => {
  expect(network(value)).toBe(false);
});
