import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { Failure } from "../errors.ts";
import { runs } from "../testing/effort.ts";
import { fold } from "./fold.ts";
import { inspect, readConfig, readWhatIsValid } from "./validate.ts";

// @ts-expect-error written by scripts/vitest/fixture.ts
vi.mock("#validators", () => import("../../generated/fixture.mjs"));

function refused(raw: unknown): Failure {
  try {
    readConfig("fixture", raw);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("accepted");
}

const good = { name: "a", type: "fixture", ipam: { addresses: [{ address: "192.0.2.1/24" }] } };

test("keys in any case come out as the schema spells them", () => {
  const raw = JSON.parse(
    '{"NAME":"a","IPAM":{"Addresses":[{"ADDRESS":"192.0.2.1/24"}]},"RuntimeConfig":{"IPs":["192.0.2.9/24"]}}',
  );
  expect(readConfig("fixture", raw)).toEqual({
    name: "a",
    ipam: { addresses: [{ address: "192.0.2.1/24" }] },
    runtimeConfig: { ips: ["192.0.2.9/24"] },
  });
});

test("the exact spelling wins wherever it stands, other spellings are merged below it", () => {
  const raw = JSON.parse(
    '{"name":"ok","Name":"evil","ipam":{"type":"x"},"IPAM":{"type":"y","routes":[]},"NAME":"worse"}',
  );
  expect(inspect("fixture", raw).config).toEqual({ name: "ok", ipam: { type: "x", routes: [] } });
});

test("null is not given, unknown keys are dropped, prototypes are out of reach", () => {
  const raw = JSON.parse(
    '{"name":null,"__proto__":{"name":"evil"},"constructor":{"prototype":{"ipam":{}}},"ipam":{"__proto__":{"type":"x"}}}',
  );
  const config = inspect("fixture", raw).config as Record<string, unknown>;
  expect(Object.keys(config)).toEqual(["ipam"]);
  expect(config.name).toBeUndefined();
  expect(config.constructor).toBeUndefined();
  expect((config.ipam as Record<string, unknown>).type).toBeUndefined();
  expect(({} as Record<string, unknown>).name).toBeUndefined();
});

test("Go's two odd letters fold, no others", () => {
  expect(inspect("fixture", { Kelvin: 1, ipam: { routeſ: [] } }).config).toEqual({ ipam: { routes: [] } });
  expect(inspect("fixture", { ıpam: {} }).config).toEqual({});
});

test("a message says where, what is there and what is wanted", () => {
  expect(refused({ ...good, dns: "x" }).message).toBe('failed to load netconf: dns must be an object {…} (found "x")');
  const wrong = refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", scope: 300 }] } });
  expect(wrong.kind).toBe("invalid config");
  expect(wrong.message).toBe("failed to load netconf: ipam.routes[0].scope must be at most 255 (found 300)");
  expect(refused({ name: "a" }).message).toBe("failed to load netconf: ipam is missing");
  expect(refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", mtu: "1500" }] } }).message).toBe(
    'failed to load netconf: ipam.routes[0].mtu must be a whole number without quotes (found "1500")',
  );
});

test.each([-1, 4294967296, 1.5, 2 ** 63, Number.POSITIVE_INFINITY, true, [1], {}])(
  "a route's priority is not %j",
  (priority) => {
    expect(refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", priority }] } }).kind).toBe("invalid config");
  },
);

test("a list that is too long is refused before it is looked at", () => {
  const routes = Array.from({ length: 300_000 }, () => 5);
  expect(refused({ ...good, ipam: { routes } }).message).toContain(
    "ipam.routes has 300000 entries; at most 1024 are allowed",
  );
});

test("DEL keeps what is valid", () => {
  const raw = {
    ...good,
    dns: "x",
    ipam: {
      type: "fixture",
      addresses: [{ address: "192.0.2.1/24" }, { address: "x" }, 5, { address: "192.0.2.2/24" }],
      routes: {},
    },
  };
  const { config, problems } = readWhatIsValid<Record<string, unknown>>("fixture", raw);
  expect(config).toEqual({
    name: "a",
    type: "fixture",
    ipam: { type: "fixture", addresses: [{ address: "192.0.2.1/24" }, { address: "192.0.2.2/24" }] },
  });
  expect(problems.map(({ pointer }) => pointer)).toEqual([
    "/dns",
    "/ipam/addresses/1/address",
    "/ipam/addresses/2",
    "/ipam/routes",
  ]);
});

test("what DEL keeps is valid but for missing keys, whatever came in", () => {
  const key = fc.constantFrom(
    "name",
    "Name",
    "ipam",
    "IPAM",
    "dns",
    "routes",
    "dst",
    "gw",
    "addresses",
    "address",
    "scope",
    "search",
    "__proto__",
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom("192.0.2.1/24", "192.0.2.1", "x", 5, null, -1),
      tie("list"),
      tie("object"),
    ),
    list: fc.array(tie("any"), { maxLength: 4 }),
    object: fc
      .array(fc.tuple(key, tie("any")), { maxLength: 6 })
      .map((entries) =>
        JSON.parse(`{${entries.map(([name, item]) => `${JSON.stringify(name)}:${JSON.stringify(item)}`).join(",")}}`),
      ),
  }));
  fc.assert(
    fc.property(value.object, (raw) => {
      const before = JSON.stringify(raw);
      const { config } = readWhatIsValid("fixture", raw);
      const left = inspect("fixture", config).problems;
      expect(left.filter((problem) => !problem.missing)).toEqual([]);
      expect(JSON.stringify(raw)).toBe(before);
    }),
    runs(300),
  );
});

test("folding looks at every key and entry a fixed number of times", () => {
  const looks = (size: number): number => {
    let count = 0;
    const counted = <T extends object>(value: T): T =>
      new Proxy(value, {
        get(target, key) {
          count++;
          return Reflect.get(target, key);
        },
      });
    const routes = Array.from({ length: size / 64 }, () => counted({ DST: "192.0.2.0/24" }));
    const raw: Record<string, unknown> = { ipam: { routes: counted(routes) } };
    for (let at = 0; at < size; at++) raw[`unknown${at}`] = at;
    inspect("fixture", counted(raw));
    return count;
  };
  // Count accesses instead of measuring time, which would include V8's garbage collector. The conformance suite measures the time of calls.
  expect(looks(64_000) / looks(8_000)).toBeLessThan(8.1);
});

test("fold leaves maps alone", () => {
  expect(
    fold({ Capabilities: { MAC: true } }, { keys: { capabilities: null }, lower: { capabilities: "capabilities" } }),
  ).toEqual({
    capabilities: { MAC: true },
  });
});
