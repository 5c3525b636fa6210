import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Address, formatAddress, parseAddress } from "../../src/ip/address.ts";
import {
  equalAddresses,
  type Interval,
  IntervalMap,
  intervalContains,
  mergeIntervals,
  nextAddress,
} from "../../src/ip/range.ts";
import { runs } from "../../src/testing/effort.ts";
import { allocate } from "./allocate.ts";
import type { RangeConfig } from "./config.schema.ts";
import { type RangeSet, rangeSets } from "./ranges.ts";
import { Used } from "./used.ts";

const address = (text: string): Address => parseAddress(text)!;
const setOf = (...ranges: RangeConfig[]): RangeSet =>
  rangeSets([{ where: "set", at: "", ranges: ranges.map((config) => ({ at: "", config })) }], "1.0.0")![0]!;

class Pool {
  readonly used = new Used();
  /** Addresses that are taken, although firstFree returns them. */
  readonly hidden = new Set<string>();

  constructor(taken: Iterable<string> = []) {
    for (const text of taken) this.used.mark(address(text), true);
  }

  firstFree(interval: Interval): Address | undefined {
    return this.used.firstFree(interval);
  }

  take(one: Address): boolean {
    this.used.mark(one, true);
    return !this.hidden.has(formatAddress(one));
  }
}

const nothing = new IntervalMap<Interval>([]);

function next(set: RangeSet, used: string[] = [], last?: string, excluded: Interval[] = []): string | undefined {
  const found = allocate(
    set,
    last === undefined ? undefined : address(last),
    new IntervalMap(mergeIntervals(excluded)),
    new Pool(used),
  );
  return found && formatAddress(found.address);
}

/** Returns all addresses in the order of allocation, as for ADDs without DEL. */
function drain(set: RangeSet, last?: string): string[] {
  const pool = new Pool();
  const all: string[] = [];
  let cursor = last === undefined ? undefined : address(last);
  for (let found = allocate(set, cursor, nothing, pool); found; found = allocate(set, cursor, nothing, pool)) {
    cursor = found.address;
    all.push(formatAddress(cursor));
  }
  return all;
}

const small = setOf({ subnet: "192.168.1.0/29" });

