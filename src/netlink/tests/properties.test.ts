import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runs } from "../../testing/effort.ts";
import { hex } from "../../testing/golden.ts";
import { readAddress, writeAddress } from "../address.ts";
import { Table, type Unknown } from "../attributes.ts";
import { Bytes, Writer } from "../bytes.ts";
import * as codecs from "../codecs.ts";
import { NetlinkError } from "../errors.ts";
import { type LinkAttributes, linkAttributes, readLink, writeLink } from "../link.ts";
import { readNexthop } from "../nexthop.ts";
import { type RouteAttributes, readRoute, routeAttributes, writeRoute } from "../route.ts";
import { vfAttributes } from "../vf.ts";

const u32 = fc.nat(0xffffffff);
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const name = fc.string({ unit: fc.constantFrom(..."abcxyz019.-_é"), maxLength: 15 });
/** Attributes no table has, of all lengths, aligned or not, with and without flags. */
const unknown: fc.Arbitrary<Unknown[]> = fc.array(
  fc.record({ type: fc.constantFrom(200, 333, 0x80c9, 0x40ff), value: bytes(13) }),
  { minLength: 1, maxLength: 4 },
);
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

/** Without keys that say undefined, so that toEqual compares what was sent. */
function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

const linkValues: fc.Arbitrary<LinkAttributes> = fc
  .record({
    address: some(bytes(20)),
    name: some(name),
    mtu: some(u32),
    operstate: some(fc.nat(255)),
    alias: some(fc.string({ maxLength: 200 }).map((text) => text.replaceAll("\0", ""))),
    altnames: some(fc.array(name, { maxLength: 4 })),
    linkInfo: some(
      fc.constantFrom(
        { kind: "macvlan", data: { mode: 4, flags: 1, bcQueueLen: 1000 } },
        { kind: "ipvlan", data: { mode: 0, flags: 0 } },
        { kind: "vlan", data: { vlanId: 5, vlanProtocol: 0x88a8 } },
        { kind: "vxlan", unknown: [{ type: 2, value: Uint8Array.of(8, 0, 1, 0, 5, 0, 0, 0) }] },
        { slaveKind: "bridge" },
      ),
    ),
    unknown: some(unknown),
  })
  .map((value) => defined(value) as LinkAttributes);

