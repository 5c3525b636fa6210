// Attributes (type, length, value), described by tables with one row for each attribute, {name: [type, codec]}. The codec's name gives the
// byte order: u16 and u32 are in host order, be16 and address bytes in network order. On request, attributes that are not in the table are
// kept and written again, so that a newer kernel's attributes survive a round trip.
import { loops } from "../host/loops.ts";
import type { Bytes, Writer } from "./bytes.ts";
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

/** Where attributes are that are being read: those of a table, behind them those of a nested one. Five tables deep is more than there is. */
const ROOM = 1 + 64 * 3;
const spans = new Int32Array(8 * ROOM);
let top = 0;

export class Table<R extends Rows> {
  readonly title: string;
  readonly rows: R;
  /** Rows by attribute type, without holes so that a look-up is one array access. */
  readonly byType: Row[] = [];
  /** 1 for the types that there is a row for. */
  readonly wanted: Uint8Array;

  constructor(title: string, rows: R) {
    this.title = title;
    this.rows = rows;
    for (const name in rows) {
      const [type, codec] = rows[name]!;
      while (this.byType.length <= (type & NLA_TYPE_MASK)) this.byType.push(undefined);
      this.byType[type & NLA_TYPE_MASK] = { name, codec };
    }
    this.wanted = Uint8Array.from(this.byType, (row) => Number(row !== undefined));
  }

  write(writer: Writer, values: Values<R>): void {
    // Twice as fast as to ask for the inherited ones as well.
    const names = Object.keys(values);
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
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
    const { byType } = this;
    const base = top;
    if (base + ROOM > spans.length) throw new ProtocolError(`${this.title}: too many levels`);
    try {
      for (let at = start; at < end; ) {
        at = loops.attributes(bytes.u8, at, end, keep ? null : this.wanted, spans, base);
        if (at < 0) throw new ProtocolError(`${this.title}: bad attribute length at ${-1 - at - start}`);
        top = base + 1 + spans[base]! * 3;
        for (let i = base + 1; i < top; i += 3) {
          const row = byType[spans[i]! & NLA_TYPE_MASK];
          if (row === undefined) {
            if (keep) keepUnknown(values, bytes, i);
            continue;
          }
          const from = spans[i + 1]!;
          const to = spans[i + 2]!;
          if (to - from < row.codec.min) throw new ProtocolError(`${this.title}: ${row.name} has ${to - from} bytes`);
          values[row.name] = row.codec.read(bytes, from, to, keep);
        }
      }
    } finally {
      top = base;
    }
    return values as Values<R>;
  }
}

function keepUnknown(values: { [name: string]: unknown }, bytes: Bytes, i: number): void {
  const unknown = (values.unknown as Unknown[] | undefined) ?? [];
  unknown.push({ type: spans[i]!, value: bytes.copy(spans[i + 1]!, spans[i + 2]!) });
  values.unknown = unknown;
}

/** What findAttribute looks for: zero but during its search. */
const sought = new Uint8Array(256);

/**
 * Where the payload of the first attribute of a type starts and ends; undefined when there is none. For scans that decode little and read
 * the payload themselves: fewer than `min` bytes of it are a ProtocolError, for what lies behind them belongs to somebody else. `type`: up to 255.
 */
export function findAttribute(
  bytes: Bytes,
  start: number,
  end: number,
  type: number,
  min: number,
): [number, number] | undefined {
  sought[type] = 1;
  const at = loops.attributes(bytes.u8, start, end, sought, spans, top);
  sought[type] = 0;
  if (spans[top] === 0) {
    if (at < 0) throw new ProtocolError(`bad attribute length at ${-1 - at - start}`);
    return undefined;
  }
  const from = spans[top + 2]!;
  const to = spans[top + 3]!;
  if (to - from < min) throw new ProtocolError(`attribute ${type} has ${to - from} bytes`);
  return [from, to];
}
