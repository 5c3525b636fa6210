import fc from "fast-check";
import { expect, test } from "vitest";
import { Failure } from "../errors.ts";
import { addressOf, formatAddress, parseAddress, parsePrefix } from "../ip/address.ts";
import { runs } from "../testing/effort.ts";
import type { Result } from "./result.ts";
import { ResultError, readResult, writeResult } from "./result-json.ts";
import { supportedVersions } from "./version.ts";

const full: Result = {
  interfaces: [
    { name: "veth1", mac: "02:00:00:00:00:02" },
    { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1400, sandbox: "/run/netns/a", pciID: "0000:00:01.0" },
  ],
  ips: [
    { address: parsePrefix("192.0.2.5/24")!, gateway: parseAddress("192.0.2.1")!, interface: 1 },
    { address: parsePrefix("2001:db8::5/64")!, interface: 0 },
  ],
  routes: [
    { dst: parsePrefix("0.0.0.0/0")!, gw: parseAddress("192.0.2.1")! },
    { dst: parsePrefix("2001:db8:1::/48")!, mtu: 1300, table: 0, scope: 0, priority: 7, advmss: 1200 },
  ],
  dns: { nameservers: ["192.0.2.53"], search: ["a.example"] },
};

const written = (version: string) => JSON.parse(writeResult(full, version));

test("1.1.0 says all, keys in Go's order", () => {
  expect(writeResult(full, "1.1.0")).toBe(`{
    "cniVersion": "1.1.0",
    "dns": {
        "nameservers": [
            "192.0.2.53"
        ],
        "search": [
            "a.example"
        ]
    },
    "interfaces": [
        {
            "mac": "02:00:00:00:00:02",
            "name": "veth1"
        },
        {
            "mac": "02:00:00:00:00:01",
            "mtu": 1400,
            "name": "eth0",
            "pciID": "0000:00:01.0",
            "sandbox": "/run/netns/a"
        }
    ],
    "ips": [
        {
            "address": "192.0.2.5/24",
            "gateway": "192.0.2.1",
            "interface": 1
        },
        {
            "address": "2001:db8::5/64",
            "interface": 0
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "192.0.2.1"
        },
        {
            "advmss": 1200,
            "dst": "2001:db8:1::/48",
            "mtu": 1300,
            "priority": 7,
            "scope": 0,
            "table": 0
        }
    ]
}`);
});

test("1.0.0 has mtu and pciID, but none of the route's later keys", () => {
  const result = written("1.0.0");
  expect(result.interfaces[1]).toEqual({
    mac: "02:00:00:00:00:01",
    mtu: 1400,
    name: "eth0",
    pciID: "0000:00:01.0",
    sandbox: "/run/netns/a",
  });
  expect(result.routes[1]).toEqual({ dst: "2001:db8:1::/48" });
});

test.each(["0.3.0", "0.3.1", "0.4.0"])("%s has versions in ips, dns always, and nothing newer", (version) => {
  const result = written(version);
  expect(Object.keys(result)).toEqual(["cniVersion", "interfaces", "ips", "routes", "dns"]);
  expect(result.interfaces[1]).toEqual({ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a" });
  expect(result.ips).toEqual([
    { version: "4", interface: 1, address: "192.0.2.5/24", gateway: "192.0.2.1" },
    { version: "6", interface: 0, address: "2001:db8::5/64" },
  ]);
  expect(result.routes[1]).toEqual({ dst: "2001:db8:1::/48" });
  expect(JSON.parse(writeResult({ ...full, dns: {} }, version)).dns).toEqual({});
});

test.each(["0.1.0", "0.2.0"])("%s has one address of each family with its routes", (version) => {
  expect(written(version)).toEqual({
    cniVersion: version,
    ip4: { ip: "192.0.2.5/24", gateway: "192.0.2.1", routes: [{ dst: "0.0.0.0/0", gw: "192.0.2.1" }] },
    ip6: { ip: "2001:db8::5/64", routes: [{ dst: "2001:db8:1::/48" }] },
    dns: { nameservers: ["192.0.2.53"], search: ["a.example"] },
  });
  expect(() => writeResult({ ...full, ips: [] }, version)).toThrow("cannot convert: no valid IP addresses");
  const two = { ...full, ips: [full.ips[0]!, { address: parsePrefix("192.0.2.6/24")! }] };
  expect(() => writeResult(two, version)).toThrow(Failure);
});

test("nothing empty is written from 1.0.0 on", () => {
  expect(writeResult({ interfaces: [], ips: [], routes: [], dns: {} }, "1.0.0")).toBe(
    '{\n    "cniVersion": "1.0.0"\n}',
  );
});

const family = fc.constantFrom(4, 16);
const address = family.chain((size) => fc.uint8Array({ minLength: size, maxLength: size })).map(addressOf);
const prefix = fc
  .tuple(address, fc.nat(128))
  .map(([of, length]) => ({ address: of, length: Math.min(length, of.bytes.length * 8) }));
const uint32 = fc.integer({ min: 1, max: 0xffffffff });
const result: fc.Arbitrary<Result> = fc.record({
  interfaces: fc.array(
    fc.record(
      {
        name: fc.string({ minLength: 1 }),
        mac: fc
          .uint8Array({ minLength: 6, maxLength: 6 })
          .map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":")),
        mtu: uint32,
        sandbox: fc.string({ minLength: 1 }),
        socketPath: fc.string({ minLength: 1 }),
        pciID: fc.string({ minLength: 1 }),
      },
      { requiredKeys: ["name"] },
    ),
    { minLength: 2, maxLength: 2 },
  ),
  ips: fc.array(fc.record({ address: prefix, gateway: address, interface: fc.nat(1) }, { requiredKeys: ["address"] })),
  routes: fc.array(
    fc.record(
      {
        dst: prefix,
        gw: address,
        mtu: uint32,
        advmss: uint32,
        priority: uint32,
        table: fc.nat(0xffffffff),
        scope: fc.nat(255),
      },
      { requiredKeys: ["dst"] },
    ),
  ),
  dns: fc.record(
    {
      nameservers: fc.array(fc.string(), { minLength: 1 }),
      domain: fc.string({ minLength: 1 }),
      search: fc.array(fc.string(), { minLength: 1 }),
    },
    { requiredKeys: [] },
  ),
});