describe("order (HL-A)", () => {
  it("A1, A2, A3: from the start, from the last one, round the end", () => {
    const all = ["192.168.1.2", "192.168.1.3", "192.168.1.4", "192.168.1.5", "192.168.1.6"];
    expect(drain(small)).toEqual(all);
    expect(drain(small, "192.168.1.6")).toEqual(all);
    expect(drain(small, "192.168.1.3")).toEqual([...all.slice(2), ...all.slice(0, 2)]);
  });

  const wide = (...subnets: string[]): RangeSet => setOf(...subnets.map((subnet) => ({ subnet })));
  it.each([
    [["10.0.0.0/29"], [], undefined, "10.0.0.2"],
    [["2001:db8:1::0/64"], [], undefined, "2001:db8:1::2"],
    [["10.0.0.0/30"], [], undefined, "10.0.0.2"],
    [["10.0.0.0/29"], ["10.0.0.2"], undefined, "10.0.0.3"],
    [["10.0.0.0/29"], [], "10.0.0.5", "10.0.0.6"],
    [["10.0.0.0/29"], ["10.0.0.4", "10.0.0.5"], "10.0.0.3", "10.0.0.6"],
    [["10.0.0.0/29"], ["10.0.0.6"], "10.0.0.5", "10.0.0.2"],
    [["10.0.0.0/29"], ["10.0.0.2"], "10.0.0.128", "10.0.0.3"],
    [["10.0.0.0/29"], ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"], "10.0.0.3", "10.0.0.3"],
    [["10.0.0.0/30", "10.0.1.0/30"], [], undefined, "10.0.0.2"],
    [["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.0.2", "10.0.1.2"],
    [["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], [], "10.0.2.2", "10.0.0.2"],
    [["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], [], "10.0.1.2", "10.0.2.2"],
    [["10.0.0.0/30", "10.0.1.0/30", "10.0.2.0/30"], ["10.0.2.2"], "10.0.1.2", "10.0.0.2"],
  ])("A4: %j used %j last %s gives %s", (subnets, used, last, expected) => {
    expect(next(wide(...subnets), used, last)).toBe(expected);
  });

  it("A11: a full set gives none", () => {
    expect(next(wide("10.0.0.0/30"), ["10.0.0.2"])).toBeUndefined();
    expect(
      next(
        small,
        ["2", "3", "4", "5", "6"].map((n) => `192.168.1.${n}`),
      ),
    ).toBeUndefined();
    expect(next(wide("10.0.0.0/30", "10.0.1.0/30"), ["10.0.0.2", "10.0.1.2"])).toBeUndefined();
  });

  it("A12, A13: network and broadcast addresses when asked for", () => {
    const whole = (net: string) => ({ subnet: `${net}.0/30`, rangeStart: `${net}.0`, rangeEnd: `${net}.3` });
    const set = setOf(whole("192.168.1"), whole("192.168.2"));
    expect(next(set, [], "192.168.1.3")).toBe("192.168.2.0");
    expect(next(set)).toBe("192.168.1.0");
    expect(drain(set)).toEqual(["1.0", "1.2", "1.3", "2.0", "2.2", "2.3"].map((end) => `192.168.${end}`));
  });

  it("skips what is excluded, hands out the second address when there is no gateway", () => {
    const cut = (first: string, last: string): Interval => ({ first: address(first), last: address(last) });
    expect(next(small, [], undefined, [cut("192.168.1.0", "192.168.1.3")])).toBe("192.168.1.4");
    expect(next(small, [], "192.168.1.4", [cut("192.168.1.5", "192.168.1.255")])).toBe("192.168.1.2");
    expect(next(small, [], undefined, [cut("0.0.0.0", "255.255.255.255")])).toBeUndefined();
    expect(next(small, [], undefined, [cut("::", "ffff::")])).toBe("192.168.1.2");
    expect(next(setOf({ subnet: "10.0.0.0/30", noGateway: true }))).toBe("10.0.0.1");
  });
});

describe("large pools", () => {
  function takeAll(pool: Pool, first: string, last: Address): void {
    for (let one: Address | undefined = address(first); one; one = nextAddress(one)) {
      pool.used.mark(one, true);
      if (equalAddresses(one, last)) return;
    }
  }

  it.each([
    ["10.1.0.0/16", "10.1.0.2", "10.1.255.254", "10.1.137.55"],
    ["2001:db8::/112", "2001:db8::2", "2001:db8::ffff", "2001:db8::8000"],
    ["2001:db8::/112", "2001:db8::2", "2001:db8::ffff", "2001:db8::ffff"],
    ["2001:db8::1:0:ffe0:0/111", "2001:db8::1:0:ffe0:2", "2001:db8::1:0:ffe1:ffff", "2001:db8::1:0:ffe1:0"],
  ])("finds the one free address of %s, or none", (subnet, first, last, free) => {
    const set = setOf({ subnet });
    const pool = new Pool();
    takeAll(pool, first, address(last));
    expect(allocate(set, undefined, nothing, pool)).toBeUndefined();
    pool.used.mark(address(free), false);
    expect(formatAddress(allocate(set, address(first), nothing, pool)!.address)).toBe(free);
  });

  it("goes on when an address is taken after all", () => {
    const pool = new Pool(["192.168.1.3"]);
    for (const end of [2, 4, 5]) pool.hidden.add(`192.168.1.${end}`);
    expect(formatAddress(allocate(small, undefined, nothing, pool)!.address)).toBe("192.168.1.6");
    pool.hidden.add("192.168.1.6");
    expect(allocate(small, undefined, nothing, new Pool(["192.168.1.6"]))).toBeDefined();
    pool.used.mark(address("192.168.1.6"), false);
    expect(allocate(small, undefined, nothing, pool)).toBeUndefined();
  });

  it("loads a block when it is asked about, and once", () => {
    const loads: string[] = [];
    const used = new Used((block) => {
      loads.push(block);
      return new Uint8Array(32).fill(block === "0a0000" ? 0xff : 0x7f);
    });
    const interval = { first: address("10.0.0.200"), last: address("10.0.3.255") };
    expect(formatAddress(used.firstFree(interval)!)).toBe("10.0.1.7");
    expect(formatAddress(used.firstFree(interval)!)).toBe("10.0.1.7");
    expect(used.mark(address("10.0.1.7"), true).bits[0]).toBe(0xff);
    expect(formatAddress(used.firstFree(interval)!)).toBe("10.0.1.15");
    expect(loads).toEqual(["0a0000", "0a0001"]);
  });

  it("takes the same time for large ranges and for many excluded addresses (A14)", () => {
    const start = performance.now();
    const cut = { first: address("2001:db8::"), last: address("2001:db8:0:ffff:ffff:ffff:ffff:fffe") };
    expect(next(setOf({ subnet: "::/0" }))).toBe("::2");
    expect(next(setOf({ subnet: "10.0.0.0/8" }), [], "10.255.255.253")).toBe("10.255.255.254");
    expect(next(setOf({ subnet: "2001:db8::/48" }), [], undefined, [cut])).toBe("2001:db8:0:ffff:ffff:ffff:ffff:ffff");
    expect(performance.now() - start).toBeLessThan(100);
  });
});

describe("against a model", () => {
  /** Models the Go plugin's iterator, one address at a time. */
  function model(
    set: RangeSet,
    used: Set<string>,
    last: string | undefined,
    excluded: Set<string>,
  ): string | undefined {
    const all: string[] = [];
    for (const range of set) {
      for (let one = range.first; ; one = nextAddress(one)!) {
        all.push(formatAddress(one));
        if (formatAddress(one) === formatAddress(range.last)) break;
      }
    }
    const gateways = set.map(({ gateway }) => (gateway ? formatAddress(gateway) : ""));
    const inRange = (text: string, i: number): boolean => intervalContains(set[i]!, address(text));
    const start = last === undefined ? -1 : all.indexOf(last);
    const order = [...all.slice(start + 1), ...all.slice(0, start + 1)];
    return order.find(
      (text) =>
        !used.has(text) && !excluded.has(text) && !gateways.some((gateway, i) => gateway === text && inRange(text, i)),
    );
  }

  const v4 = fc.constantFrom(
    { subnet: "10.0.0.0/27" },
    { subnet: "10.0.1.0/30" },
    { subnet: "10.0.2.240/28", rangeStart: "10.0.2.240", rangeEnd: "10.0.2.255" },
    {
      subnet: "10.0.4.0/22",
      rangeStart: "10.0.4.250",
      rangeEnd: "10.0.5.5",
      gateway: "10.0.5.0",
    },
    { subnet: "10.0.8.0/28", noGateway: true },
    { subnet: "10.0.9.0/28", gateway: "10.0.0.5" },
  );
  const v6 = fc.constantFrom(
    { subnet: "2001:db8::/124" },
    { subnet: "2001:db8:2::/64", rangeStart: "2001:db8:2::fff8", rangeEnd: "2001:db8:2::1:8" },
    { subnet: "2001:db8:1::/126", rangeStart: "2001:db8:1::" },
    { subnet: "2001:db8:0:1::/64", rangeStart: "2001:db8:0:1:0:0:1:fffe", rangeEnd: "2001:db8:0:1:0:0:2:2" },
  );
  const pick = (ranges: fc.Arbitrary<RangeConfig>) => fc.uniqueArray(ranges, { minLength: 1, maxLength: 4 });

  it("gives the same address for any set, cursor, use and exclusion", () => {
    fc.assert(
      fc.property(
        fc.oneof(pick(v4), pick(v6)),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 80 }),
        fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
        (ranges, usedAt, lastAt, cutAt) => {
          const set = setOf(...ranges);
          const all = set.flatMap((range) => {
            const texts: string[] = [];
            for (let one = range.first; ; one = nextAddress(one)!) {
              texts.push(formatAddress(one));
              if (formatAddress(one) === formatAddress(range.last)) return texts;
            }
          });
          const at = (share: number): string => all[Math.min(all.length - 1, Math.floor(share * all.length))]!;
          const used = new Set(usedAt.map(at));
          const last = lastAt === null ? undefined : at(lastAt);
          const cut = cutAt.map(at);
          const holes = cut.map((text) => ({ first: address(text), last: address(text) }));
          expect(next(set, [...used], last, holes)).toBe(model(set, used, last, new Set(cut)));
        },
      ),
      runs(3000),
    );
  });
});
