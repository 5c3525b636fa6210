// Texts that are addresses, prefixes or MAC addresses, or almost: fixed ones and generators.
import fc from "fast-check";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../ip/address.ts";
import { formatMac, parseMac } from "../ip/mac.ts";
import { networkPrefix } from "../ip/range.ts";

export const BAD =
  `0 1 1.2 1.2.3 1.2.3.4.5 256.0.0.1 1.2.3.256 01.2.3.4 1.02.3.4 1.2.3.00 0x1.2.3.4 1..2.3 .1.2.3 1.2.3. 1.2.3.4. -1.2.3.4 +1.2.3.4
  1.2.3.4% 1.2.3.4%eth0 : ::: :1 1: 1:2 :1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8: 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1::2::3 1:::2 ::1: 1:2:3:4::5:6:7:8
  ::12345 ::g fe80::1%eth0 ::% ::1/ ::1/129 ::1/-1 ::1/+1 ::1/1a 1.2.3.4/ 1.2.3.4/33 1.2.3.4/-1 1.2.3.4/24/24 /24 1.2.3.4/0x18
  ::1.2.3 ::1.2.3.4.5 ::1.2.3.256 ::01.2.3.4 1:2:3:4:5:6:7:1.2.3.4 1:2:3:4:5:1.2.3.4 ::1.2.3.4:5 1.2.3.4::
  00:11:22:33:44 00:11:22:33:44:5 00:11:22:33:44:55: 00-11:22-33:44-55 0011.2233 0011.2233.4455.66 00.11.22.33.44.55 g0:11:22:33:44:55
  0:0:0:0:0:0 00:11:22:33:44:55:66`.split(/\s+/);
export const GOOD =
  `0.0.0.0 1.2.3.4 255.255.255.255 10.0.0.1/24 10.0.0.1/0 10.0.0.1/032 10.0.0.1/32 :: ::1 1:: 1::8 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7::
  ::2:3:4:5:6:7:8 1:0:0:4:0:0:0:8 1:0:0:4:5:0:0:8 1:0:3:0:5:0:7:0 2001:DB8::00a 0:0:0:0:0:0:0:0 ::ffff:1.2.3.4 ::FFFF:102:304 ::1.2.3.4 64:ff9b::1.2.3.4
  1:2:3:4:5:6:1.2.3.4 1::4:5:6:1.2.3.4 2001:db8::1/64 ::/0 ::/128 1::/00016 3ffe:ffff:0:01ff::1/64 ::ffff:10.0.0.1/120 ::ffff:10.0.0.1/96
  00:11:22:aa:bb:FF 00-11-22-33-44-55 0011.2233.4455 00:11:22:33:44:55:66:77 0011.2233.4455.6677
  00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01`.split(/\s+/);

export const text6 = fc
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
export const text4 = fc
  .array(fc.constantFrom("0", "00", "01", "1", "10", "255", "256", "", "a", "1/24", "0/32", "1/33"), {
    minLength: 3,
    maxLength: 5,
  })
  .map((parts) => parts.join("."));
export const noise = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF:./%-g".split("")), maxLength: 46 });
export const bytes16 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 })
  .map((array) => Uint8Array.from(array));

/** What our parsers return for a text. "-": it is invalid. */
export function ours(text: string): { address: string; prefix: string; mac: string } {
  const address = parseAddress(text);
  const prefix = parsePrefix(text);
  const mac = parseMac(text);
  return {
    address: address ? formatAddress(address) : "-",
    prefix: prefix ? `${formatPrefix(prefix)} ${formatPrefix(networkPrefix(prefix))}` : "-",
    mac: mac ? formatMac(mac) : "-",
  };
}
