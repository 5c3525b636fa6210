// RTM_*RULE messages (`ip rule`): struct fib_rule_hdr and its attributes.
import { Table, type Values } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { bytes, text, u8, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import { ProtocolError } from "./errors.ts";

export const ruleAttributes = new Table("rule", {
  dst: [c.FRA_DST, bytes],
  src: [c.FRA_SRC, bytes],
  iif: [c.FRA_IIFNAME, text],
  priority: [c.FRA_PRIORITY, u32],
  mark: [c.FRA_FWMARK, u32],
  suppressPrefixLength: [c.FRA_SUPPRESS_PREFIXLEN, u32],
  table: [c.FRA_TABLE, u32],
  markMask: [c.FRA_FWMASK, u32],
  oif: [c.FRA_OIFNAME, text],
  l3mdev: [c.FRA_L3MDEV, u8],
});

export interface RuleMessage {
  /** AF_INET or AF_INET6. */
  family: number;
  dstLength: number;
  srcLength: number;
  tos: number;
  /** Tables above 255 are in FRA_TABLE. */
  table: number;
  /** FR_ACT_*. */
  action: number;
  /** FIB_RULE_* bits. */
  flags: number;
  attributes: Values<typeof ruleAttributes.rows>;
}

/** Size of struct fib_rule_hdr. */
const HEADER = 12;

export function writeRule(writer: Writer, message: RuleMessage): void {
  const start = writer.reserve(HEADER);
  writer.u8[start] = message.family;
  writer.u8[start + 1] = message.dstLength;
  writer.u8[start + 2] = message.srcLength;
  writer.u8[start + 3] = message.tos;
  writer.u8[start + 4] = message.table;
  writer.u8[start + 7] = message.action;
  writer.u32[(start >> 2) + 2] = message.flags;
  ruleAttributes.write(writer, message.attributes);
}

export function readRule(from: Bytes, start: number, end: number, keep = false): RuleMessage {
  if (end - start < HEADER) throw new ProtocolError(`rule: message has ${end - start} bytes`);
  return {
    family: from.u8[start]!,
    dstLength: from.u8[start + 1]!,
    srcLength: from.u8[start + 2]!,
    tos: from.u8[start + 3]!,
    table: from.u8[start + 4]!,
    action: from.u8[start + 7]!,
    flags: from.u32[(start >> 2) + 2]!,
    attributes: ruleAttributes.read(from, start + HEADER, end, keep),
  };
}
