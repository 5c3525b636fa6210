import fc from "fast-check";
import { expect, test } from "vitest";
import { CniError } from "../errors.ts";
import { fold } from "./fold.ts";
import { inspect, readConfig, readWhatIsValid } from "./validate.ts";

function refused(raw: unknown): CniError {
  try {
    readConfig("static", raw);
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("accepted");
}

const good = { name: "a", type: "static", ipam: { addresses: [{ address: "192.0.2.1/24" }] } };

test("keys in any case come out as the schema spells them", () => {
  const raw = JSON.parse(
    '{"NAME":"a","IPAM":{"Addresses":[{"ADDRESS":"192.0.2.1/24"}]},"RuntimeConfig":{"IPs":["192.0.2.9/24"]}}',
  );
  expect(readConfig("static", raw)).toEqual({
    name: "a",
    ipam: { addresses: [{ address: "192.0.2.1/24" }] },
    runtimeConfig: { ips: ["192.0.2.9/24"] },
  });
});

test("the exact spelling wins wherever it stands, other spellings are merged below it", () => {
  const raw = JSON.parse(
    '{"name":"ok","Name":"evil","ipam":{"type":"x"},"IPAM":{"type":"y","routes":[]},"NAME":"worse"}',
  );
  expect(inspect("static", raw).config).toEqual({ name: "ok", ipam: { type: "x", routes: [] } });
});

test("null is not given, unknown keys are dropped, prototypes are out of reach", () => {
  const raw = JSON.parse(
    '{"name":null,"__proto__":{"name":"evil"},"constructor":{"prototype":{"ipam":{}}},"ipam":{"__proto__":{"type":"x"}}}',
  );
  const config = inspect("static", raw).config as Record<string, unknown>;
  expect(Object.keys(config)).toEqual(["ipam"]);
  expect(config.name).toBeUndefined();
  expect(config.constructor).toBeUndefined();
  expect((config.ipam as Record<string, unknown>).type).toBeUndefined();
  expect(({} as Record<string, unknown>).name).toBeUndefined();
});

test("Go's two odd letters fold, no others", () => {
  expect(inspect("static", { Kelvin: 1, ipam: { routeſ: [] } }).config).toEqual({ ipam: { routes: [] } });
  expect(inspect("static", { ıpam: {} }).config).toEqual({});
});

test("a message says where, what is there and what is wanted", () => {
  expect(refused({ ...good, dns: "x" }).message).toBe('failed to load netconf: dns must be an object {…} (found "x")');
  const wrong = refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", scope: 300 }] } });
  expect(wrong.code).toBe(7);
  expect(wrong.message).toBe("failed to load netconf: ipam.routes[0].scope must be at most 255 (found 300)");
  expect(refused({ name: "a" }).message).toBe("failed to load netconf: ipam is missing");
  expect(refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", mtu: "1500" }] } }).message).toBe(
    'failed to load netconf: ipam.routes[0].mtu must be a whole number without quotes (found "1500")',
  );
});

test.each([-1, 4294967296, 1.5, 2 ** 63, Number.POSITIVE_INFINITY, true, [1], {}])(
  "a route's priority is not %j",
  (priority) => {
    expect(refused({ ...good, ipam: { routes: [{ dst: "192.0.2.0/24", priority }] } }).code).toBe(7);
  },
);

test("a list that is too long is refused before it is looked at", () => {
  const routes = Array.from({ length: 300_000 }, () => 5);
  expect(refused({ ...good, ipam: { routes } }).message).toContain(
    "ipam.routes has 300000 entries, at most 1024 are allowed",
  );
});

test("DEL keeps what is valid", () => {
  const raw = {
    ...good,
    dns: "x",
    ipam: {
      type: "static",
      addresses: [{ address: "192.0.2.1/24" }, { address: "x" }, 5, { address: "192.0.2.2/24" }],
      routes: {},
    },
  };
  const { config, problems } = readWhatIsValid<Record<string, unknown>>("static", raw);
  expect(config).toEqual({
    name: "a",
    type: "static",
    ipam: { type: "static", addresses: [{ address: "192.0.2.1/24" }, { address: "192.0.2.2/24" }] },
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
      const { config } = readWhatIsValid("static", raw);
      const left = inspect("static", config).problems;
      expect(left.filter((problem) => !problem.missing)).toEqual([]);
      expect(JSON.stringify(raw)).toBe(before);
    }),
    { numRuns: 300 },
  );
});

test("folding takes time in proportion to its input", () => {
  const run = (size: number): number => {
    const raw: Record<string, unknown> = {
      ipam: { routes: Array.from({ length: 1024 }, () => ({ DST: "192.0.2.0/24" })) },
    };
    for (let at = 0; at < size; at++) raw[`unknown${at}`] = at;
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const start = process.cpuUsage();
      inspect("static", raw);
      best = Math.min(best, process.cpuUsage(start).user);
    }
    return best;
  };
  run(1000);
  const exponent = Math.log(run(64_000) / run(8_000)) / Math.log(8);
  expect(exponent).toBeLessThan(1.2);
});

test("fold leaves maps alone", () => {
  expect(
    fold({ Capabilities: { MAC: true } }, { keys: { capabilities: null }, lower: { capabilities: "capabilities" } }),
  ).toEqual({
    capabilities: { MAC: true },
  });
});
