// Finds rules of other programs that decide about every packet before podnic's rules see it, and chains that drop what podnic's rules let pass.
import { Failure } from "../errors.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { listRules } from "./attempt.ts";
import * as c from "./constants.ts";
import { type Expression, verdictOf } from "./expression.ts";
import { type ChainAttributes, NFT_HEADER, readRule } from "./message.ts";
import type { NftSocket, Place } from "./socket.ts";

/** More than a verdict takes with a counter and a log: a rule that is longer compares something. */
const LONG = 160;
const GOES_ON = [c.NFT_JUMP, c.NFT_CONTINUE];
const SAYS_NOTHING = ["log", "notrack"];
const LETS_NONE_PASS = [c.NF_DROP, c.NFT_RETURN, c.NFT_CONTINUE];

/** Whether a rule decides of every packet: those behind it in its chain have no effect. */
export function decidesAll(...message: Parameters<PayloadReader<void>>): boolean {
  const [from, start, end] = message;
  const where = findAttribute(from, start + NFT_HEADER, end, c.NFTA_RULE_EXPRESSIONS, 0);
  if (where === undefined || where[1] - where[0] > LONG) return false;
  const expressions = readRule(...message).expressions ?? [];
  const verdict = verdictOf(expressions);
  return verdict !== undefined && !GOES_ON.includes(verdict.code) && expressions.slice(0, -1).every(comparesNothing);
}

/**
 * Whether a chain at a hook drops all that its rules do not decide about, and none of other programs' rules lets anything pass. With such rules
 * the policy is part of somebody's firewall. `isPods`: a pod's rule.
 */
export function dropsRest(
  nft: NftSocket,
  place: Place,
  { name = "", policy }: ChainAttributes,
  isPods: (...message: Parameters<PayloadReader<void>>) => boolean,
): boolean {
  if (policy !== c.NF_DROP) return false;
  const read: PayloadReader<true | undefined> = (...message) =>
    (!isPods(...message) && mayAccept(readRule(...message).expressions ?? [])) || undefined;
  return listRules(nft, place, name, read).length === 0;
}

/** Sets its policy back, and nothing else: another program may have given it another priority. */
export function acceptRest(nft: NftSocket, { family, table }: Place, name: string): void {
  nft.addChain(family, { table, name, policy: c.NF_ACCEPT });
}

/** By its verdict, that of another chain or of a map, or that of a program. */
function mayAccept(expressions: Expression[]): boolean {
  const verdict = verdictOf(expressions);
  if (verdict !== undefined) return !LETS_NONE_PASS.includes(verdict.code);
  return expressions.some(({ other = "log" }) => !SAYS_NOTHING.includes(other));
}

/** What CHECK says of one. */
export function dropFailure(what: string, where: string): Failure {
  return new Failure(
    "failed",
    `${what}: the policy of the nftables chain ${where} is drop, so the kernel drops what the pods' rules let pass`,
    `Something has changed the policy since ADD. Run \`nft 'chain ${where} { policy accept; }'\`; the next ADD also does this.`,
  );
}

function comparesNothing({ counter, other = "" }: Expression): boolean {
  return counter !== undefined || SAYS_NOTHING.includes(other);
}
