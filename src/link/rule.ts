// Policy rules: `ip rule show`.
import { AF_INET, AF_INET6 } from "../host/constants.ts";
import type { Family, Prefix } from "../ip/address.ts";
import type { Bytes, Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { readRule, writeRule } from "../netlink/rule.ts";
import type { RouteSocket } from "../netlink/socket.ts";

/** A rule as the kernel has it: which packets are looked up in which table. */
export interface KernelRule {
  priority: number;
  /** Sources and destinations it is for; undefined: all. */
  from: Prefix | undefined;
  to: Prefix | undefined;
  /** Names of interfaces it is for; "": all. */
  iif: string;
  oif: string;
  /** For all packets but those (`not`). */
  inverted: boolean;
  /** The table that it leads to; undefined when it leads to none, or to that of a VRF. */
  table: number | undefined;
}

/** The rules of one family. A kernel without policy rules has none. */
export function listRules(route: RouteSocket, family: Family): KernelRule[] {
  const write = (writer: Writer) =>
    writeRule(writer, {
      family: family === 4 ? AF_INET : AF_INET6,
      dstLength: 0,
      srcLength: 0,
      tos: 0,
      table: 0,
      action: 0,
      flags: 0,
      attributes: {},
    });
  const read = (bytes: Bytes, start: number, end: number) => toRule(bytes, start, end, family);
  try {
    return route.dump(`ip -${family} rule show`, c.RTM_GETRULE, write, read).items;
  } catch (error) {
    if (error instanceof NetlinkError && ["EOPNOTSUPP", "EAFNOSUPPORT"].includes(error.code)) return [];
    throw error;
  }
}

function toRule(bytes: Bytes, start: number, end: number, family: Family): KernelRule | undefined {
  const message = readRule(bytes, start, end);
  if (message.family !== (family === 4 ? AF_INET : AF_INET6)) return undefined;
  const { attributes: a } = message;
  const prefix = (of: Uint8Array | undefined, length: number): Prefix | undefined =>
    of === undefined ? undefined : { address: { family, bytes: of }, length };
  const leads = message.action === c.FR_ACT_TO_TBL && (a.l3mdev ?? 0) === 0;
  return {
    priority: a.priority ?? 0,
    from: prefix(a.src, message.srcLength),
    to: prefix(a.dst, message.dstLength),
    iif: a.iif ?? "",
    oif: a.oif ?? "",
    inverted: (message.flags & c.FIB_RULE_INVERT) !== 0,
    table: leads ? (a.table ?? message.table) : undefined,
  };
}
