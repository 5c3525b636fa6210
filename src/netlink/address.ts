// RTM_*ADDR messages: struct ifaddrmsg and its attributes.
import { Table, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bytes, s32, text, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

export const addressAttributes = new Table("address", {
  address: [c.IFA_ADDRESS, bytes],
  local: [c.IFA_LOCAL, bytes],
  label: [c.IFA_LABEL, text],
  broadcast: [c.IFA_BROADCAST, bytes],
  // All 32 bits; the header has room for eight.
  flags: [c.IFA_FLAGS, u32],
  /** Of a query and its answers: the namespace, by the number that ours has for it. */
  targetNetnsid: [c.IFA_TARGET_NETNSID, s32],
});

export type AddressAttributes = Values<typeof addressAttributes.rows>;

export interface AddressMessage {
  /** AF_INET or AF_INET6. */
  family: number;
  prefixLength: number;
  /** IFA_F_* of the header; IFA_FLAGS has them all. */
  flags: number;
  scope: number;
  index: number;
  attributes: AddressAttributes;
}

/** Size of struct ifaddrmsg. */
const HEADER = 8;

/** Asks for all addresses of an interface; 0: of any. */
export function writeAddressQuery(writer: Writer, family: number, index: number): void {
  const start = writer.reserve(HEADER);
  writer.u8[start] = family;
  writer.u32[(start >> 2) + 1] = index;
}

export function writeAddress(writer: Writer, message: AddressMessage): void {
  writeAddressHeader(writer, message.family, message.prefixLength, message.flags, message.scope, message.index);
  addressAttributes.write(writer, message.attributes);
}

/** What attributes follow. */
export function writeAddressHeader(
  writer: Writer,
  family: number,
  prefixLength: number,
  flags: number,
  scope: number,
  index: number,
): void {
  const start = writer.room(HEADER);
  const { u8 } = writer;
  u8[start] = family;
  u8[start + 1] = prefixLength;
  u8[start + 2] = flags;
  u8[start + 3] = scope;
  writer.u32[(start >> 2) + 1] = index;
}

export function readAddress(from: Bytes, start: number, end: number, keep = false): AddressMessage {
  if (end - start < HEADER) throw new ProtocolError(`address: message has ${end - start} bytes`);
  return {
    family: from.u8[start]!,
    prefixLength: from.u8[start + 1]!,
    flags: from.u8[start + 2]!,
    scope: from.u8[start + 3]!,
    index: from.u32[(start >> 2) + 1]!,
    attributes: addressAttributes.read(from, start + HEADER, end, keep),
  };
}
