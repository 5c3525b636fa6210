// Finds rules of other programs that decide about every packet before podnic's rules see it.
import { findAttribute } from "../netlink/attributes.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import * as c from "./constants.ts";
import { type Expression, verdictOf } from "./expression.ts";
import { NFT_HEADER, readRule } from "./message.ts";

/** More than a verdict takes with a counter and a log: a rule that is longer compares something. */
const LONG = 160;
const GOES_ON = [c.NFT_JUMP, c.NFT_CONTINUE];
const SAYS_NOTHING = ["log", "notrack"];

/** Whether a rule decides of every packet: those behind it in its chain have no effect. */
export function decidesAll(...message: Parameters<PayloadReader<void>>): boolean {
  const [from, start, end] = message;
  const where = findAttribute(from, start + NFT_HEADER, end, c.NFTA_RULE_EXPRESSIONS, 0);
  if (where === undefined || where[1] - where[0] > LONG) return false;
  const expressions = readRule(...message).expressions ?? [];
  const verdict = verdictOf(expressions);
  return verdict !== undefined && !GOES_ON.includes(verdict.code) && expressions.slice(0, -1).every(comparesNothing);
}

function comparesNothing({ counter, other = "" }: Expression): boolean {
  return counter !== undefined || SAYS_NOTHING.includes(other);
}
