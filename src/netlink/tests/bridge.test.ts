import { describe, expect, it } from "vitest";
import { expectGolden, hex, toHex } from "../../testing/golden.ts";
import { type PortChange, readPortChange, readVlans, writePortChange, writeVlanQuery } from "../bridge.ts";
import { Bytes, Writer } from "../bytes.ts";
import { type LinkMessage, readLink, writeLink } from "../link.ts";
import { readNeighbour, writeNeighbour } from "../neighbour.ts";

const CREATE = 0x605;
const ACK = 0x5;
const mac = (last: number) => Uint8Array.of(2, 0, 0, 0, 0, last);

describe("bridges and their ports, byte for byte those of ip", () => {
  function golden(captured: string, attributes: LinkMessage["attributes"]): void {
    const message = { family: 0, type: 0, index: 0, flags: 0, change: 0, attributes };
    expectGolden(captured, { type: 16, flags: CREATE, message }, readLink, (writer, each) =>
      writeLink(writer, each.index, each.flags, each.change, each.attributes),
    );
  }

  it("ip link add br0 address 02:00:00:00:00:b0 mtu 1400 type bridge vlan_filtering 1 ageing_time 300", () => {
    golden(
      ` | 00000  60 00 00 00 10 00 05 06  50 96 0b 6b 00 00 00 00  \`.......P..k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0a 00 01 00 02 00 00 00  00 b0 00 00 08 00 04 00  ................ |
        | 00030  78 05 00 00 08 00 03 00  62 72 30 00 24 00 12 00  x.......br0.$... |
        | 00040  0a 00 01 00 62 72 69 64  67 65 00 00 14 00 02 00  ....bridge...... |
        | 00050  05 00 07 00 01 00 00 00  08 00 04 00 2c 01 00 00  ............,... |`,
      {
        address: mac(0xb0),
        mtu: 1400,
        name: "br0",
        linkInfo: { kind: "bridge", data: { vlanFiltering: 1, ageingTime: 300 } },
      },
    );
  });

  it("ip link add vethcafe1234 address … mtu 1400 master br0 type veth peer name eth0 address … mtu 1400 netns pod", () => {
    golden(
      ` | 00000  9c 00 00 00 10 00 05 06  50 96 0b 6b 00 00 00 00  ........P..k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0a 00 01 00 02 00 00 00  00 01 00 00 08 00 04 00  ................ |
        | 00030  78 05 00 00 08 00 0a 00  03 00 00 00 11 00 03 00  x............... |
        | 00040  76 65 74 68 63 61 66 65  31 32 33 34 00 00 00 00  vethcafe1234.... |
        | 00050  4c 00 12 00 08 00 01 00  76 65 74 68 40 00 02 00  L.......veth@... |
        | 00060  3c 00 01 00 00 00 00 00  00 00 00 00 00 00 00 00  <............... |
        | 00070  00 00 00 00 0a 00 01 00  02 00 00 00 00 02 00 00  ................ |
        | 00080  08 00 04 00 78 05 00 00  08 00 1c 00 04 00 00 00  ....x........... |
        | 00090  09 00 03 00 65 74 68 30  00 00 00 00              ....eth0....     |`,
      {
        address: mac(1),
        mtu: 1400,
        master: 3,
        name: "vethcafe1234",
        linkInfo: { kind: "veth", data: { peer: { address: mac(2), mtu: 1400, netNsFd: 4, name: "eth0" } } },
      },
    );
  });

  it("ip link add link br0 name br0.7 type vlan id 7", () => {
    golden(
      ` | 00000  4c 00 00 00 10 00 05 06  50 96 0b 6b 00 00 00 00  L.......P..k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  08 00 05 00 03 00 00 00  0a 00 03 00 62 72 30 2e  ............br0. |
        | 00030  37 00 00 00 18 00 12 00  08 00 01 00 76 6c 61 6e  7...........vlan |
        | 00040  0c 00 02 00 06 00 01 00  07 00 00 00              ............     |`,
      { link: 3, name: "br0.7", linkInfo: { kind: "vlan", data: { vlanId: 7 } } },
    );
  });
});

