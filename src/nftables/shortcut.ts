// Finds rules of other programs that decide about every packet before podnic's rules see it, and chains that drop what podnic's rules let pass.
import { Failure } from "../errors.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { listRules } from "./attempt.ts";
import * as c from "./constants.ts";
import { type Expression, verdictOf } from "./expression.ts";
import { type ChainAttributes, NFT_HEADER, readRule } from "./message.ts";
import type { NftSocket, Place } from "./socket.ts";

/** Bytes. A verdict with a counter and a log is shorter, so a longer rule always compares something. */
const LONG = 160;
const GOES_ON = [c.NFT_JUMP, c.NFT_CONTINUE];
const SAYS_NOTHING = ["log", "notrack"];
const LETS_NONE_PASS = [c.NF_DROP, c.NFT_RETURN, c.NFT_CONTINUE];

/** Whether a rule decides about every packet, so that the rules after it in the chain have no effect. */
export function decidesAll(...message: Parameters<PayloadReader<void>>): boolean {
  const [from, start, end] = message;
  const where = findAttribute(from, start + NFT_HEADER, end, c.NFTA_RULE_EXPRESSIONS, 0);
  if (where === undefined || where[1] - where[0] > LONG) return false;
  const expressions = readRule(...message).expressions ?? [];
  const verdict = verdictOf(expressions);
  return verdict !== undefined && !GOES_ON.includes(verdict.code) && expressions.slice(0, -1).every(comparesNothing);
}

/**
 * Whether the policy of a chain at a hook is drop, and none of other programs' rules accepts anything. If one does, the policy is intended: it
 * is part of a firewall. `isPods` recognises the pods' rules.
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

/** Sets the chain's policy to accept. Sends no other attributes, because another program may have changed the priority. */
export function acceptRest(nft: NftSocket, { family, table }: Place, name: string): void {
  nft.addChain(family, { table, name, policy: c.NF_ACCEPT });
}

/** Whether a rule may accept packets: by its own verdict, in another chain, or by an expression that podnic does not decode. */
function mayAccept(expressions: Expression[]): boolean {
  const verdict = verdictOf(expressions);
  if (verdict !== undefined) return !LETS_NONE_PASS.includes(verdict.code);
  return expressions.some(({ other = "log" }) => !SAYS_NOTHING.includes(other));
}

/** CHECK's error for a chain whose policy is drop. */
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
