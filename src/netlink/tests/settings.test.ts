import { describe, expect, it } from "vitest";
import { expectGolden, hex } from "../../testing/golden.ts";
import { Bytes, Writer } from "../bytes.ts";
import { readSettings, type SettingsMessage, writeSettings } from "../settings.ts";

function golden(captured: string, attributes: SettingsMessage["attributes"]): void {
  const message = { index: 3, attributes };
  expectGolden(captured, { type: 16, flags: 5, message }, readSettings, writeSettings);
}

describe("settings of links, byte for byte those of ip", () => {
  it("ip link set dev d0 gso_max_size 32768 gso_max_segs 9 gro_max_size 20000", () =>
    golden(
      ` | 00000  38 00 00 00 10 00 05 00  a1 6f 0b 6b 00 00 00 00  8........o.k.... |
        | 00010  00 00 00 00 03 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  08 00 29 00 00 80 00 00  08 00 28 00 09 00 00 00  ..).......(..... |
        | 00030  08 00 3a 00 20 4e 00 00                           ..:. N..         |`,
      { gsoMaxSize: 32768, gsoMaxSegs: 9, groMaxSize: 20000 },
    ));

  it("ip link set dev d0 broadcast ff:ff:ff:ff:ff:00", () =>
    golden(
      ` | 00000  2c 00 00 00 10 00 05 00  a1 6f 0b 6b 00 00 00 00  ,........o.k.... |
        | 00010  00 00 00 00 03 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0a 00 02 00 ff ff ff ff  ff 00 00 00              ............     |`,
      { broadcast: hex("ffffffffff00") },
    ));

  it("ip link set dev d0 xdp off", () =>
    golden(
      ` | 00000  34 00 00 00 10 00 05 00  a1 6f 0b 6b 00 00 00 00  4........o.k.... |
        | 00010  00 00 00 00 03 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  14 00 2b 00 08 00 01 00  ff ff ff ff 08 00 03 00  ..+............. |
        | 00030  01 00 00 00                                       ....             |`,
      { xdp: { fd: -1, flags: 1 } },
    ));
});

it("sysctls of both families go there and back, negative ones too", () => {
  const message = {
    index: 5,
    attributes: { families: { inet: { conf: Int32Array.of(1, -1) }, inet6: { conf: Int32Array.of(0, 64, -2) } } },
  };
  const writer = new Writer(16);
  writeSettings(writer, message);
  expect(readSettings(Bytes.from(writer.written()), 0, writer.length)).toEqual(message);
});