test("what 1.1.0 writes is read back the same", () => {
  fc.assert(
    fc.property(result, (value) => {
      expect(readResult(JSON.parse(writeResult(value, "1.1.0")), "0.1.0", "previous")).toEqual(value);
    }),
    runs(100),
  );
});

test("every version from 0.3.0 keeps addresses, gateways, indices, names and destinations", () => {
  fc.assert(
    fc.property(result, fc.constantFrom(...supportedVersions.slice(2)), (value, version) => {
      const back = readResult(JSON.parse(writeResult(value, version)), version, "previous");
      expect(back.ips).toEqual(value.ips);
      expect(back.interfaces.map(({ name, sandbox }) => [name, sandbox])).toEqual(
        value.interfaces.map(({ name, sandbox }) => [name, sandbox]),
      );
      expect(back.routes.map(({ dst, gw }) => [dst, gw])).toEqual(value.routes.map(({ dst, gw }) => [dst, gw]));
      expect(back.dns).toEqual(value.dns);
    }),
    runs(100),
  );
});

test("a result is taken for the config's version unless it says another", () => {
  const old = { ip4: { ip: "192.0.2.5/24", routes: [{ dst: "0.0.0.0/0" }] } };
  expect(readResult(old, "0.2.0", "ipam").ips.map(({ address: { address: of } }) => formatAddress(of))).toEqual([
    "192.0.2.5",
  ]);
  expect(readResult({ ...old, cniVersion: "0.1.0" }, "1.0.0", "ipam").routes).toHaveLength(1);
  expect(readResult({ cniVersion: "", ips: [{ address: "192.0.2.5/24" }] }, "1.0.0", "ipam").ips).toHaveLength(1);
  expect(
    readResult({ CNIVersion: "0.4.0", IPs: [{ Version: "6", Address: "192.0.2.5/24" }] }, "1.0.0", "ipam").ips,
  ).toHaveLength(1);
});

test("an address of no interface at all does not become one of the interface that is appended", () => {
  const { ips } = readResult({ ips: [{ address: "192.0.2.5/24", interface: 0 }] }, "1.0.0", "previous");
  expect(ips.map((ip) => ip.interface)).toEqual([undefined]);
});

test("an IPAM plugin's interfaces and indices are passed over", () => {
  const raw = { interfaces: [{ name: "x" }], ips: [{ address: "192.0.2.5/24", interface: 5 }] };
  expect(readResult(raw, "1.0.0", "ipam")).toMatchObject({ interfaces: [], ips: [{ address: { length: 24 } }] });
  expect(() => readResult(raw, "1.0.0", "previous")).toThrow("ips[0].interface");
});

test.each([
  [5, "the result is 5"],
  [[], "the result is an empty list"],
  [null, "the result is null"],
  [{ cniVersion: 5 }, "cniVersion is 5"],
  [{ cniVersion: "9.9.9" }, 'cniVersion is "9.9.9"'],
  [{ ips: {} }, "ips is an object"],
  [{ ips: [5] }, "ips[0] is 5"],
  [{ ips: [{ address: "192.0.2.5" }] }, "ips[0].address"],
  [{ ips: [{}] }, "ips[0].address is nothing"],
  [{ ips: [{ address: "192.0.2.5/24", gateway: "x" }] }, "ips[0].gateway"],
  [{ routes: [{ dst: "192.0.2.0/24", scope: 300 }] }, "routes[0].scope is 300"],
  [{ routes: [{ dst: "192.0.2.0/24", mtu: -1 }] }, "routes[0].mtu is -1"],
  [{ dns: { nameservers: "x" } }, "dns.nameservers"],
  [{ interfaces: [{ name: 5 }] }, "interfaces[0].name"],
  [{ ips: Array(1025).fill({ address: "192.0.2.5/24" }) }, "/ips has more than 1024 entries"],
])("%# is no result", (raw, message) => {
  expect(() => readResult(raw, "1.0.0", "previous")).toThrow(ResultError);
  expect(() => readResult(raw, "1.0.0", "previous")).toThrow(message);
});

test("garbage is a ResultError and nothing else", () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.constantFrom("ips", "interfaces", "routes", "dns", "cniVersion", "ip4"),
      (garbage, key) => {
        for (const version of ["0.2.0", "1.0.0"]) {
          try {
            readResult({ [key]: garbage }, version, "previous");
          } catch (error) {
            expect(error).toBeInstanceOf(ResultError);
          }
        }
      },
    ),
    runs(100),
  );
});
