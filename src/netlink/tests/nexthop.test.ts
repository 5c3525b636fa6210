import { describe, expect, it } from "vitest";
import { hex, toHex } from "../../testing/golden.ts";
import { Bytes, Writer } from "../bytes.ts";
import { readNexthop, writeNexthopQuery } from "../nexthop.ts";

describe("nexthop messages, byte for byte those of ip", () => {
  it("ip nexthop add id 7 via 10.1.2.1 dev m0, read as the answer to our query would be", () => {
    const captured = hex(
      ` | 00000  30 00 00 00 68 00 05 06  2c 44 00 6b 00 00 00 00  0...h...,D.k.... |
        | 00010  02 00 00 00 00 00 00 00  08 00 01 00 07 00 00 00  ................ |
        | 00020  08 00 06 00 0a 01 02 01  08 00 05 00 03 00 00 00  ................ |`,
    );
    expect(readNexthop(Bytes.from(captured), 16, captured.length)).toEqual({ id: 7, oif: 3 });
    const writer = new Writer(16);
    writeNexthopQuery(writer, 7);
    expect(toHex(writer.written())).toBe("0000000000000000" + "0800010007000000");
  });
});
