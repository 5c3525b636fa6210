import { execFileSync, spawnSync } from "node:child_process";
import { isIP } from "node:net";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { Address6 } from "ip-address";
import { describe, expect, it } from "vitest";
import { addressOf, formatAddress, formatPrefix, parseAddress, parsePrefix } from "./address.ts";
import { formatMac, parseMac } from "./mac.ts";
import { networkPrefix } from "./range.ts";

const hasGo = spawnSync("go", ["version"]).status === 0;

/** One line of oracle.go for each text. */
function askGo(texts: string[]): { address: string; prefix: string; mac: string }[] {
  const program = fileURLToPath(new URL("oracle.go", import.meta.url));
  const output = execFileSync("go", ["run", program], { input: `${texts.join("\n")}\n`, encoding: "utf8" });
  return output
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [address = "", prefix = "", mac = ""] = line.split("\t");
      return { address, prefix, mac };
    });
}

function ours(text: string): { address: string; prefix: string; mac: string } {
  const address = parseAddress(text);
  const prefix = parsePrefix(text);
  const mac = parseMac(text);
  return {
    address: address ? formatAddress(address) : "-",
    prefix: prefix ? `${formatPrefix(prefix)} ${formatPrefix(networkPrefix(prefix))}` : "-",
    mac: mac ? formatMac(mac) : "-",
  };
}

const BAD =
  `0 1 1.2 1.2.3 1.2.3.4.5 256.0.0.1 1.2.3.256 01.2.3.4 1.02.3.4 1.2.3.00 0x1.2.3.4 1..2.3 .1.2.3 1.2.3. 1.2.3.4. -1.2.3.4 +1.2.3.4
  1.2.3.4% 1.2.3.4%eth0 : ::: :1 1: 1:2 :1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8: 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1::2::3 1:::2 ::1: 1:2:3:4::5:6:7:8
  ::12345 ::g fe80::1%eth0 ::% ::1/ ::1/129 ::1/-1 ::1/+1 ::1/1a 1.2.3.4/ 1.2.3.4/33 1.2.3.4/-1 1.2.3.4/24/24 /24 1.2.3.4/0x18
  ::1.2.3 ::1.2.3.4.5 ::1.2.3.256 ::01.2.3.4 1:2:3:4:5:6:7:1.2.3.4 1:2:3:4:5:1.2.3.4 ::1.2.3.4:5 1.2.3.4::
  00:11:22:33:44 00:11:22:33:44:5 00:11:22:33:44:55: 00-11:22-33:44-55 0011.2233 0011.2233.4455.66 00.11.22.33.44.55 g0:11:22:33:44:55
  0:0:0:0:0:0 00:11:22:33:44:55:66`.split(/\s+/);
const GOOD =
  `0.0.0.0 1.2.3.4 255.255.255.255 10.0.0.1/24 10.0.0.1/0 10.0.0.1/032 10.0.0.1/32 :: ::1 1:: 1::8 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7::
  ::2:3:4:5:6:7:8 1:0:0:4:0:0:0:8 1:0:0:4:5:0:0:8 1:0:3:0:5:0:7:0 2001:DB8::00a 0:0:0:0:0:0:0:0 ::ffff:1.2.3.4 ::FFFF:102:304 ::1.2.3.4 64:ff9b::1.2.3.4
  1:2:3:4:5:6:1.2.3.4 1::4:5:6:1.2.3.4 2001:db8::1/64 ::/0 ::/128 1::/00016 3ffe:ffff:0:01ff::1/64 ::ffff:10.0.0.1/120 ::ffff:10.0.0.1/96
  00:11:22:aa:bb:FF 00-11-22-33-44-55 0011.2233.4455 00:11:22:33:44:55:66:77 0011.2233.4455.6677
  00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01`.split(/\s+/);

const text6 = fc
  .array(
    fc.constantFrom(
      "0",
      "00",
      "1",
      "a",
      "FF",
      "abcd",
      "12345",
      "",
      ":",
      "::",
      "1.2.3.4",
      "0.0.0.0",
      "%z",
      "/64",
      "/0",
      "/129",
      "g",
    ),
    {
      maxLength: 10,
    },
  )
  .map((parts) => parts.join(":"));
const text4 = fc
  .array(fc.constantFrom("0", "00", "01", "1", "10", "255", "256", "", "a", "1/24", "0/32", "1/33"), {
    minLength: 3,
    maxLength: 5,
  })
  .map((parts) => parts.join("."));
const noise = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF:./%-g".split("")), maxLength: 46 });
const bytes16 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 })
  .map((array) => Uint8Array.from(array));

describe("addresses", () => {
  it("accepts and refuses what the field's vectors say", () => {
    for (const text of BAD) expect([text, ours(text)]).toEqual([text, { address: "-", prefix: "-", mac: "-" }]);
    for (const text of GOOD) expect([text, ours(text)]).not.toEqual([text, { address: "-", prefix: "-", mac: "-" }]);
  });

  it.skipIf(!hasGo)("agrees with Go's net package", { timeout: 120_000 }, () => {
    const generated = fc.sample(fc.oneof(text4, text6, noise), { numRuns: 20_000, seed: 1 });
    // Go prints a v4-mapped prefix below /96 as a prefix that means something else; we refuse it.
    const texts = [...BAD, ...GOOD, ...generated].filter(
      (text) => text !== "" && !/^::ffff:.*\/([0-8]?\d|9[0-5])$/i.test(text),
    );
    const answers = askGo(texts);
    expect(answers).toHaveLength(texts.length);
    texts.forEach((text, i) => {
      expect([text, ours(text)]).toEqual([text, answers[i]]);
    });
  });

  it.skipIf(!hasGo)("prints IPv6 as Go does", { timeout: 120_000 }, () => {
    const samples = fc.sample(bytes16, { numRuns: 20_000, seed: 2 });
    const long = samples.map((bytes) =>
      Array.from({ length: 8 }, (_, i) => (bytes[i * 2]! * 256 + bytes[i * 2 + 1]!).toString(16)).join(":"),
    );
    const answers = askGo(long);
    samples.forEach((bytes, i) => {
      expect(formatAddress(addressOf(bytes))).toBe(answers[i]!.address);
    });
  });

  it("agrees with Node about what an address is", () => {
    fc.assert(
      fc.property(fc.oneof(text4, text6, noise), (text) => {
        // Node knows zones; Go's ParseIP and we do not.
        expect(parseAddress(text) !== undefined).toBe(isIP(text) !== 0 && !text.includes("%"));
      }),
      { numRuns: 20_000 },
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
      { numRuns: 5_000 },
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
    for (const text of ["02:00:5e:10:AB:01", "02-00-5E-10-ab-01", "0200.5e10.ab01"]) {
      expect(formatMac(parseMac(text)!)).toBe("02:00:5e:10:ab:01");
    }
    expect(formatMac(new Uint8Array(0))).toBe("");
  });
});
