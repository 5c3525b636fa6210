// RTM_*NEXTHOP messages (`ip nexthop`): struct nhmsg, and the attributes that refer to devices.
import { type Codec, Table } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

/** Size of struct nhmsg and of struct nexthop_grp. */
const HEADER = 8;
const MEMBER = 8;

/** Ids of a group's members. */
const group: Codec<number[]> = {
  min: 0,
  write(writer, type, ids) {
    let at = writer.attribute(type, ids.length * MEMBER);
    for (const id of ids) {
      writer.u32[at >> 2] = id;
      at += MEMBER;
    }
  },
  read(from, start, end) {
    const ids: number[] = [];
    for (let at = start; at + MEMBER <= end; at += MEMBER) ids.push(from.u32[at >> 2]!);
    return ids;
  },
};

export const nexthopAttributes = new Table("nexthop", {
  id: [c.NHA_ID, u32],
  group: [c.NHA_GROUP, group],
  oif: [c.NHA_OIF, u32],
});

export function writeNexthopQuery(writer: Writer, id: number): void {
  writer.reserve(HEADER);
  nexthopAttributes.write(writer, { id });
}

export function readNexthop(from: Bytes, start: number, end: number) {
  if (end - start < HEADER) throw new ProtocolError(`nexthop: message has ${end - start} bytes`);
  return nexthopAttributes.read(from, start + HEADER, end, false);
}
