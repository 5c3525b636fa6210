// RTM_NEWNSID and RTM_GETNSID: numbers by which a namespace knows its peers (struct rtgenmsg and attributes).
import { Table } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { s32, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

/** struct rtgenmsg is one byte, aligned to 4. */
const HEADER = 4;

export const nsidAttributes = new Table("nsid", {
  nsid: [c.NETNSA_NSID, s32],
  fd: [c.NETNSA_FD, u32],
});

export function writeNsid(writer: Writer, fd: number, nsid?: number): void {
  writer.reserve(HEADER);
  nsidAttributes.write(writer, { nsid, fd });
}

/** The number in an answer; -1 when the peer has none. */
export function readNsid(from: Bytes, start: number, end: number): number {
  if (end - start < HEADER) throw new ProtocolError(`nsid: message has ${end - start} bytes`);
  return nsidAttributes.read(from, start + HEADER, end, false).nsid ?? -1;
}
