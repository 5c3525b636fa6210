import { describe, it } from "vitest";
import { expectGolden } from "../../testing/golden.ts";
import type { Writer } from "../bytes.ts";
import { type LinkMessage, readLink, writeLink } from "../link.ts";
import type { VfAttributes } from "../vf.ts";

const HEADER = "10 00 05 00  2c 44 00 6b 00 00 00 00 00 00 00 00 01 00 00 00  00 00 00 00 00 00 00 00";

function write(writer: Writer, { index, attributes }: LinkMessage): void {
  writeLink(writer, index, 0, 0, attributes);
}

function golden(length: string, captured: string, attributes: VfAttributes): void {
  const message = { family: 0, type: 0, index: 1, flags: 0, change: 0, attributes: { vfInfo: [attributes] } };
  expectGolden(`${length} 00 00 00 ${HEADER} ${captured}`, { type: 16, flags: 5, message }, readLink, write);
}

describe("ip link set lo vf 1 …, byte for byte", () => {
  it("vlan 100 qos 3", () => {
    golden("38", "18001600 14000100 10000200 01000000 64000000 03000000", { vlan: { vf: 1, vlan: 100, qos: 3 } });
  });

  it("vlan 100 qos 3 proto 802.1ad: the 16-byte form, protocol in network order", () => {
    golden("40", "20001600 1c000100 18000c00 14000100 01000000 64000000 03000000 88a80000", {
      vlanList: [{ vf: 1, vlan: 100, qos: 3, protocol: 0x88a8 }],
    });
  });

  it("mac 60:00:00:00:00:e1", () => {
    const address = new Uint8Array(32);
    address.set([0x60, 0, 0, 0, 0, 0xe1]);
    golden("50", `30001600 2c000100 28000100 01000000 60000000 00e10000${"00".repeat(24)}`, {
      mac: { vf: 1, address },
    });
  });

  it("spoofchk on", () => {
    golden("34", "14001600 10000100 0c000400 01000000 01000000", { spoofchk: { vf: 1, setting: 1 } });
  });

  it("trust on", () => {
    golden("34", "14001600 10000100 0c000900 01000000 01000000", { trust: { vf: 1, setting: 1 } });
  });

  it("state enable", () => {
    golden("34", "14001600 10000100 0c000500 01000000 01000000", { linkState: { vf: 1, state: 1 } });
  });

  it("min_tx_rate 100 max_tx_rate 200", () => {
    golden("38", "18001600 14000100 10000600 01000000 64000000 c8000000", { rate: { vf: 1, min: 100, max: 200 } });
  });
});
