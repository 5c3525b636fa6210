import { describe, it } from "vitest";
import { expectGolden, hex } from "../../testing/golden.ts";
import { type RuleMessage, readRule, writeRule } from "../rule.ts";

function golden(captured: string, message: RuleMessage): void {
  expectGolden(captured, { type: 32, flags: 0x605, message }, readRule, writeRule);
}

describe("rule messages, byte for byte those of ip", () => {
  it("ip rule add from 10.0.10.93/32 iif d0 fwmark 0x10/0xff lookup 10001 pref 99", () => {
    golden(
      ` | 00000  4c 00 00 00 20 00 05 06  6a 65 0b 6b 00 00 00 00  L... ...je.k.... |
        | 00010  02 00 20 00 00 00 00 01  00 00 00 00 08 00 02 00  .. ............. |
        | 00020  0a 00 0a 5d 07 00 03 00  64 30 00 00 08 00 0a 00  ...]....d0...... |
        | 00030  10 00 00 00 08 00 10 00  ff 00 00 00 08 00 0f 00  ................ |
        | 00040  11 27 00 00 08 00 06 00  63 00 00 00              .'......c...     |`,
      {
        family: 2,
        dstLength: 0,
        srcLength: 32,
        tos: 0,
        table: 0,
        action: 1,
        flags: 0,
        attributes: { src: hex("0a000a5d"), iif: "d0", mark: 16, markMask: 255, table: 10001, priority: 99 },
      },
    );
  });

  it("ip -6 rule add not from 2001:db8::/64 oif d0 lookup main suppress_prefixlength 0 pref 100", () => {
    golden(
      ` | 00000  48 00 00 00 20 00 05 06  6a 65 0b 6b 00 00 00 00  H... ...je.k.... |
        | 00010  0a 00 40 00 fe 00 00 01  02 00 00 00 14 00 02 00  ..@............. |
        | 00020  20 01 0d b8 00 00 00 00  00 00 00 00 00 00 00 00   ............... |
        | 00030  07 00 11 00 64 30 00 00  08 00 0e 00 00 00 00 00  ....d0.......... |
        | 00040  08 00 06 00 64 00 00 00                           ....d...         |`,
      {
        family: 10,
        dstLength: 0,
        srcLength: 64,
        tos: 0,
        table: 254,
        action: 1,
        flags: 2,
        attributes: {
          src: hex("20010db8 00000000 00000000 00000000"),
          oif: "d0",
          suppressPrefixLength: 0,
          priority: 100,
        },
      },
    );
  });
});
