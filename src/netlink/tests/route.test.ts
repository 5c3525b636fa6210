import { describe, it } from "vitest";
import { expectGolden, hex } from "../../testing/golden.ts";
import { type RouteMessage, readRoute, writeRoute, writeRouteQuery } from "../route.ts";

const HEADER = { srcLength: 0, tos: 0, protocol: 3, scope: 0, type: 1, flags: 0 };
const IPV4 = { ...HEADER, family: 2, dstLength: 0, table: 254 };

function golden(captured: string, flags: number, message: RouteMessage): void {
  expectGolden(captured, { type: 24, flags, message }, readRoute, writeRoute);
}

describe("route messages, byte for byte those of ip", () => {
  it("ip route append 10.9.0.0/16 via 10.1.2.1 dev m0 mtu 1400 advmss 1360 metric 10 table 500", () => {
    golden(
      ` | 00000  58 00 00 00 18 00 05 0c  2c 44 00 6b 00 00 00 00  X.......,D.k.... |
        | 00010  02 10 00 00 00 03 00 01  00 00 00 00 08 00 01 00  ................ |
        | 00020  0a 09 00 00 08 00 05 00  0a 01 02 01 08 00 06 00  ................ |
        | 00030  0a 00 00 00 08 00 0f 00  f4 01 00 00 08 00 04 00  ................ |
        | 00040  03 00 00 00 14 00 08 00  08 00 02 00 78 05 00 00  ............x... |
        | 00050  08 00 08 00 50 05 00 00                           ....P...         |`,
      0xc05,
      {
        ...IPV4,
        dstLength: 16,
        table: 0,
        attributes: {
          dst: Uint8Array.of(10, 9, 0, 0),
          gateway: Uint8Array.of(10, 1, 2, 1),
          priority: 10,
          table: 500,
          oif: 3,
          metrics: { mtu: 1400, advmss: 1360 },
        },
      },
    );
  });

  it("ip route add default proto boot nexthop via 10.1.2.1 dev m0 nexthop via 10.1.2.2 dev m0 weight 3", () => {
    golden(
      ` | 00000  40 00 00 00 18 00 05 06  2c 44 00 6b 00 00 00 00  @.......,D.k.... |
        | 00010  02 00 00 00 fe 03 00 01  00 00 00 00 24 00 09 00  ............$... |
        | 00020  10 00 00 00 03 00 00 00  08 00 05 00 0a 01 02 01  ................ |
        | 00030  10 00 00 02 03 00 00 00  08 00 05 00 0a 01 02 02  ................ |`,
      0x605,
      {
        ...IPV4,
        attributes: {
          multipath: [
            { flags: 0, hops: 0, index: 3, attributes: { gateway: Uint8Array.of(10, 1, 2, 1) } },
            { flags: 0, hops: 2, index: 3, attributes: { gateway: Uint8Array.of(10, 1, 2, 2) } },
          ],
        },
      },
    );
  });

  it("ip route add default via 192.168.9.9 dev m0 onlink metric 7", () => {
    golden(
      ` | 00000  34 00 00 00 18 00 05 06  2c 44 00 6b 00 00 00 00  4.......,D.k.... |
        | 00010  02 00 00 00 fe 03 00 01  04 00 00 00 08 00 05 00  ................ |
        | 00020  c0 a8 09 09 08 00 06 00  07 00 00 00 08 00 04 00  ................ |
        | 00030  03 00 00 00                                       ....             |`,
      0x605,
      { ...IPV4, flags: 4, attributes: { gateway: Uint8Array.of(192, 168, 9, 9), priority: 7, oif: 3 } },
    );
  });

  it("ip -6 route add fd01::/64 via fd00::1 dev m0", () => {
    golden(
      ` | 00000  4c 00 00 00 18 00 05 06  2c 44 00 6b 00 00 00 00  L.......,D.k.... |
        | 00010  0a 40 00 00 fe 03 00 01  00 00 00 00 14 00 01 00  .@.............. |
        | 00020  fd 01 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00030  14 00 05 00 fd 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00040  00 00 00 01 08 00 04 00  03 00 00 00              ............     |`,
      0x605,
      {
        ...IPV4,
        family: 10,
        dstLength: 64,
        attributes: {
          dst: hex("fd010000 00000000 00000000 00000000"),
          gateway: hex("fd000000 00000000 00000000 00000001"),
          oif: 3,
        },
      },
    );
  });

  it("ip route add 10.77.0.0/16 via inet6 fd00::1 dev m0", () => {
    golden(
      ` | 00000  44 00 00 00 18 00 05 06  2c 44 00 6b 00 00 00 00  D.......,D.k.... |
        | 00010  02 10 00 00 fe 03 00 01  00 00 00 00 08 00 01 00  ................ |
        | 00020  0a 4d 00 00 16 00 12 00  0a 00 fd 00 00 00 00 00  .M.............. |
        | 00030  00 00 00 00 00 00 00 00  00 01 00 00 08 00 04 00  ................ |
        | 00040  03 00 00 00                                       ....             |`,
      0x605,
      {
        ...IPV4,
        dstLength: 16,
        attributes: {
          dst: Uint8Array.of(10, 77, 0, 0),
          via: { family: 10, address: hex("fd000000 00000000 00000000 00000001") },
          oif: 3,
        },
      },
    );
  });

  it("ip -4 route show table all dev d0, the question", () => {
    expectGolden(
      ` | 00000  24 00 00 00 1a 00 01 03  9e 93 0d 6b 00 00 00 00  $..........k.... |
        | 00010  02 00 00 00 00 00 00 00  00 00 00 00 08 00 04 00  ................ |
        | 00020  03 00 00 00                                       ....             |`,
      {
        ...{ type: 26, flags: 0x301 },
        message: { ...IPV4, protocol: 0, type: 0, table: 0, attributes: { oif: 3 } },
      },
      readRoute,
      (writer, { family, table, attributes }) => writeRouteQuery(writer, family, table, attributes.oif),
    );
  });
});
