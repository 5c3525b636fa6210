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
import {
  asKernelSays,
  compare,
  type Expression,
  maskBits,
  masquerade,
  meta,
  payload,
  verdict,
  writeExpressions,
} from "./expression.ts";
import { hasIptables, listIptables, type Masqueraded, removeIptables } from "./iptables.ts";
import { removeMade } from "./made.ts";
import {
  type ChainAttributes,
  commentIn,
  endsWith,
  handleIn,
  isCommented,
  readChain,
  readRule,
  verdictIn,
} from "./message.ts";
import { isCommentOf, MARK, type Owner, ownerComment, ownerMark } from "./names.ts";
import { acceptRest, decidesAll, dropFailure, dropsRest } from "./shortcut.ts";
import type { NftSocket, Place } from "./socket.ts";
import { comment, commentOf } from "./userdata.ts";

export const MASQUERADE_PLACE: Place = { family: c.NFPROTO_INET, table: "cni_plugins_masquerade" };
const { family: FAMILY, table: TABLE } = MASQUERADE_PLACE;
const CHECKS = "masq_checks";
const BASE = "postrouting";
export const MASQUERADE_BASE: ChainAttributes = {
  table: TABLE,
  name: BASE,
  type: "nat",
  hook: { number: c.NF_INET_POST_ROUTING, priority: c.NF_IP_PRI_NAT_SRC },
};
const TABLE_COMMENT = "Masquerading for plugins from github.com/containernetworking/plugins";
const CHECKS_COMMENT = "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet";

/** The offsets and the length of the addresses in a packet's header, in bytes. */
interface Header {
  protocol: number;
  source: number;
  destination: number;
  length: number;
}

const HEADERS: { 4: Header; 6: Header } = {
  4: { protocol: c.NFPROTO_IPV4, source: 12, destination: 16, length: 4 },
  6: { protocol: c.NFPROTO_IPV6, source: 8, destination: 24, length: 16 },
};

const network = (offset: number, length: number): Expression => payload(c.NFT_PAYLOAD_NETWORK_HEADER, offset, length);
const ofProtocol = ({ protocol }: Header): Expression[] => [
  meta(c.NFT_META_NFPROTO),
  compare(new Uint8Array([protocol])),
];

/** Compares the destination with a prefix (NFT_CMP_NEQ: not in it). Like `nft`, compares only whole bytes if the length is a multiple of 8. */
function toPrefix(
  { destination, length: size }: Header,
  { address: { bytes }, length }: Prefix,
  op: number,
): Expression[] {
  if (length % 8 === 0 && length > 0)
    return [network(destination, length / 8), compare(bytes.slice(0, length / 8), op)];
  const mask = new Uint8Array(size);
  for (let bit = 0; bit < length; bit++) mask[bit >> 3]! |= 0x80 >> (bit & 7);
  return [network(destination, size), maskBits(mask), compare(bytes, op)];
}

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

/** The rules of the chain at the hook. They exclude multicast packets from masquerading. */
function baseRules(): Expression[][] {
  const multicast4 = { address: { family: 4, bytes: new Uint8Array([224, 0, 0, 0]) }, length: 4 } as const;
  const bytes = new Uint8Array(16);
  bytes[0] = 0xff;
  const multicast6 = { address: { family: 6, bytes }, length: 8 } as const;
  return [
    [...ofProtocol(HEADERS[4]), ...toPrefix(HEADERS[4], multicast4, c.NFT_CMP_EQ), verdict(c.NFT_RETURN)],
    [...ofProtocol(HEADERS[6]), ...toPrefix(HEADERS[6], multicast6, c.NFT_CMP_EQ), verdict(c.NFT_RETURN)],
    [verdict(c.NFT_GOTO, CHECKS)],
  ];
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
    const hasTable = checkTable(nft, MASQUERADE_PLACE, "ipMasq");
    const base = hasTable ? findBase(nft) : undefined;
    making?.(!hasTable);
    const isReady = base !== undefined && hasBaseRules(nft);
    const drops = base !== undefined && dropsPackets(nft, base);
    const generation = fresh ? undefined : nft.generation();
    const stale = fresh ? [] : listOwn(nft, ownerMark(owner));
    nft.start(generation);
    if (!isReady) addBase(nft, base !== undefined);
    if (drops) acceptRest(nft, MASQUERADE_PLACE, BASE);
    for (const handle of stale) nft.deleteRule(MASQUERADE_PLACE, CHECKS, handle);
    for (const address of addresses)
      nft.addRule(FAMILY, { table: TABLE, chain: CHECKS, written: writtenRule(address), userdata }, true);
    return nft.commit().slice(-addresses.length);
  });
}

