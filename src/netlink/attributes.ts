// Attributes (type, length, value) by tables: one row per attribute, {name: [type, codec]}. The codec's name says the byte
// order: u16 and u32 are in host order, be16 and address bytes in network order. What a table does not know is kept when
// asked for and written again, so that a newer kernel's attributes survive a round trip.
import { align4, type Bytes, type Writer } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";

export const NLA_TYPE_MASK = 0x3fff;

/** How one attribute's value is written and read. */
export interface Codec<T> {
  /** Fewest payload bytes; fewer is a ProtocolError. More is fine: the kernel appends to its structs. */
  readonly min: number;
  write(writer: Writer, type: number, value: T): void;
  /** Payload in [start, end). `keep`: unknown attributes of nested tables are kept. Must copy what it returns. */
  read(bytes: Bytes, start: number, end: number, keep: boolean): T;
}

/** An attribute no table row knows; `type` with its flags. */
export interface Unknown {
  type: number;
  value: Uint8Array;
}

// biome-ignore lint/suspicious/noExplicitAny: rows of one table have values of different types
export type Rows = { readonly [name: string]: readonly [type: number, codec: Codec<any>] };

/** The values of a table's attributes. Writing follows the order of the keys. */
export type Values<R extends Rows> = {
  [K in keyof R]?: (R[K] extends readonly [number, Codec<infer T>] ? T : never) | undefined;
} & { unknown?: Unknown[] };

// biome-ignore lint/suspicious/noExplicitAny: as above
type Row = { name: string; codec: Codec<any> } | undefined;

export class Table<R extends Rows> {
  readonly title: string;
  readonly rows: R;
  /** Rows by attribute type, without holes so that a look-up is one array access. */
  readonly byType: Row[] = [];

  constructor(title: string, rows: R) {
    this.title = title;
    this.rows = rows;
    for (const name in rows) {
      const [type, codec] = rows[name]!;
      while (this.byType.length <= (type & NLA_TYPE_MASK)) this.byType.push(undefined);
      this.byType[type & NLA_TYPE_MASK] = { name, codec };
    }
  }

  write(writer: Writer, values: Values<R>): void {
    for (const name in values) {
      const value = values[name as keyof Values<R>];
      if (value === undefined) continue;
      if (name === "unknown") {
        for (const unknown of value as Unknown[]) {
          const at = writer.attribute(unknown.type, unknown.value.length);
          writer.u8.set(unknown.value, at);
        }
        continue;
      }
      const row = this.rows[name]!;
      row[1].write(writer, row[0], value);
    }
  }

  /** Throws ProtocolError when lengths do not add up. Of an attribute given twice the last one counts, as in the kernel. */
  read(bytes: Bytes, start: number, end: number, keep: boolean): Values<R> {
    const values: { [name: string]: unknown } = {};
    const byType = this.byType;
    let at = start;
    while (at < end) {
      const length = end - at < 4 ? 0 : bytes.u16[at >> 1]!;
      if (length < 4 || at + length > end)
        throw new ProtocolError(`${this.title}: bad attribute length at ${at - start}`);
      const type = bytes.u16[(at >> 1) + 1]!;
      const row = byType[type & NLA_TYPE_MASK];
      if (row !== undefined) {
        if (length - 4 < row.codec.min) throw new ProtocolError(`${this.title}: ${row.name} has ${length - 4} bytes`);
        values[row.name] = row.codec.read(bytes, at + 4, at + length, keep);
      } else if (keep) {
        const unknown = (values.unknown as Unknown[] | undefined) ?? [];
        unknown.push({ type, value: bytes.copy(at + 4, at + length) });
        values.unknown = unknown;
      }
      at += align4(length);
    }
    return values as Values<R>;
  }
}

/**
 * Where the payload of the first attribute of a type starts and ends; undefined when there is none. For scans that decode little and read
 * the payload themselves: fewer than `min` bytes of it are a ProtocolError, for what lies behind them belongs to somebody else.
 */
export function findAttribute(
  bytes: Bytes,
  start: number,
  end: number,
  type: number,
  min: number,
): [number, number] | undefined {
  let at = start;
  while (at + 4 <= end) {
    const length = bytes.u16[at >> 1]!;
    if (length < 4 || at + length > end) throw new ProtocolError(`bad attribute length at ${at - start}`);
    if ((bytes.u16[(at >> 1) + 1]! & NLA_TYPE_MASK) === type) {
      if (length - 4 < min) throw new ProtocolError(`attribute ${type} has ${length - 4} bytes`);
      return [at + 4, at + length];
    }
    at += align4(length);
  }
  return undefined;
}
