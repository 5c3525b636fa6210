// ipMasq with nftables: packets that a pod sends to other subnets leave with the node's address.
//
// The layout is the same as that of the Go plugin's back end "nftables", so that each plugin can remove what the other one created:
//
//   table inet cni_plugins_masquerade {
//     chain masq_checks { ip saddr ADDRESS ip daddr != SUBNET masquerade comment "MARK, net: …, if: …, id: …" }    (one per address)
//     chain postrouting { type nat hook postrouting priority 100
//       ip daddr 224.0.0.0/4 return; ip6 daddr ff00::/8 return; goto masq_checks }
//   }
//
// Other tables' chains at the same hook also see the packets, independently of these rules; the first chain that translates an address wins.
// iptables.ts handles the rules that the Go plugin writes with iptables.
import { Failure } from "../errors.ts";
import { type Address, formatAddress, type Prefix } from "../ip/address.ts";
import { networkPrefix } from "../ip/range.ts";
import { align4 } from "../netlink/bytes.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { attempt, checkTable, find, listRules, nftFailure } from "./attempt.ts";
import * as c from "./constants.ts";
import { sameExpressions } from "./equal.ts";
import { compare, type Expression, masquerade, writeExpressions } from "./expression.ts";
import { hasIptables, listIptables, type Masqueraded, removeIptables } from "./iptables.ts";
import { removeMade } from "./made.ts";
import {
  addBase,
  BASE,
  baseRules,
  CHECKS,
  chainAtHook,
  dropsPackets,
  HEADERS,
  hasBaseRules,
  lookAtBase,
  MASQUERADE_PLACE,
  network,
  ofProtocol,
  toPrefix,
} from "./masquerade-base.ts";
import { commentIn, handleIn, isCommented, readRule } from "./message.ts";
import { isCommentOf, MARK, type Owner, ownerComment, ownerMark } from "./names.ts";
import { acceptRest, decidesAll, dropFailure } from "./shortcut.ts";
import type { NftSocket } from "./socket.ts";
import { comment, commentOf } from "./userdata.ts";

const { family: FAMILY, table: TABLE } = MASQUERADE_PLACE;

/** The rule for a pod's address: masquerades packets from the address to destinations outside of its subnet. */
function ruleOf(address: Prefix): Expression[] {
  const header = HEADERS[address.address.family];
  return [
    ...ofProtocol(header),
    network(header.source, header.length),
    compare(address.address.bytes),
    ...toPrefix(header, networkPrefix(address), c.NFT_CMP_NEQ),
    masquerade,
  ];
}

/** The encoded rule for addresses of one family and prefix length, with the offsets at which to insert the addresses. */
interface Form {
  family: 4 | 6;
  length: number;
  rule: Uint8Array;
  source: number;
  subnet: number;
  /** The number of bytes of the subnet in the rule. */
  size: number;
}

function formOf(family: 4 | 6, length: number): Form {
  const { length: size } = HEADERS[family];
  const compared: [at: number, size: number][] = [];
  const rule = writeExpressions(
    ruleOf({ address: { family, bytes: new Uint8Array(size) }, length }),
    ({ cmp }, end) => cmp && compared.push([end - align4(cmp.data!.value!.length), cmp.data!.value!.length]),
  );
  // Skip the first comparison, which is that of the protocol.
  const [, [source], [subnet, part]] = compared as [[number, number], [number, number], [number, number]];
  return { family, length, rule, source, subnet, size: part };
}

/** Forms of common prefix lengths, prepared at build time: encoding a rule takes ten times as long as copying it. */
const FORMS = [formOf(4, 24), formOf(4, 16), formOf(6, 64)];

/** The encoded expressions of ruleOf. */
function writtenRule(address: Prefix): Uint8Array {
  const { family, bytes } = address.address;
  const form = FORMS.find((one) => one.family === family && one.length === address.length);
  const { rule, source, subnet, size } = form ?? formOf(family, address.length);
  const written = rule.slice();
  written.set(bytes, source);
  written.set(networkPrefix(address).address.bytes.subarray(0, size), subnet);
  return written;
}

/**
 * Masquerades packets from `addresses` to destinations outside of their subnets. Replaces rules of the same attachment in one transaction.
 * `fresh`: the caller knows from its record that there are none, so all pods' rules need not be read. Tells `making` whether it will create
 * the table; see removeNewMasquerade. Returns the rules' handles, which make their removal cheap; see removeMasquerade.
 */
