import { it } from "vitest";
import { expectGolden } from "../../testing/golden.ts";
import { readNumber, writeNumber } from "../nsid.ts";

it("ip netns set c1 auto, byte for byte that of ip", () => {
  expectGolden(
    ` | 00000  24 00 00 00 58 00 05 00  bb 52 0d 6b 00 00 00 00  $...X....R.k.... |
      | 00010  00 00 00 00 08 00 03 00  06 00 00 00 08 00 01 00  ................ |
      | 00020  ff ff ff ff                                       ....             |`,
    { type: 88, flags: 0x5, message: { nsid: -1, fd: 6 } },
    readNumber,
    (writer, { fd }) => writeNumber(writer, fd!),
  );
});
