import { describe, expect, it } from "vitest";
import { expectGolden } from "../../testing/golden.ts";
import { Writer } from "../bytes.ts";
import { type LinkMessage, readLink, writeLink } from "../link.ts";

const RTM_NEWLINK = 16;
const ACK = 0x5;
const CREATE = 0x605;

function write(writer: Writer, { index, flags, change, attributes }: LinkMessage): void {
  writeLink(writer, index, flags, change, attributes);
}

function golden(captured: string, type: number, flags: number, message: Partial<LinkMessage>): void {
  const header = { family: 0, type: 0, index: 0, flags: 0, change: 0, attributes: {} };
  expectGolden(captured, { type, flags, message: { ...header, ...message } }, readLink, write);
}

describe("link messages, byte for byte those of ip", () => {
  it("ip link add link m0 name mv0 mtu 1400 type macvlan mode bridge bcqueuelen 500", () => {
    golden(
      ` | 00000  5c 00 00 00 10 00 05 06  2b 44 00 6b 00 00 00 00  \\.......+D.k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  08 00 04 00 78 05 00 00  08 00 05 00 03 00 00 00  ....x........... |
        | 00030  08 00 03 00 6d 76 30 00  24 00 12 00 0b 00 01 00  ....mv0.$....... |
        | 00040  6d 61 63 76 6c 61 6e 00  14 00 02 00 08 00 07 00  macvlan......... |
        | 00050  f4 01 00 00 08 00 01 00  04 00 00 00              ............     |`,
      RTM_NEWLINK,
      CREATE,
      {
        attributes: {
          mtu: 1400,
          link: 3,
          name: "mv0",
          linkInfo: { kind: "macvlan", data: { bcQueueLen: 500, mode: 4 } },
        },
      },
    );
  });

  it("ip link add link m0 name mv1 address 02:00:00:00:00:01 netns t type macvlan mode private", () => {
    golden(
      ` | 00000  60 00 00 00 10 00 05 06  2b 44 00 6b 00 00 00 00  \`.......+D.k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  0a 00 01 00 02 00 00 00  00 01 00 00 08 00 1c 00  ................ |
        | 00030  04 00 00 00 08 00 05 00  03 00 00 00 08 00 03 00  ................ |
        | 00040  6d 76 31 00 1c 00 12 00  0b 00 01 00 6d 61 63 76  mv1.........macv |
        | 00050  6c 61 6e 00 0c 00 02 00  08 00 01 00 01 00 00 00  lan............. |`,
      RTM_NEWLINK,
      CREATE,
      {
        attributes: {
          address: Uint8Array.of(2, 0, 0, 0, 0, 1),
          netNsFd: 4,
          link: 3,
          name: "mv1",
          linkInfo: { kind: "macvlan", data: { mode: 1 } },
        },
      },
    );
  });

  it("ip link set link m0 name mv2 type macvlan macaddr set 02:00:00:00:00:01 02:00:00:00:00:02", () => {
    golden(
      ` | 00000  58 00 00 00 10 00 05 00  b3 4d 00 6b 00 00 00 00  X........M.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  38 00 12 00 0b 00 01 00  6d 61 63 76 6c 61 6e 00  8.......macvlan. |
        | 00030  28 00 02 00 08 00 03 00  03 00 00 00 1c 00 05 00  (............... |
        | 00040  0a 00 04 00 02 00 00 00  00 01 00 00 0a 00 04 00  ................ |
        | 00050  02 00 00 00 00 02 00 00                           ........         |`,
      RTM_NEWLINK,
      5,
      {
        index: 4,
        attributes: {
          linkInfo: {
            kind: "macvlan",
            data: { macaddrMode: 3, macaddrData: [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] },
          },
        },
      },
    );
  });

  it("ip link add link m0 name iv0 type ipvlan mode l3s private", () => {
    golden(
      ` | 00000  54 00 00 00 10 00 05 06  2b 44 00 6b 00 00 00 00  T.......+D.k.... |
        | 00010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  08 00 05 00 03 00 00 00  08 00 03 00 69 76 30 00  ............iv0. |
        | 00030  24 00 12 00 0a 00 01 00  69 70 76 6c 61 6e 00 00  $.......ipvlan.. |
        | 00040  14 00 02 00 06 00 01 00  02 00 00 00 06 00 02 00  ................ |
        | 00050  01 00 00 00                                       ....             |`,
      RTM_NEWLINK,
      CREATE,
      { attributes: { link: 3, name: "iv0", linkInfo: { kind: "ipvlan", data: { mode: 2, flags: 1 } } } },
    );
  });

  it("ip link set mv0 name x0", () => {
    golden(
      ` | 00000  28 00 00 00 10 00 05 00  2b 44 00 6b 00 00 00 00  (.......+D.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  07 00 03 00 78 30 00 00                           ....x0..         |`,
      RTM_NEWLINK,
      ACK,
      { index: 4, attributes: { name: "x0" } },
    );
  });

  it("ip link set x0 alias hello", () => {
    golden(
      ` | 00000  2c 00 00 00 10 00 05 00  2b 44 00 6b 00 00 00 00  ,.......+D.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  09 00 14 00 68 65 6c 6c  6f 00 00 00              ....hello...     |`,
      RTM_NEWLINK,
      ACK,
      { index: 4, attributes: { alias: "hello" } },
    );
  });

  it('ip link set x0 alias ""', () => {
    golden(
      ` | 00000  24 00 00 00 10 00 05 00  2b 44 00 6b 00 00 00 00  $.......+D.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  04 00 14 00                                       ....             |`,
      RTM_NEWLINK,
      ACK,
      { index: 4, attributes: { alias: "" } },
    );
  });

  it("ip link set x0 mtu 1300 txqueuelen 77 address 02:00:00:00:00:02 promisc on allmulticast on up", () => {
    golden(
      ` | 00000  3c 00 00 00 10 00 05 00  2c 44 00 6b 00 00 00 00  <.......,D.k.... |
        | 00010  00 00 00 00 04 00 00 00  01 03 00 00 01 03 00 00  ................ |
        | 00020  08 00 04 00 14 05 00 00  08 00 0d 00 4d 00 00 00  ............M... |
        | 00030  0a 00 01 00 02 00 00 00  00 02 00 00              ............     |`,
      RTM_NEWLINK,
      ACK,
      {
        index: 4,
        flags: 0x301,
        change: 0x301,
        attributes: { mtu: 1300, txqlen: 77, address: Uint8Array.of(2, 0, 0, 0, 0, 2) },
      },
    );
  });

  it("ip link property add dev x0 altname other-long-name-of-it altname second", () => {
    golden(
      ` | 00000  4c 00 00 00 6c 00 05 0e  2c 44 00 6b 00 00 00 00  L...l...,D.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  2c 00 34 80 1a 00 35 00  6f 74 68 65 72 2d 6c 6f  ,.4...5.other-lo |
        | 00030  6e 67 2d 6e 61 6d 65 2d  6f 66 2d 69 74 00 00 00  ng-name-of-it... |
        | 00040  0b 00 35 00 73 65 63 6f  6e 64 00 00              ..5.second..     |`,
      108,
      0xe05,
      { index: 4, attributes: { altnames: ["other-long-name-of-it", "second"] } },
    );
  });

  it("ip link property del dev x0 altname second", () => {
    golden(
      ` | 00000  30 00 00 00 6d 00 05 00  2c 44 00 6b 00 00 00 00  0...m...,D.k.... |
        | 00010  00 00 00 00 04 00 00 00  00 00 00 00 00 00 00 00  ................ |
        | 00020  10 00 34 80 0b 00 35 00  73 65 63 6f 6e 64 00 00  ..4...5.second.. |`,
      109,
      ACK,
      { index: 4, attributes: { altnames: ["second"] } },
    );
  });

  it("a name with 7 characters and its NUL needs no padding, one with 4 needs three bytes", () => {
    for (const [name, size] of [
      ["abcdefg", 12],
      ["abcd", 12],
      ["abc", 8],
    ] as const) {
      const writer = new Writer(4);
      writeLink(writer, 1, 0, 0, { name });
      expect(writer.length - 16).toBe(size);
    }
  });
});