const hop = fc.record({
  flags: fc.nat(255),
  hops: fc.nat(255),
  index: u32,
  attributes: fc.record({ gateway: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
});

const routeValues: fc.Arbitrary<RouteAttributes> = fc
  .record({
    dst: some(bytes(16)),
    oif: some(u32),
    priority: some(u32),
    table: some(u32),
    metrics: some(fc.record({ mtu: u32, advmss: u32 })),
    multipath: some(fc.array(hop, { maxLength: 5 })),
    via: some(fc.record({ family: fc.nat(65535), address: bytes(16) })),
    unknown: some(unknown),
  })
  .map((value) => defined(value) as RouteAttributes);

describe("what is written is read again, and written again it is the same bytes", () => {
  it("link attributes, unknown ones among them", () => {
    fc.assert(
      fc.property(linkValues, (values) => {
        const writer = new Writer(4);
        linkAttributes.write(writer, values);
        const first = Bytes.from(writer.written());
        const read = linkAttributes.read(first, 0, writer.length, true);
        expect(read).toEqual(values);
        const again = new Writer(4);
        linkAttributes.write(again, read);
        expect(again.length).toBe(writer.length);
      }),
    );
  });

  it("route attributes, next hops among them", () => {
    fc.assert(
      fc.property(routeValues, (values) => {
        const writer = new Writer(4);
        routeAttributes.write(writer, values);
        expect(routeAttributes.read(Bytes.from(writer.written()), 0, writer.length, true)).toEqual(values);
      }),
    );
  });

  it("a buffer with the rubbish of an earlier message does not show through", () => {
    fc.assert(
      fc.property(linkValues, (values) => {
        const clean = new Writer(4096);
        linkAttributes.write(clean, values);
        const dirty = new Writer(4096);
        dirty.u8.fill(0xff);
        linkAttributes.write(dirty, values);
        expect(dirty.written()).toEqual(clean.written());
      }),
    );
  });

  it("what was read stays when the buffer is used for the next message", () => {
    fc.assert(
      fc.property(linkValues, (values) => {
        const writer = new Writer(4);
        linkAttributes.write(writer, values);
        const buffer = Bytes.from(writer.written());
        const read = linkAttributes.read(buffer, 0, writer.length, true);
        buffer.u8.fill(0xee);
        expect(read).toEqual(values);
      }),
    );
  });
});

describe("hostile input is refused with a NetlinkError or read; nothing else happens", () => {
  const readers = [
    readLink,
    readAddress,
    readRoute,

    readNexthop,
    (from: Bytes, start: number, end: number) => vfAttributes.read(from, start, end, true),
  ];

  function survives(data: Uint8Array, length: number): void {
    for (const read of readers) {
      try {
        read(Bytes.from(data), 0, length, true);
      } catch (error) {
        expect(error).toBeInstanceOf(NetlinkError);
      }
    }
  }

  it("any bytes", () => {
    fc.assert(
      fc.property(bytes(200), (data) => survives(data, data.length)),
      runs(2000),
    );
  });

  const messages = [
    linkMessage({ name: "eth0", altnames: ["a", "bc"], linkInfo: { kind: "macvlan", data: { mode: 4 } } }),
    routeMessage({ multipath: [{ flags: 0, hops: 0, index: 1, attributes: { gateway: Uint8Array.of(1, 2, 3, 4) } }] }),
    hex("0a400200 03000000 14000200 fd000000 00000000 00000000 00000005 08000800 80000000"),
  ];

  it("valid messages cut off anywhere", () => {
    for (const message of messages) for (let end = 0; end <= message.length; end++) survives(message, end);
  });

  it("valid messages with one byte changed", () => {
    fc.assert(
      fc.property(fc.constantFrom(...messages), fc.nat(), fc.nat(255), (message, at, value) => {
        const changed = message.slice();
        changed[at % changed.length] = value;
        survives(changed, changed.length);
      }),
      runs(3000),
    );
  });

  function linkMessage(values: LinkAttributes): Uint8Array {
    const writer = new Writer(4);
    writeLink(writer, 1, 0, 0, values);
    return writer.written().slice();
  }

  function routeMessage(attributes: RouteAttributes): Uint8Array {
    const writer = new Writer(4);
    const header = {
      family: 2,
      dstLength: 0,
      srcLength: 0,
      tos: 0,
      table: 254,
      protocol: 3,
      scope: 0,
      type: 1,
      flags: 0,
    };
    writeRoute(writer, { ...header, attributes });
    return writer.written().slice();
  }

  it("an attribute that says it is longer than the message, or shorter than its own header", () => {
    for (const size of ["ff00", "0300", "0000", "0d00"]) {
      const data = hex(`${size}0300 65746830 00000000`);
      expect(() => linkAttributes.read(Bytes.from(data), 0, data.length, true)).toThrow(NetlinkError);
    }
  });

  it("a number in fewer bytes than it has", () => {
    expect(() => linkAttributes.read(Bytes.from(hex("06000400 05000000")), 0, 8, true)).toThrow("mtu has 2 bytes");
  });

  it("a value that no attribute can carry", () => {
    const table = new Table("test", { raw: [1, codecs.bytes] });
    expect(() => table.write(new Writer(4), { raw: new Uint8Array(65532) })).toThrow(NetlinkError);
    table.write(new Writer(4), { raw: new Uint8Array(65531) });
    const nest = new Table("test", { nest: [1, codecs.nested(table)] });
    expect(() => nest.write(new Writer(4), { nest: { raw: new Uint8Array(65531) } })).toThrow(NetlinkError);
  });
});

it("a struct longer than we know it is read as far as we know it (kernels append)", () => {
  const table = new Table("test", { pair: [1, codecs.words("a", "b")] });
  const data = hex("10000100 01000000 02000000 03000000");
  expect(table.read(Bytes.from(data), 0, data.length, true)).toEqual({ pair: { a: 1, b: 2 } });
});

it("of an attribute given twice the last one counts, as in the kernel", () => {
  const data = hex("08000400 01000000 08000400 02000000");
  expect(linkAttributes.read(Bytes.from(data), 0, data.length, true)).toEqual({ mtu: 2 });
});

it("addresses: flags beyond the header's eight bits are those of IFA_FLAGS", () => {
  const writer = new Writer(4);
  const attributes = { address: Uint8Array.of(1, 2, 3, 4), flags: 0x240 };
  const message = { family: 2, prefixLength: 32, flags: 0x40, scope: 0, index: 9, attributes };
  writeAddress(writer, message);
  expect(readAddress(writer, 0, writer.length, true)).toEqual(message);
});
