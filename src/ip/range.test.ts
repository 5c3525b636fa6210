import fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import { describe, expect, it } from "vitest";
import { type Address, addressOf, formatAddress, formatPrefix, parseAddress, parsePrefix } from "./address.ts";
import * as range from "./range.ts";

const address = (text: string): Address => parseAddress(text)!;

const anyAddress = fc
  .tuple(
    fc.constantFrom(4, 16),
    fc.array(fc.oneof(fc.constantFrom(0, 255), fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 }),
  )
  .map(([size, bytes]) => addressOf(Uint8Array.from(bytes).slice(0, size)));
const anyPrefix = anyAddress.chain((value) =>
  fc.integer({ min: 0, max: value.bytes.length * 8 }).map((length) => ({ address: value, length })),
);

function number(value: Address): bigint {
  return value.bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

describe("addresses for many", () => {
  it("are multicast, limited broadcast and unspecified", () => {
    for (const text of ["224.0.0.18", "239.255.255.255", "255.255.255.255", "0.0.0.0", "ff02::1", "::"])
      expect(range.isForMany(address(text))).toBe(true);
  });

  it("are not the addresses beside them", () => {
    for (const text of ["223.255.255.255", "240.0.0.1", "255.255.255.254", "0.0.0.1", "fe80::1", "::1", "::1:0"])
      expect(range.isForMany(address(text))).toBe(false);
  });
});

describe("prefixes", () => {
  it("has the first and last address that ip-address computes", () => {
    fc.assert(
      fc.property(anyPrefix, (prefix) => {
        const oracle =
          prefix.address.family === 4 ? new Address4(formatPrefix(prefix)) : new Address6(formatPrefix(prefix));
        expect(number(range.networkAddress(prefix))).toBe(oracle.startAddress().bigInt());
        expect(number(range.lastAddress(prefix))).toBe(oracle.endAddress().bigInt());
        expect(range.isNetwork(prefix)).toBe(oracle.startAddress().bigInt() === number(prefix.address));
      }),
    );
  });

  it("contains what lies between its first and last address", () => {
    fc.assert(
      fc.property(anyPrefix, anyAddress, (prefix, other) => {
        const inside =
          other.family === prefix.address.family &&
          range.intervalContains({ first: range.networkAddress(prefix), last: range.lastAddress(prefix) }, other);
        expect(range.prefixContains(prefix, other)).toBe(inside);
        expect(range.prefixContains(prefix, prefix.address)).toBe(true);
      }),
    );
    expect(range.prefixContains(parsePrefix("10.1.2.3/24")!, address("10.1.2.255"))).toBe(true);
    expect(range.prefixContains(parsePrefix("10.1.2.3/24")!, address("10.1.3.0"))).toBe(false);
    expect(range.prefixContains(parsePrefix("0.0.0.0/0")!, address("::1"))).toBe(false);
  });
});

describe("neighbours and order", () => {
  it("steps forth and back by one", () => {
    fc.assert(
      fc.property(anyAddress, (value) => {
        const next = range.nextAddress(value);
        if (next === undefined) expect(number(value) + 1n).toBe(1n << BigInt(value.bytes.length * 8));
        else {
          expect(number(next)).toBe(number(value) + 1n);
          expect(range.previousAddress(next)).toEqual(value);
          expect(range.compareAddresses(value, next)).toBeLessThan(0);
        }
      }),
    );
    expect(formatAddress(range.nextAddress(address("10.0.0.255"))!)).toBe("10.0.1.0");
    expect(range.nextAddress(address("255.255.255.255"))).toBeUndefined();
    expect(range.previousAddress(address("::"))).toBeUndefined();
    expect(formatAddress(range.previousAddress(address("2001:db8::"))!)).toBe("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff");
  });

  it("orders by value, IPv4 first", () => {
    fc.assert(
      fc.property(anyAddress, anyAddress, (a, b) => {
        const expected =
          a.family !== b.family
            ? a.family - b.family
            : Number(number(a) - number(b) > 0n) - Number(number(a) - number(b) < 0n);
        expect(Math.sign(range.compareAddresses(a, b))).toBe(Math.sign(expected));
        expect(range.equalAddresses(a, b)).toBe(expected === 0);
      }),
    );
  });
});

describe("intervals (HL-R overlap table)", () => {
  const interval = (first: string, last: string) => ({ first: address(first), last: address(last) });
  it.each([
    ["disjoint", "10.0.0.1", "10.0.0.254", "10.0.1.1", "10.0.1.254", false],
    ["families", "0.0.0.1", "0.0.0.254", "::1", "::fe", false],
    ["identical", "10.0.0.1", "10.0.0.254", "10.0.0.1", "10.0.0.254", true],
    ["containing", "10.0.0.1", "10.0.15.254", "10.0.2.1", "10.0.2.254", true],
    ["split", "10.0.0.1", "10.0.0.127", "10.0.0.128", "10.0.0.254", false],
    ["touching", "10.0.0.1", "10.0.0.127", "10.0.0.127", "10.0.0.254", true],
  ])("%s", (_name, a, b, c, d, expected) => {
    expect(range.intervalsOverlap(interval(a, b), interval(c, d))).toBe(expected);
    expect(range.intervalsOverlap(interval(c, d), interval(a, b))).toBe(expected);
  });
});

describe("many intervals", () => {
  const small = fc
    .tuple(fc.constantFrom(4, 6), fc.integer({ min: 0, max: 120 }), fc.integer({ min: 0, max: 9 }))
    .map(([family, low, more]) => {
      const at = (n: number) => address(family === 4 ? `10.0.0.${n}` : `2001:db8::${n.toString(16)}`);
      return { first: at(low), last: at(Math.min(low + more, 121)) };
    });
  const some = fc.array(small, { maxLength: 12 });

  it("an overlapping pair is found exactly when there is one", () => {
    fc.assert(
      fc.property(some, (list) => {
        const pairs = list.flatMap((a, i) =>
          list.flatMap((b, j) => (i < j && range.intervalsOverlap(a, b) ? [`${i} ${j}`] : [])),
        );
        const found = range.overlappingPair(list);
        if (found === undefined) expect(pairs).toEqual([]);
        else expect(pairs).toContain(found.join(" "));
      }),
    );
  });

  it("of disjoint intervals the one of an address, and those that an interval touches, are found", () => {
    fc.assert(
      fc.property(some, small, (list, other) => {
        const merged = range.mergeIntervals(list);
        expect(range.overlappingPair(merged)).toBeUndefined();
        const map = new range.IntervalMap(merged);
        for (const probe of [other.first, other.last]) {
          const inside = list.some((interval) => range.intervalContains(interval, probe));
          const found = map.find(probe);
          expect(found !== undefined).toBe(inside);
          if (found !== undefined) expect(range.intervalContains(found, probe)).toBe(true);
        }
        expect(map.overlapping(other)).toEqual(merged.filter((interval) => range.intervalsOverlap(interval, other)));
      }),
    );
  });

  it("8,192 disjoint ranges take less than a second", () => {
    const at = (n: number) => address(`10.${n >> 8}.${n & 255}.1`);
    const list = Array.from({ length: 8192 }, (_, n) => ({ first: at(n), last: at(n) }));
    const begin = process.cpuUsage();
    expect(range.overlappingPair(list)).toBeUndefined();
    expect(process.cpuUsage(begin).user).toBeLessThan(1e6);
  });
});
