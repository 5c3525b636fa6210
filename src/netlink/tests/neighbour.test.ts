import { describe, it } from "vitest";
import { expectGolden } from "../../testing/golden.ts";
import { readNeighbour, writeNeighbour } from "../neighbour.ts";

describe("neighbour messages, byte for byte those of ip", () => {
  it("ip neigh add 10.1.0.2 dev m0 use", () => {
    expectGolden(
      ` | 00000  24 00 00 00 1c 00 05 06  b4 4d 00 6b 00 00 00 00  $........M.k.... |
        | 00010  02 00 00 00 03 00 00 00  80 00 01 00 08 00 01 00  ................ |
        | 00020  0a 01 00 02                                       ....             |`,
      {
        type: 28,
        flags: 0x605,
        message: {
          family: 2,
          index: 3,
          state: 0x80,
          flags: 1,
          attributes: { destination: new Uint8Array([10, 1, 0, 2]) },
        },
      },
      readNeighbour,
      writeNeighbour,
    );
  });
});
