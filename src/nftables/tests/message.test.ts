// Transactions of nft 1.0.6, captured in a private namespace with
//   strace -e trace=sendmsg -e write=3 -s 65536 nft …
// and copied unchanged: the begin of the transaction, one message, and the end of the transaction.
import { describe, expect, it } from "vitest";
import { Bytes, Writer } from "../../netlink/bytes.ts";
import { ProtocolError } from "../../netlink/errors.ts";
import { hex, toHex } from "../../testing/golden.ts";
import * as c from "../constants.ts";
import { compare, type Expression, maskBits, masquerade, meta, payload, verdict, verdictOf } from "../expression.ts";
import {
  batchAttributes,
  type ChainAttributes,
  chainAttributes,
  type RuleAttributes,
  readChain,
  readRule,
  readTable,
  ruleAttributes,
  type TableAttributes,
  tableAttributes,
  verdictIn,
  writeHeader,
} from "../message.ts";
import { beginsWithComment, comment, commentOf } from "../userdata.ts";

interface Codec<T> {
  write(writer: Writer, message: T): void;
  read(bytes: Bytes, start: number, end: number, keep: boolean): T;
}

const tables: Codec<TableAttributes> = { write: (to, each) => tableAttributes.write(to, each), read: readTable };
const chains: Codec<ChainAttributes> = { write: (to, each) => chainAttributes.write(to, each), read: readChain };
const rules: Codec<RuleAttributes> = { write: (to, each) => ruleAttributes.write(to, each), read: readRule };

/** Decoding the message gives `expected`, and encoding `expected` gives the bytes of the whole transaction. */
function golden<T>(
  captured: string,
  kind: number,
  flags: number,
  family: number,
  { write, read }: Codec<T>,
  expected: T,
): void {
  const data = hex(captured);
  const bytes = Bytes.from(data);
  const start = bytes.u32[0]!;
  const end = start + bytes.u32[start >> 2]!;
  expect({ kind: bytes.u16[(start >> 1) + 2], flags: bytes.u16[(start >> 1) + 3] }).toEqual({
    kind: 0x0a00 | kind,
    flags,
  });
  expect(read(bytes, start + 16, end, true)).toEqual(expected);
  const writer = new Writer(16);
  writeHeader(writer, family);
  write(writer, expected);
  expect(toHex(writer.written())).toBe(toHex(data.subarray(start + 16, end)));
  writer.length = 0;
  writeHeader(writer, 0, c.NFNL_SUBSYS_NFTABLES);
  batchAttributes.write(writer, { generation: undefined });
  for (const [at, type] of [
    [0, c.NFNL_MSG_BATCH_BEGIN],
    [end, c.NFNL_MSG_BATCH_END],
  ] as const) {
    expect(bytes.u16[(at >> 1) + 2]).toBe(type);
    expect(toHex(data.subarray(at + 16, at + 20))).toBe(toHex(writer.written()));
  }
}

