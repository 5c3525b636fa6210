// Codecs of attribute values. They use host order unless the name says otherwise. `attribute` may move the writer's buffer, so it is called
// before u8, u16 or u32 are read.

import { loops } from "../host/loops.ts";
import { encodeName } from "../host/utf8.ts";
import { type Codec, NLA_TYPE_MASK, type Rows, type Table, type Values } from "./attributes.ts";
import { align4, type Bytes, type Writer } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";

export const u8: Codec<number> = {
  min: 1,
  write(writer, type, value) {
    const at = writer.attribute(type, 1);
    writer.u8[at] = value;
  },
  read: (bytes, start) => bytes.u8[start]!,
};

export const u16: Codec<number> = {
  min: 2,
  write(writer, type, value) {
    const at = writer.attribute(type, 2);
    writer.u16[at >> 1] = value;
  },
  read: (bytes, start) => bytes.u16[start >> 1]!,
};

/** In network order. */
export const be16: Codec<number> = {
  min: 2,
  write(writer, type, value) {
    const at = writer.attribute(type, 2);
    writer.u8[at] = value >> 8;
    writer.u8[at + 1] = value & 0xff;
  },
  read: (bytes, start) => (bytes.u8[start]! << 8) | bytes.u8[start + 1]!,
};

/** In network order. */
export const be32: Codec<number> = {
  min: 4,
  write(writer, type, value) {
    const at = writer.attribute(type, 4);
    putBe32(writer, at, value);
  },
  read: (bytes, start) => bytes.be32(start),
};

/** In network order: numbers of things, which no kernel counts to 2^53. */
export const be64: Codec<number> = {
  min: 8,
  write(writer, type, value) {
    const at = writer.attribute(type, 8);
    putBe32(writer, at, Math.floor(value / 0x1_0000_0000));
    putBe32(writer, at + 4, value);
  },
  read: (bytes, start) => bytes.be32(start) * 0x1_0000_0000 + bytes.be32(start + 4),
};

function putBe32(writer: Writer, at: number, value: number): void {
  writer.u8[at] = value >>> 24;
  writer.u8[at + 1] = value >>> 16;
  writer.u8[at + 2] = value >>> 8;
  writer.u8[at + 3] = value;
}

export const u32: Codec<number> = {
  min: 4,
  write(writer, type, value) {
    const at = writer.attribute(type, 4);
    writer.u32[at >> 2] = value;
  },
  read: (bytes, start) => bytes.u32[start >> 2]!,
};

/** Signed 32 bits (IFLA_LINK_NETNSID: -1 is "none"). */
export const s32: Codec<number> = {
  min: 4,
  write(writer, type, value) {
    const at = writer.attribute(type, 4);
    writer.u32[at >> 2] = value >>> 0;
  },
  read: (bytes, start) => bytes.u32[start >> 2]! | 0,
};

/** Bytes as they are: link-layer and network addresses (network order). */
export const bytes: Codec<Uint8Array> = {
  min: 0,
  write(writer, type, value) {
    const at = writer.attribute(type, value.length);
    writer.u8.set(value, at);
  },
  read: (from, start, end) => from.copy(start, end),
};

function writeText(writer: Writer, type: number, value: string, nul: number): void {
  const start = writer.length;
  const at = writer.attribute(type, value.length + nul);
  if (loops.put(writer.u8, at, value)) return;
  writer.length = start;
  const encoded = encodeName(value);
  const again = writer.attribute(type, encoded.length + nul);
  writer.u8.set(encoded, again);
}

/** Text with its NUL, as `ip` sends names. */
export const text: Codec<string> = {
  min: 0,
  write: (writer, type, value) => writeText(writer, type, value, 1),
  read: (from, start, end) => from.text(start, end),
};

/** Text without NUL: IFLA_IFALIAS (an empty one clears the alias), IFLA_INFO_KIND. */
export const bareText: Codec<string> = {
  min: 0,
  write: (writer, type, value) => writeText(writer, type, value, 0),
  read: (from, start, end) => from.text(start, end),
};

/** Attributes inside an attribute. */
export function nested<R extends Rows>(table: Table<R>): Codec<Values<R>> {
  return {
    min: 0,
    write(writer, type, value) {
      const start = writer.open(type);
      table.write(writer, value);
      writer.close(start);
    },
    read: (from, start, end, keep) => table.read(from, start, end, keep),
  };
}

/** A list: the same attribute again and again inside an attribute. Other types in it are skipped. */
export function list<T>(itemType: number, item: Codec<T>): Codec<T[]> {
  return {
    min: 0,
    write(writer, type, values) {
      const start = writer.open(type);
      for (const value of values) item.write(writer, itemType, value);
      writer.close(start);
    },
    read(from, start, end, keep) {
      const values: T[] = [];
      let at = start;
      while (at < end) {
        const length = end - at < 4 ? 0 : from.u16[at >> 1]!;
        if (length < 4 || at + length > end) throw new ProtocolError(`list: bad attribute length at ${at - start}`);
        if ((from.u16[(at >> 1) + 1]! & NLA_TYPE_MASK) === (itemType & NLA_TYPE_MASK)) {
          if (length - 4 < item.min) throw new ProtocolError(`list: an item has ${length - 4} bytes`);
          values.push(item.read(from, at + 4, at + length, keep));
        }
        at += align4(length);
      }
      return values;
    },
  };
}

/** A C struct of 32-bit words, e.g. struct ifla_vf_vlan: one key per word. */
export function words<K extends string>(...names: K[]): Codec<{ [name in K]: number }> {
  return {
    min: names.length * 4,
    write(writer, type, value) {
      let at = writer.attribute(type, names.length * 4) >> 2;
      for (const name of names) writer.u32[at++] = value[name];
    },
    read(from: Bytes, start: number) {
      const value: { [name: string]: number } = {};
      for (let word = 0; word < names.length; word++) value[names[word]!] = from.u32[(start >> 2) + word]!;
      return value as { [name in K]: number };
    },
  };
}