export function addMasquerade(
  nft: NftSocket,
  owner: Owner,
  addresses: Prefix[],
  fresh = false,
  making?: (table: boolean) => void,
): number[] {
  const userdata = comment(ownerComment(owner));
  return attempt("ipMasq", () => {
    const { hasTable, hasChain, isReady, drops } = lookAtBase(nft);
    making?.(!hasTable);
    const generation = fresh ? undefined : nft.generation();
    const stale = fresh ? [] : listOwn(nft, ownerMark(owner));
    nft.start(generation);
    if (!isReady) addBase(nft, hasChain);
    if (drops) acceptRest(nft, MASQUERADE_PLACE, BASE);
    for (const handle of stale) nft.deleteRule(MASQUERADE_PLACE, CHECKS, handle);
    for (const address of addresses)
      nft.addRule(FAMILY, { table: TABLE, chain: CHECKS, written: writtenRule(address), userdata }, true);
    return nft.commit().slice(-addresses.length);
  });
}

/** Removes the table that a failed ADD created. The ADD's own rules must have been removed already. */
export function removeNewMasquerade(nft: NftSocket): void {
  removeMade(nft, MASQUERADE_PLACE, [BASE, CHECKS], baseRules().length, true);
}

/** The handles of the rules whose comment begins with `mark`. */
function listOwn(nft: NftSocket, mark: string): number[] {
  return listRules(nft, MASQUERADE_PLACE, CHECKS, (bytes, start, end) => ofMark(mark, bytes, start, end));
}

function ofMark(mark: string, ...message: Parameters<PayloadReader<void>>): number | undefined {
  return isCommented(mark, ...message) ? handleIn(...message) : undefined;
}

/**
 * Removes the masquerading of an attachment that addMasquerade or the Go plugin created with nftables or iptables-nft. Needs only the owner,
 * can be repeated, and does not touch rules of others. With the handles `rules` from addMasquerade, it neither reads all pods' rules nor
 * searches for iptables rules; wrong handles do no harm. iptables has one chain for all of a pod's interfaces in a network, so if
 * `addresses` is known, only their rules are removed from it. Returns false if there was nothing.
 */
export function removeMasquerade(nft: NftSocket, owner: Owner, rules?: number[], addresses?: Address[]): boolean {
  if (rules !== undefined && rules.length > 0 && removeKnown(nft, owner, rules)) return true;
  const mark = ownerMark(owner);
  const own = attempt("ipMasq", () => {
    const generation = find(nft, () => nft.generation());
    const handles = generation === undefined ? [] : listOwn(nft, mark);
    if (handles.length > 0) deleteRules(nft, generation!, handles);
    return handles.length > 0;
  });
  return removeByIptables(nft, owner, addresses) || own;
}

/** Removes the masquerading of a container that the Go plugin created with iptables-nft. See removeMasquerade. */
export function removeByIptables(nft: NftSocket, owner: Omit<Owner, "ifName">, addresses?: Address[]): boolean {
  let busy = 0;
  return attempt("ipMasq", (refusal) => {
    if (refusal === "EBUSY") busy++;
    return removeIptables(nft, owner, addresses, busy > 1);
  });
}

/** Removes the rules with these handles. Returns false, and removes nothing, if one of them is no longer the owner's rule. */
function removeKnown(nft: NftSocket, owner: Owner, rules: number[]): boolean {
  const isWanted = (comment: string) => isCommentOf(owner, comment);
  return attempt("ipMasq", () => {
    const generation = find(nft, () => nft.generation());
    if (generation === undefined || !rules.every((handle) => isOwn(nft, handle, isWanted))) return false;
    if (isLoadedAgain(nft, Math.min(...rules))) return false;
    deleteRules(nft, generation, rules);
    return true;
  });
}

/**
 * Whether somebody may have loaded saved rules (nft -f), with copies of podnic's rules, after the rule `handle` was created. The chain at the
 * hook then has rules with larger handles. Copies that are older than this rule are not searched for: they exist forever, and each DEL would
 * read all pods' rules.
 */
function isLoadedAgain(nft: NftSocket, handle: number): boolean {
  return listRules(nft, MASQUERADE_PLACE, BASE, handleIn).some((each) => each > handle);
}

