import { describe, it } from "vitest";
import { expectGolden, hex } from "../../testing/golden.ts";
import { readAddress, writeAddress } from "../address.ts";

describe("address messages, byte for byte those of ip", () => {
  it("ip addr add 10.1.2.3/24 broadcast + dev m0", () => {
    const address = Uint8Array.of(10, 1, 2, 3);
    expectGolden(
      ` | 00000  30 00 00 00 14 00 05 06  2c 44 00 6b 00 00 00 00  0.......,D.k.... |
        | 00010  02 18 00 00 03 00 00 00  08 00 02 00 0a 01 02 03  ................ |
        | 00020  08 00 01 00 0a 01 02 03  08 00 04 00 0a 01 02 ff  ................ |`,
      {
        type: 20,
        flags: 0x605,
        message: {
          family: 2,
          prefixLength: 24,
          flags: 0,
          scope: 0,
          index: 3,
          attributes: { local: address, address, broadcast: Uint8Array.of(10, 1, 2, 255) },
        },
      },
      readAddress,
      writeAddress,
    );
  });

  it("ip addr add fd00::5/64 dev m0 nodad", () => {
    const address = hex("fd000000 00000000 00000000 00000005");
    expectGolden(
      ` | 00000  40 00 00 00 14 00 05 06  2c 44 00 6b 00 00 00 00  @.......,D.k.... |
        | 00010  0a 40 02 00 03 00 00 00  14 00 02 00 fd 00 00 00  .@.............. |
        | 00020  00 00 00 00 00 00 00 00  00 00 00 05 14 00 01 00  ................ |
        | 00030  fd 00 00 00 00 00 00 00  00 00 00 00 00 00 00 05  ................ |`,
      {
        type: 20,
        flags: 0x605,
        message: {
          family: 10,
          prefixLength: 64,
          flags: 2,
          scope: 0,
          index: 3,
          attributes: { local: address, address },
        },
      },
      readAddress,
      writeAddress,
    );
  });

  it("asks for the addresses of another namespace, as rtnetlink.h and if_addr.h have it (ip has no word for it)", () => {
    expectGolden(
      ` | 00000  20 00 00 00 16 00 01 03  2c 44 00 6b 00 00 00 00   .......,D.k.... |
        | 00010  00 00 00 00 00 00 00 00  08 00 0a 00 05 00 00 00  ................ |`,
      {
        type: 22,
        flags: 0x301,
        message: { family: 0, prefixLength: 0, flags: 0, scope: 0, index: 0, attributes: { targetNetnsid: 5 } },
      },
      readAddress,
      writeAddress,
    );
  });
});