/** The chain at the hook; undefined if it does not exist. Throws Failure if a chain of this name exists, but is not a nat chain at the hook. */
function findBase(nft: NftSocket): ChainAttributes | undefined {
  const chain = find(nft, () => nft.getChain(MASQUERADE_PLACE, BASE, readChain));
  if (chain === undefined || isNatAtHook(chain)) return chain;
  throw new Failure(
    "failed",
    `ipMasq: the chain ${BASE} in the nftables table inet ${TABLE} is not of type nat at the hook postrouting, so its rules have no effect`,
    `Another program created it. Remove it (nft 'flush chain inet ${TABLE} ${BASE}; delete chain inet ${TABLE} ${BASE}').`,
  );
}

const isNatAtHook = ({ hook, type }: ChainAttributes): boolean =>
  hook?.number === c.NF_INET_POST_ROUTING && type === "nat";

function dropsPackets(nft: NftSocket, base: ChainAttributes): boolean {
  return dropsRest(nft, MASQUERADE_PLACE, base, (...message) => verdictIn(...message)?.chain === CHECKS);
}

const TO_CHECKS = asKernelSays(verdict(c.NFT_GOTO, CHECKS));
const TO_CALLER = asKernelSays(verdict(c.NFT_RETURN));

/** The chain to which a rule of the chain at the hook leads, or "". Recognises addBase's rules by their last bytes, without decoding them. */
function chainOf(...message: Parameters<PayloadReader<void>>): string {
  if (endsWith(TO_CALLER, ...message)) return "";
  return endsWith(TO_CHECKS, ...message) ? CHECKS : (verdictIn(...message)?.chain ?? "");
}

/** True if the chain at the hook leads to the chain of the pods' rules. */
function hasBaseRules(nft: NftSocket): boolean {
  let decided = false;
  const read: PayloadReader<string> = (bytes, start, end) => {
    const chain = chainOf(bytes, start, end);
    if (chain === CHECKS && !decided) return chain;
    decided ||= decidesAll(bytes, start, end);
    return "";
  };
  const rules = listRules(nft, MASQUERADE_PLACE, BASE, read);
  return rules.length >= 3 && rules.includes(CHECKS);
}

/** Creates the table, its chains and the chain's rules. Does not send an existing chain at a hook: updating it is slow even if nothing changes. */
function addBase(nft: NftSocket, hasBase: boolean): void {
  nft.addTable(FAMILY, { name: TABLE, flags: 0, userdata: comment(TABLE_COMMENT) });
  nft.addChain(FAMILY, { table: TABLE, name: CHECKS, userdata: comment(CHECKS_COMMENT) });
  if (!hasBase) nft.addChain(FAMILY, MASQUERADE_BASE);
  nft.deleteRule(MASQUERADE_PLACE, BASE);
  for (const expressions of baseRules()) nft.addRule(FAMILY, { table: TABLE, chain: BASE, expressions });
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

function chainAtHook(nft: NftSocket): ChainAttributes | undefined {
  const chain = find(nft, () => nft.getChain(MASQUERADE_PLACE, BASE, readChain));
  return chain !== undefined && isNatAtHook(chain) ? chain : undefined;
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