/** The transaction needs the generation, because in a table that was created again, the handles belong to other rules. */
function deleteRules(nft: NftSocket, generation: number, handles: number[]): void {
  nft.start(generation);
  for (const handle of handles) nft.deleteRule(MASQUERADE_PLACE, CHECKS, handle);
  nft.commit();
}

function isOwn(nft: NftSocket, handle: number, isWanted: (comment: string) => boolean): boolean {
  const read: PayloadReader<boolean> = (...message) => isWanted(commentIn(...message));
  return find(nft, () => nft.getRule(MASQUERADE_PLACE, CHECKS, handle, read)) === true;
}

/**
 * Throws Failure if the rules differ from those that addMasquerade, or the Go plugin with nftables or iptables-nft, created. With `known`, the
 * handles from addMasquerade, it usually need not read all pods' rules.
 */
export function checkMasquerade(nft: NftSocket, owner: Owner, addresses: Prefix[], known: number[] = []): void {
  try {
    const mark = ownerMark(owner);
    const base = checkTable(nft, MASQUERADE_PLACE, "ipMasq") ? chainAtHook(nft) : undefined;
    const isOn = base !== undefined && hasBaseRules(nft);
    let decided = false;
    const read: PayloadReader<Expression[] | undefined> = (...message) => {
      const expressions = decided ? undefined : expressionsOf(mark, ...message);
      if (expressions === undefined) decided ||= decidesAll(...message);
      return expressions;
    };
    const ask = (handle: number) => find(nft, () => nft.getRule(MASQUERADE_PLACE, CHECKS, handle, read)) ?? [];
    let rules = isOn ? known.map(ask) : [];
    const isComplete = addresses.every((address) => rules.some((rule) => sameExpressions(rule, ruleOf(address))));
    if (isOn && !isComplete) rules = listRules(nft, MASQUERADE_PLACE, CHECKS, read);
    for (const address of addresses) {
      const wanted = ruleOf(address);
      if (base !== undefined && rules.some((rule) => sameExpressions(rule, wanted))) {
        if (dropsPackets(nft, base)) throw dropFailure("ipMasq", `inet ${TABLE} ${BASE}`);
      } else if (!hasIptables(nft, owner, address)) throw missing(address, isOn);
    }
  } catch (error) {
    throw nftFailure(error, "ipMasq");
  }
}

function expressionsOf(mark: string, ...message: Parameters<PayloadReader<void>>): Expression[] | undefined {
  return isCommented(mark, ...message) ? readRule(...message).expressions : undefined;
}

function missing({ address }: Prefix, isOn: boolean): Failure {
  const where = isOn ? `the chain ${CHECKS} has no rule for it` : `no packet reaches the chain ${CHECKS}`;
  return new Failure(
    "failed",
    `ipMasq: packets from ${formatAddress(address)} are not masqueraded: ${where} (nftables table inet ${TABLE})`,
    `Something has changed the rules since ADD (nft list table inet ${TABLE}). Remove other programs' rules that come first; DEL and a new ADD restore podnic's.`,
  );
}

export interface Masquerade {
  handle: number;
  /** Begins with the owner's ownerMark, which begins with the networkMark. */
  comment: string;
}

/** All masquerading rules in nftables in this namespace, podnic's and the Go plugin's. */
export function listMasquerades(nft: NftSocket): Masquerade[] {
  return attempt("ipMasq", () =>
    listRules(nft, MASQUERADE_PLACE, CHECKS, (bytes, start, end) => {
      const { handle = 0, userdata } = readRule(bytes, start, end);
      const text = commentOf(userdata);
      return text === "" ? undefined : { handle, comment: text };
    }),
  );
}

/** All containers whose addresses iptables-nft masquerades. */
export const listByIptables = (nft: NftSocket): Masqueraded[] => attempt("ipMasq", () => listIptables(nft));

/** Removes rules from listMasquerades, if their handles still belong to the same owners. */
export function removeMasqueradeRules(nft: NftSocket, rules: Masquerade[]): void {
  attempt("ipMasq", () => {
    const generation = nft.generation();
    const handles = rules
      .filter(({ handle, comment: text }) => isOwn(nft, handle, (now) => now.startsWith(text.slice(0, MARK))))
      .map(({ handle }) => handle);
    if (handles.length > 0) deleteRules(nft, generation, handles);
  });
}