describe("messages, byte for byte those of nft", () => {
  it("nft add table bridge nat", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 24 00 00 00  00 0a 01 00 01 00 00 00  ................ |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  08 00 02 00 00 00 00 00  14 00 00 00 11 00 01 00  ................ |
        | 00040  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWTABLE,
      0x1,
      c.NFPROTO_BRIDGE,
      tables,
      { name: "nat", flags: 0 },
    );
  });

  it('nft add table inet m { comment "abc"; }', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 30 00 00 00  00 0a 01 00 01 00 00 00  ....0........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  08 00 02 00 00 00 00 00  0a 00 06 00 00 04 61 62  ..............ab |
        | 00040  63 00 00 00 14 00 00 00  11 00 01 00 02 00 00 00  c............... |
        | 00050  00 00 00 00 00 00 00 0a                           ........         |`,
      c.NFT_MSG_NEWTABLE,
      0x1,
      c.NFPROTO_INET,
      tables,
      { name: "m", flags: 0, userdata: comment("abc") },
    );
  });

  it("nft add chain bridge nat PREROUTING { type filter hook prerouting priority -300; policy accept; }", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 54 00 00 00  03 0a 01 04 01 00 00 00  ....T........... |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  0f 00 03 00 50 52 45 52  4f 55 54 49 4e 47 00 00  ....PREROUTING.. |
        | 00040  0b 00 07 00 66 69 6c 74  65 72 00 00 08 00 05 00  ....filter...... |
        | 00050  00 00 00 01 14 00 04 80  08 00 01 00 00 00 00 00  ................ |
        | 00060  08 00 02 00 ff ff fe d4  14 00 00 00 11 00 01 00  ................ |
        | 00070  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWCHAIN,
      0x401,
      c.NFPROTO_BRIDGE,
      chains,
      { table: "nat", name: "PREROUTING", type: "filter", policy: 1, hook: { number: 0, priority: -300 >>> 0 } },
    );
  });

  it('nft add chain bridge nat c2 { comment "hello"; }', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 30 00 00 00  03 0a 01 04 01 00 00 00  ....0........... |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  07 00 03 00 63 32 00 00  0c 00 0c 00 00 06 68 65  ....c2........he |
        | 00040  6c 6c 6f 00 14 00 00 00  11 00 01 00 02 00 00 00  llo............. |
        | 00050  00 00 00 00 00 00 00 0a                           ........         |`,
      c.NFT_MSG_NEWCHAIN,
      0x401,
      c.NFPROTO_BRIDGE,
      chains,
      { table: "nat", name: "c2", userdata: comment("hello") },
    );
  });

  it("nft add chain inet m postrouting { type nat hook postrouting priority 100; }", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 48 00 00 00  03 0a 01 04 01 00 00 00  ....H........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  10 00 03 00 70 6f 73 74  72 6f 75 74 69 6e 67 00  ....postrouting. |
        | 00040  08 00 07 00 6e 61 74 00  14 00 04 80 08 00 01 00  ....nat......... |
        | 00050  00 00 00 04 08 00 02 00  00 00 00 64 14 00 00 00  ...........d.... |
        | 00060  11 00 01 00 02 00 00 00  00 00 00 00 00 00 00 0a  ................ |`,
      c.NFT_MSG_NEWCHAIN,
      0x401,
      c.NFPROTO_INET,
      chains,
      { table: "m", name: "postrouting", type: "nat", hook: { number: 4, priority: 100 } },
    );
  });

  it('nft add rule bridge nat PREROUTING iifname "veth01234567" jump c1 comment "macspoofchk-cid-1-eth0"', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a e4 00 00 00  06 0a 01 0c 01 00 00 00  ................ |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  0f 00 02 00 50 52 45 52  4f 55 54 49 4e 47 00 00  ....PREROUTING.. |
        | 00040  98 00 04 80 24 00 01 80  09 00 01 00 6d 65 74 61  ............meta |
        | 00050  00 00 00 00 14 00 02 80  08 00 02 00 00 00 00 06  ................ |
        | 00060  08 00 01 00 00 00 00 01  38 00 01 80 08 00 01 00  ........8....... |
        | 00070  63 6d 70 00 2c 00 02 80  08 00 01 00 00 00 00 01  cmp.,........... |
        | 00080  08 00 02 00 00 00 00 00  18 00 03 80 14 00 01 00  ................ |
        | 00090  76 65 74 68 30 31 32 33  34 35 36 37 00 00 00 00  veth01234567.... |
        | 000a0  38 00 01 80 0e 00 01 00  69 6d 6d 65 64 69 61 74  8.......immediat |
        | 000b0  65 00 00 00 24 00 02 80  08 00 01 00 00 00 00 00  e............... |
        | 000c0  18 00 02 80 14 00 02 80  08 00 01 00 ff ff ff fd  ................ |
        | 000d0  07 00 02 00 63 31 00 00  1d 00 07 00 00 17 6d 61  ....c1........ma |
        | 000e0  63 73 70 6f 6f 66 63 68  6b 2d 63 69 64 2d 31 2d  cspoofchk-cid-1- |
        | 000f0  65 74 68 30 00 00 00 00  14 00 00 00 11 00 01 00  eth0............ |
        | 00100  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_BRIDGE,
      rules,
      {
        table: "nat",
        chain: "PREROUTING",
        expressions: [
          meta(c.NFT_META_IIFNAME),
          compare(hex("76657468303132333435363700000000")),
          verdict(c.NFT_JUMP, "c1"),
        ],
        userdata: comment("macspoofchk-cid-1-eth0"),
      },
    );
  });

  it('nft add rule bridge nat c1 ether saddr 02:00:00:00:00:01 return comment "x"', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a c4 00 00 00  06 0a 01 0c 01 00 00 00  ................ |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  07 00 02 00 63 31 00 00  98 00 04 80 34 00 01 80  ....c1......4... |
        | 00040  0c 00 01 00 70 61 79 6c  6f 61 64 00 24 00 02 80  ....payload..... |
        | 00050  08 00 01 00 00 00 00 01  08 00 02 00 00 00 00 00  ................ |
        | 00060  08 00 03 00 00 00 00 06  08 00 04 00 00 00 00 06  ................ |
        | 00070  30 00 01 80 08 00 01 00  63 6d 70 00 24 00 02 80  0.......cmp..... |
        | 00080  08 00 01 00 00 00 00 01  08 00 02 00 00 00 00 00  ................ |
        | 00090  10 00 03 80 0a 00 01 00  02 00 00 00 00 01 00 00  ................ |
        | 000a0  30 00 01 80 0e 00 01 00  69 6d 6d 65 64 69 61 74  0.......immediat |
        | 000b0  65 00 00 00 1c 00 02 80  08 00 01 00 00 00 00 00  e............... |
        | 000c0  10 00 02 80 0c 00 02 80  08 00 01 00 ff ff ff fb  ................ |
        | 000d0  08 00 07 00 00 02 78 00  14 00 00 00 11 00 01 00  ......x......... |
        | 000e0  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_BRIDGE,
      rules,
      {
        table: "nat",
        chain: "c1",
        expressions: [payload(c.NFT_PAYLOAD_LL_HEADER, 6, 6), compare(hex("020000000001")), verdict(c.NFT_RETURN)],
        userdata: comment("x"),
      },
    );
  });

  it('nft add rule bridge nat c1 drop comment "x"', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 60 00 00 00  06 0a 01 0c 01 00 00 00  ................ |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  07 00 02 00 63 31 00 00  34 00 04 80 30 00 01 80  ....c1..4...0... |
        | 00040  0e 00 01 00 69 6d 6d 65  64 69 61 74 65 00 00 00  ....immediate... |
        | 00050  1c 00 02 80 08 00 01 00  00 00 00 00 10 00 02 80  ................ |
        | 00060  0c 00 02 80 08 00 01 00  00 00 00 00 08 00 07 00  ................ |
        | 00070  00 02 78 00 14 00 00 00  11 00 01 00 02 00 00 00  ..x............. |
        | 00080  00 00 00 00 00 00 00 0a                           ........         |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_BRIDGE,
      rules,
      { table: "nat", chain: "c1", expressions: [verdict(c.NF_DROP)], userdata: comment("x") },
    );
  });

  it("nft add rule bridge nat c1 counter goto c2", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 74 00 00 00  06 0a 01 0c 01 00 00 00  ....t........... |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  07 00 02 00 63 31 00 00  50 00 04 80 14 00 01 80  ....c1..P....... |
        | 00040  0c 00 01 00 63 6f 75 6e  74 65 72 00 04 00 02 80  ....counter..... |
        | 00050  38 00 01 80 0e 00 01 00  69 6d 6d 65 64 69 61 74  8.......immediat |
        | 00060  65 00 00 00 24 00 02 80  08 00 01 00 00 00 00 00  e............... |
        | 00070  18 00 02 80 14 00 02 80  08 00 01 00 ff ff ff fc  ................ |
        | 00080  07 00 02 00 63 32 00 00  14 00 00 00 11 00 01 00  ....c2.......... |
        | 00090  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_BRIDGE,
      rules,
      { table: "nat", chain: "c1", expressions: [{ counter: {} }, verdict(c.NFT_GOTO, "c2")] },
    );
  });

  it("nft add rule inet m postrouting ip daddr 224.0.0.0/4 return", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 54 01 00 00  06 0a 01 0c 01 00 00 00  ....T........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  10 00 02 00 70 6f 73 74  72 6f 75 74 69 6e 67 00  ....postrouting. |
        | 00040  28 01 04 80 24 00 01 80  09 00 01 00 6d 65 74 61  (...........meta |
        | 00050  00 00 00 00 14 00 02 80  08 00 02 00 00 00 00 0f  ................ |
        | 00060  08 00 01 00 00 00 00 01  2c 00 01 80 08 00 01 00  ........,....... |
        | 00070  63 6d 70 00 20 00 02 80  08 00 01 00 00 00 00 01  cmp. ........... |
        | 00080  08 00 02 00 00 00 00 00  0c 00 03 80 05 00 01 00  ................ |
        | 00090  02 00 00 00 34 00 01 80  0c 00 01 00 70 61 79 6c  ....4.......payl |
        | 000a0  6f 61 64 00 24 00 02 80  08 00 01 00 00 00 00 01  oad............. |
        | 000b0  08 00 02 00 00 00 00 01  08 00 03 00 00 00 00 10  ................ |
        | 000c0  08 00 04 00 00 00 00 04  44 00 01 80 0c 00 01 00  ........D....... |
        | 000d0  62 69 74 77 69 73 65 00  34 00 02 80 08 00 01 00  bitwise.4....... |
        | 000e0  00 00 00 01 08 00 02 00  00 00 00 01 08 00 03 00  ................ |
        | 000f0  00 00 00 04 0c 00 04 80  08 00 01 00 f0 00 00 00  ................ |
        | 00100  0c 00 05 80 08 00 01 00  00 00 00 00 2c 00 01 80  ............,... |
        | 00110  08 00 01 00 63 6d 70 00  20 00 02 80 08 00 01 00  ....cmp. ....... |
        | 00120  00 00 00 01 08 00 02 00  00 00 00 00 0c 00 03 80  ................ |
        | 00130  08 00 01 00 e0 00 00 00  30 00 01 80 0e 00 01 00  ........0....... |
        | 00140  69 6d 6d 65 64 69 61 74  65 00 00 00 1c 00 02 80  immediate....... |
        | 00150  08 00 01 00 00 00 00 00  10 00 02 80 0c 00 02 80  ................ |
        | 00160  08 00 01 00 ff ff ff fb  14 00 00 00 11 00 01 00  ................ |
        | 00170  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_INET,
      rules,
      {
        table: "m",
        chain: "postrouting",
        expressions: [
          meta(c.NFT_META_NFPROTO),
          compare(hex("02")),
          payload(c.NFT_PAYLOAD_NETWORK_HEADER, 16, 4),
          maskBits(hex("f0000000")),
          compare(hex("e0000000")),
          verdict(c.NFT_RETURN),
        ],
      },
    );
  });

  it('nft add rule inet m masq_checks ip6 saddr fd61::2 ip6 daddr != fd61::/64 masquerade comment "c"', () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 6c 01 00 00  06 0a 01 0c 01 00 00 00  ....l........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  10 00 02 00 6d 61 73 71  5f 63 68 65 63 6b 73 00  ....masq_checks. |
        | 00040  38 01 04 80 24 00 01 80  09 00 01 00 6d 65 74 61  8...........meta |
        | 00050  00 00 00 00 14 00 02 80  08 00 02 00 00 00 00 0f  ................ |
        | 00060  08 00 01 00 00 00 00 01  2c 00 01 80 08 00 01 00  ........,....... |
        | 00070  63 6d 70 00 20 00 02 80  08 00 01 00 00 00 00 01  cmp. ........... |
        | 00080  08 00 02 00 00 00 00 00  0c 00 03 80 05 00 01 00  ................ |
        | 00090  0a 00 00 00 34 00 01 80  0c 00 01 00 70 61 79 6c  ....4.......payl |
        | 000a0  6f 61 64 00 24 00 02 80  08 00 01 00 00 00 00 01  oad............. |
        | 000b0  08 00 02 00 00 00 00 01  08 00 03 00 00 00 00 08  ................ |
        | 000c0  08 00 04 00 00 00 00 10  38 00 01 80 08 00 01 00  ........8....... |
        | 000d0  63 6d 70 00 2c 00 02 80  08 00 01 00 00 00 00 01  cmp.,........... |
        | 000e0  08 00 02 00 00 00 00 00  18 00 03 80 14 00 01 00  ................ |
        | 000f0  fd 61 00 00 00 00 00 00  00 00 00 00 00 00 00 02  .a.............. |
        | 00100  34 00 01 80 0c 00 01 00  70 61 79 6c 6f 61 64 00  4.......payload. |
        | 00110  24 00 02 80 08 00 01 00  00 00 00 01 08 00 02 00  ................ |
        | 00120  00 00 00 01 08 00 03 00  00 00 00 18 08 00 04 00  ................ |
        | 00130  00 00 00 08 30 00 01 80  08 00 01 00 63 6d 70 00  ....0.......cmp. |
        | 00140  24 00 02 80 08 00 01 00  00 00 00 01 08 00 02 00  ................ |
        | 00150  00 00 00 01 10 00 03 80  0c 00 01 00 fd 61 00 00  .............a.. |
        | 00160  00 00 00 00 14 00 01 80  09 00 01 00 6d 61 73 71  ............masq |
        | 00170  00 00 00 00 04 00 02 80  08 00 07 00 00 02 63 00  ..............c. |
        | 00180  14 00 00 00 11 00 01 00  02 00 00 00 00 00 00 00  ................ |
        | 00190  00 00 00 0a                                       ....             |`,
      c.NFT_MSG_NEWRULE,
      0xc01,
      c.NFPROTO_INET,
      rules,
      {
        table: "m",
        chain: "masq_checks",
        expressions: [
          meta(c.NFT_META_NFPROTO),
          compare(hex("0a")),
          payload(c.NFT_PAYLOAD_NETWORK_HEADER, 8, 16),
          compare(hex("fd610000000000000000000000000002")),
          payload(c.NFT_PAYLOAD_NETWORK_HEADER, 24, 8),
          compare(hex("fd61000000000000"), c.NFT_CMP_NEQ),
          masquerade,
        ],
        userdata: comment("c"),
      },
    );
  });

  it("nft delete rule inet m masq_checks handle 7", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 38 00 00 00  08 0a 01 00 01 00 00 00  ....8........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  10 00 02 00 6d 61 73 71  5f 63 68 65 63 6b 73 00  ....masq_checks. |
        | 00040  0c 00 03 00 00 00 00 00  00 00 00 07 14 00 00 00  ................ |
        | 00050  11 00 01 00 02 00 00 00  00 00 00 00 00 00 00 0a  ................ |`,
      c.NFT_MSG_DELRULE,
      0x1,
      c.NFPROTO_INET,
      rules,
      { table: "m", chain: "masq_checks", handle: 7 },
    );
  });

  it("nft flush chain inet m masq_checks", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 2c 00 00 00  08 0a 01 00 01 00 00 00  ....,........... |
        | 00020  00 00 00 00 01 00 00 00  06 00 01 00 6d 00 00 00  ............m... |
        | 00030  10 00 02 00 6d 61 73 71  5f 63 68 65 63 6b 73 00  ....masq_checks. |
        | 00040  14 00 00 00 11 00 01 00  02 00 00 00 00 00 00 00  ................ |
        | 00050  00 00 00 0a                                       ....             |`,
      c.NFT_MSG_DELRULE,
      0x1,
      c.NFPROTO_INET,
      rules,
      { table: "m", chain: "masq_checks" },
    );
  });

  it("nft delete chain bridge nat c2", () => {
    golden(
      ` | 00000  14 00 00 00 10 00 01 00  00 00 00 00 00 00 00 00  ................ |
        | 00010  00 00 00 0a 24 00 00 00  05 0a 01 00 01 00 00 00  ................ |
        | 00020  00 00 00 00 07 00 00 00  08 00 01 00 6e 61 74 00  ............nat. |
        | 00030  07 00 03 00 63 32 00 00  14 00 00 00 11 00 01 00  ....c2.......... |
        | 00040  02 00 00 00 00 00 00 00  00 00 00 0a              ............     |`,
      c.NFT_MSG_DELCHAIN,
      0x1,
      c.NFPROTO_BRIDGE,
      chains,
      { table: "nat", name: "c2" },
    );
  });
});