describe("changes of ports, byte for byte those of bridge", () => {
  function golden(captured: string, type: number, index: number, change: PortChange): void {
    expectGolden(captured, { type, flags: ACK, message: { index, change } }, readPortChange, (writer, each) =>
      writePortChange(writer, each.index, each.change),
    );
  }

  it("bridge link set dev vethcafe1234 hairpin on isolated on learning off locked on", () => {
    golden(
      ` | 00000  44 00 00 00 13 00 05 00  51 96 0b 6b 00 00 00 00  D.......Q..k.... |
        | 00010  07 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  24 00 0c 80 05 00 04 00  01 00 00 00 05 00 08 00  $............... |
        | 00030  00 00 00 00 05 00 21 00  01 00 00 00 05 00 27 00  ......!.......'. |
        | 00040  01 00 00 00                                       ....             |`,
      19,
      4,
      { port: { hairpin: 1, learning: 0, isolated: 1, locked: 1 } },
    );
  });

  it("bridge link set dev vethcafe1234 neigh_suppress on", () => {
    golden(
      ` | 00000  2c 00 00 00 13 00 05 00  51 96 0b 6b 00 00 00 00  ,.......Q..k.... |
        | 00010  07 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0c 00 0c 80 05 00 20 00  01 00 00 00              ...... .....     |`,
      19,
      4,
      { port: { neighSuppress: 1 } },
    );
  });

  it("bridge vlan add dev vethcafe1234 vid 7 pvid untagged", () => {
    golden(
      ` | 00000  2c 00 00 00 13 00 05 00  51 96 0b 6b 00 00 00 00  ,.......Q..k.... |
        | 00010  07 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0c 00 1a 00 08 00 02 00  06 00 07 00              ............     |`,
      19,
      4,
      { spec: { vlans: [{ flags: 6, vid: 7 }] } },
    );
  });

  it("bridge vlan add dev vethcafe1234 vid 20-22", () => {
    golden(
      ` | 00000  34 00 00 00 13 00 05 00  51 96 0b 6b 00 00 00 00  4.......Q..k.... |
        | 00010  07 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  14 00 1a 00 08 00 02 00  08 00 14 00 08 00 02 00  ................ |
        | 00030  10 00 16 00                                       ....             |`,
      19,
      4,
      {
        spec: {
          vlans: [
            { flags: 8, vid: 20 },
            { flags: 16, vid: 22 },
          ],
        },
      },
    );
  });

  it("bridge vlan del dev vethcafe1234 vid 1", () => {
    golden(
      ` | 00000  2c 00 00 00 11 00 05 00  51 96 0b 6b 00 00 00 00  ,.......Q..k.... |
        | 00010  07 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0c 00 1a 00 08 00 02 00  00 00 01 00              ............     |`,
      17,
      4,
      { spec: { vlans: [{ flags: 0, vid: 1 }] } },
    );
  });

  it("bridge vlan add dev br0 vid 7 self", () => {
    golden(
      ` | 00000  34 00 00 00 13 00 05 00  51 96 0b 6b 00 00 00 00  4.......Q..k.... |
        | 00010  07 00 00 00 03 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  14 00 1a 00 06 00 00 00  02 00 00 00 08 00 02 00  ................ |
        | 00030  00 00 07 00                                       ....             |`,
      19,
      3,
      { spec: { flags: 2, vlans: [{ flags: 0, vid: 7 }] } },
    );
  });
});

describe("forwarding tables, byte for byte those of bridge", () => {
  const golden = (captured: string, type: number, flags: number, message: ReturnType<typeof readNeighbour>) =>
    expectGolden(captured, { type, flags, message }, readNeighbour, writeNeighbour);

  it("bridge fdb add 02:00:00:00:00:02 dev vethcafe1234 master static sticky", () => {
    golden(
      ` | 00000  28 00 00 00 1c 00 05 06  4a 98 0b 6b 00 00 00 00  (.......J..k.... |
        | 00010  07 00 00 00 04 00 00 00  42 00 44 00 0a 00 02 00  ........B.D..... |
        | 00020  02 00 00 00 00 02 00 00                           ........         |`,
      28,
      CREATE,
      { family: 7, index: 4, state: 0x42, flags: 0x44, attributes: { address: mac(2) } },
    );
  });

  it("bridge fdb get 02:00:00:00:00:02 br br0 vlan 7", () => {
    golden(
      ` | 00000  38 00 00 00 1e 00 01 00  4a 98 0b 6b 00 00 00 00  8.......J..k.... |
        | 00010  07 00 00 00 00 00 00 00  00 00 00 00 0a 00 02 00  ................ |
        | 00020  02 00 00 00 00 02 00 00  06 00 05 00 07 00 00 00  ................ |
        | 00030  08 00 09 00 02 00 00 00                           ........         |`,
      30,
      1,
      { family: 7, index: 0, state: 0, flags: 0, attributes: { address: mac(2), vlan: 7, master: 2 } },
    );
  });
});

describe("VLANs of a port (RTM_GETVLAN)", () => {
  it("asks for those of one port", () => {
    const writer = new Writer(16);
    writeVlanQuery(writer, 4);
    expect(toHex(writer.written())).toBe("0700000004000000");
  });

  it("reads one and a range", () => {
    const bytes = Bytes.from(
      hex("0700000004000000 0c000180 08000100 06000700 14000180 08000100 00001400 06000200 16000000"),
    );
    expect(readVlans(bytes, 0, bytes.u8.length)).toEqual({
      index: 4,
      vlans: [{ info: { flags: 6, vid: 7 } }, { info: { flags: 0, vid: 20 }, last: 22 }],
    });
  });

  it("refuses what is too short", () => {
    const bytes = Bytes.from(hex("07000000"));
    expect(() => readVlans(bytes, 0, 4)).toThrow(/4 bytes/);
    expect(() => readPortChange(bytes, 0, 4)).toThrow(/4 bytes/);
  });
});
