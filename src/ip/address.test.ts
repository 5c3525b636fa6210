import { isIP } from "node:net";
import fc from "fast-check";
import { Address6 } from "ip-address";
import { describe, expect, it } from "vitest";
import { BAD, bytes16, GOOD, noise, ours, text4, text6 } from "../testing/address-texts.ts";
import { runs } from "../testing/effort.ts";
import { addressOf, formatAddress, parseAddress, parsePrefix } from "./address.ts";
import { formatMac, parseMac } from "./mac.ts";

describe("addresses", () => {
  it("accepts and refuses what the field's vectors say", () => {
    for (const text of BAD) expect([text, ours(text)]).toEqual([text, { address: "-", prefix: "-", mac: "-" }]);
    for (const text of GOOD) expect([text, ours(text)]).not.toEqual([text, { address: "-", prefix: "-", mac: "-" }]);
  });

  it("agrees with Node about what an address is", () => {
    fc.assert(
      fc.property(fc.oneof(text4, text6, noise), (text) => {
        // Node accepts zones. Go's ParseIP and podnic do not.
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0 && !text.includes("%"));
      }),
      runs(20_000),
    );
  });

  it("prints IPv6 as ip-address does, and reads back what it printed", () => {
    fc.assert(
      fc.property(bytes16, (bytes) => {
        const address = addressOf(bytes);
        const text = formatAddress(address);
        if (address.family === 6) expect(text).toBe(Address6.fromByteArray([...bytes]).correctForm());
        expect(parseAddress(text)).toEqual(address);
      }),
      runs(5_000),
    );
  });

  it("takes a v4-mapped address for IPv4", () => {
    expect(parseAddress("::ffff:192.0.2.1")).toEqual(parseAddress("192.0.2.1"));
    expect(parseAddress("::ffff:c000:201")).toEqual(parseAddress("192.0.2.1"));
    expect(parsePrefix("::ffff:192.0.2.1/120")).toEqual(parsePrefix("192.0.2.1/24"));
    expect(parsePrefix("::ffff:192.0.2.1/95")).toBeUndefined();
  });

  it("refuses long text unread", () => {
    expect(parseAddress("1".repeat(1 << 20))).toBeUndefined();
    expect(parseAddress(`::${"0".repeat(60)}`)).toBeUndefined();
    expect(parsePrefix(`10.0.0.1/${"0".repeat(60)}24`)).toBeUndefined();
  });
});

describe("MACs", () => {
  it("reads every form and prints the colon form", () => {
    for (const text of ["02:00:5e:10:AB:01", "02-00-5E-10-ab-01", "0200.5e10.ab01", "02005e10AB01"]) {
      expect(formatMac(parseMac(text)!)).toBe("02:00:5e:10:ab:01");
    }
    expect(formatMac(new Uint8Array(0))).toBe("");
    expect(parseMac("02005e10ab010203")).toHaveLength(8);
  });

  it("refuses mixed and incomplete forms", () => {
    const wrong = [
      "02:00-5e:10:ab:01",
      "0200:5e10:ab01",
      "02005e10ab0",
      "02005e10ab0g",
      "02005e10ab0102",
      "0200.5e10ab01.",
      "",
    ];
    for (const text of wrong) expect(parseMac(text)).toBeUndefined();
  });
});
