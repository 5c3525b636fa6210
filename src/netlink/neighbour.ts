// RTM_*NEIGH messages: struct ndmsg and its attributes. With family AF_BRIDGE, they describe entries of a bridge's forwarding table.
import { Table, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bytes, u16, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

export const neighbourAttributes = new Table("neighbour", {
  destination: [c.NDA_DST, bytes],
  address: [c.NDA_LLADDR, bytes],
  vlan: [c.NDA_VLAN, u16],
  // Index of the bridge.
  master: [c.NDA_MASTER, u32],
});

export interface NeighbourMessage {
  /** AF_INET, AF_INET6 or AF_BRIDGE. */
  family: number;
  index: number;
  /** NUD_*. */
  state: number;
  /** NTF_*. */
  flags: number;
  attributes: Values<typeof neighbourAttributes.rows>;
}

/** Size of struct ndmsg. */
export const NEIGHBOUR_HEADER = 12;

export function writeNeighbour(writer: Writer, message: NeighbourMessage): void {
  const start = writer.reserve(NEIGHBOUR_HEADER);
  writer.u8[start] = message.family;
  writer.u32[(start >> 2) + 1] = message.index;
  writer.u16[(start >> 1) + 4] = message.state;
  writer.u8[start + 10] = message.flags;
  neighbourAttributes.write(writer, message.attributes);
}

export function readNeighbour(from: Bytes, start: number, end: number, keep = false): NeighbourMessage {
  if (end - start < NEIGHBOUR_HEADER) throw new ProtocolError(`neighbour: message has ${end - start} bytes`);
  return {
    family: from.u8[start]!,
    index: from.u32[(start >> 2) + 1]!,
    state: from.u16[(start >> 1) + 4]!,
    flags: from.u8[start + 10]!,
    attributes: neighbourAttributes.read(from, start + NEIGHBOUR_HEADER, end, keep),
  };
}