describe("what a message says", () => {
  it("comments", () => {
    expect(commentOf(comment("a b"))).toBe("a b");
    expect(commentOf(undefined)).toBe("");
    expect(commentOf(hex("0104000000010003616200"))).toBe("ab");
    // A length that is too large; half of a header; another type.
    for (const data of ["00056162", "00", "0102ffff"]) expect(commentOf(hex(data))).toBe("");
    // A comment without a NUL.
    expect(commentOf(hex("00026162"))).toBe("ab");
    expect(comment("x".repeat(200))).toHaveLength(131);
  });

  it("comments, without reading more", () => {
    const begins = (text: string, data: string) => beginsWithComment(text, hex(data), 0, hex(data).length);
    for (const [text, data] of [
      ["ab", "00036162"],
      ["ab", "0003616200"],
      ["ab", "00046162ff00"],
      ["a", "0101ff00026100"],
    ])
      expect(begins(text!, data!)).toBe(true);
    // Another text; longer than the data; longer than the comment, which has data after it; another type; no comment.
    for (const data of ["00026163", "000361", "0001610162", "0102616200", "", "00", "01"])
      expect(begins("ab", data)).toBe(false);
  });

  it("verdicts", () => {
    expect(verdictOf([verdict(c.NFT_JUMP, "c1")])).toEqual({ code: -3, chain: "c1" });
    expect(verdictOf([verdict(c.NF_DROP)])).toEqual({ code: 0, chain: "" });
    expect(verdictOf([masquerade])).toBeUndefined();
    expect(verdictOf([])).toBeUndefined();
  });

  it("the verdict, without reading more", () => {
    const at = (expressions: Expression[] | undefined): [Bytes, number, number] => {
      const writer = new Writer(256);
      writeHeader(writer, c.NFPROTO_INET);
      ruleAttributes.write(writer, { table: "t", chain: "c", handle: 7, expressions, userdata: comment("x") });
      return [Bytes.from(writer.written()), 0, writer.length];
    };
    const address = [meta(c.NFT_META_NFPROTO), compare(new Uint8Array([2]))];
    const rules = [[verdict(c.NFT_GOTO, "c1")], [...address, verdict(c.NFT_JUMP, "c2")], [...address, masquerade], []];
    for (const rule of [...rules, undefined]) {
      const message = at(rule);
      expect(verdictIn(...message)).toEqual(verdictOf(readRule(...message).expressions));
    }
    const [bytes, start, end] = at([verdict(c.NF_DROP)]);
    // Make the expression longer than its list. The attributes before it (table, chain and handle) take 8, 8 and 12 bytes.
    bytes.u16[(start + 4 + 28 + 4) >> 1] = 200;
    expect(() => verdictIn(bytes, start, end)).toThrow(ProtocolError);
  });
});
