// ipMasq with nftables: packets that a pod sends to other subnets leave with the node's address.
//
// The layout is the Go plugin's (its back end "nftables"), so that either removes what the other made:
//
//   table inet cni_plugins_masquerade {
//     chain masq_checks { ip saddr ADDRESS ip daddr != SUBNET masquerade comment "MARK, net: …, if: …, id: …" }    (one per address)
//     chain postrouting { type nat hook postrouting priority 100
//       ip daddr 224.0.0.0/4 return; ip6 daddr ff00::/8 return; goto masq_checks }
//   }
//
// Chains of other tables at the same hook see the packets too, whatever ours say; the first that translates wins. What the Go plugin
// wrote by way of iptables is in iptables.ts.
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

/** Where the addresses are in a packet's header, and how long they are. */
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

/** Whether the destination is in a prefix (or not, with NFT_CMP_NEQ): as `nft` says it, by its whole bytes where it has no others. */
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

/** An address of a pod with its prefix length: what it sends out of that is masqueraded. */
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

/** A rule for all addresses of one family with one prefix length: as it is sent, and where the addresses are in it. */
interface Form {
  family: 4 | 6;
  length: number;
  rule: Uint8Array;
  source: number;
  /** Of the subnet, of which so many bytes are there. */
  subnet: number;
  size: number;
}

function formOf(family: 4 | 6, length: number): Form {
  const { length: size } = HEADERS[family];
  const compared: [at: number, size: number][] = [];
  const rule = writeExpressions(
    ruleOf({ address: { family, bytes: new Uint8Array(size) }, length }),
    ({ cmp }, end) => cmp && compared.push([end - align4(cmp.data!.value!.length), cmp.data!.value!.length]),
  );
  // The protocol is compared first.
  const [, [source], [subnet, part]] = compared as [[number, number], [number, number], [number, number]];
  return { family, length, rule, source, subnet, size: part };
}

/** Of the usual ones: to write a rule anew takes ten times as long. */
const FORMS = [formOf(4, 24), formOf(4, 16), formOf(6, 64)];

/** The expressions of ruleOf as they are sent. */
function writtenRule(address: Prefix): Uint8Array {
  const { family, bytes } = address.address;
  const form = FORMS.find((one) => one.family === family && one.length === address.length);
  const { rule, source, subnet, size } = form ?? formOf(family, address.length);
  const written = rule.slice();
  written.set(bytes, source);
  written.set(networkPrefix(address).address.bytes.subarray(0, size), subnet);
  return written;
}

/** Multicast never is. */
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
 * Masquerades what the pod sends from `addresses` out of their subnets. One transaction. Rules of the same attachment are replaced, unless
 * it is `fresh`: the caller knows (by its record) that it has none, which spares the reading of all pods' rules. `making` hears whether the
 * table will be new; see removeNewMasquerade. Returns numbers that make the removal cheap; see removeMasquerade.
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

/** undefined: there is none. Throws when there is one of that name which no packet comes to. */
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

/** The chain that a rule of the chain at the hook leads to, or "". Those that addBase made are not read but compared. */
function chainOf(...message: Parameters<PayloadReader<void>>): string {
  if (endsWith(TO_CALLER, ...message)) return "";
  return endsWith(TO_CHECKS, ...message) ? CHECKS : (verdictIn(...message)?.chain ?? "");
}

/** The chain at the hook leads to that of the pods. */
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

/** An existing chain at a hook is not sent again: the kernel takes long for an update of one, although it changes nothing. */
function addBase(nft: NftSocket, hasBase: boolean): void {
  nft.addTable(FAMILY, { name: TABLE, flags: 0, userdata: comment(TABLE_COMMENT) });
  nft.addChain(FAMILY, { table: TABLE, name: CHECKS, userdata: comment(CHECKS_COMMENT) });
  if (!hasBase) nft.addChain(FAMILY, MASQUERADE_BASE);
  nft.deleteRule(MASQUERADE_PLACE, BASE);
  for (const expressions of baseRules()) nft.addRule(FAMILY, { table: TABLE, chain: BASE, expressions });
}

/** Removes the table that an ADD has made which failed later. Its rules are gone. */
export function removeNewMasquerade(nft: NftSocket): void {
  removeMade(nft, MASQUERADE_PLACE, [BASE, CHECKS], baseRules().length, true);
}

/** Handles of the rules whose comment begins with a mark. */
function listOwn(nft: NftSocket, mark: string): number[] {
  return listRules(nft, MASQUERADE_PLACE, CHECKS, (bytes, start, end) => ofMark(mark, bytes, start, end));
}

function ofMark(mark: string, ...message: Parameters<PayloadReader<void>>): number | undefined {
  return isCommented(mark, ...message) ? handleIn(...message) : undefined;
}

/**
 * Removes the masquerading of an attachment: what addMasquerade or the Go plugin made, by nftables or by iptables-nft. Needs nothing but the
 * ids, may be repeated, and touches nothing of others. `rules`, what addMasquerade returned, spare it the reading of all pods' rules, and
 * the look for iptables, of which addMasquerade makes none; wrong numbers do no harm. iptables has one chain for all interfaces of a pod in a network:
 * of `addresses`, if they are known, only the rules for these. False: there was nothing.
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

/** Of a container: what the Go plugin made by iptables-nft. See removeMasquerade. */
export function removeByIptables(nft: NftSocket, owner: Omit<Owner, "ifName">, addresses?: Address[]): boolean {
  let busy = 0;
  return attempt("ipMasq", (refusal) => {
    if (refusal === "EBUSY") busy++;
    return removeIptables(nft, owner, addresses, busy > 1);
  });
}

/** False, and nothing was removed: not all of them are what they were. */
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
 * Whether somebody may have loaded saved rules since (nft -f), and with them copies of ours: the chain at the hook then has rules that are newer than
 * `handle`. Older ones say nothing: they stay for ever, and each DEL would read the rules of all pods.
 */
function isLoadedAgain(nft: NftSocket, handle: number): boolean {
  return listRules(nft, MASQUERADE_PLACE, BASE, handleIn).some((each) => each > handle);
}

/** With the generation: a table that was made again gives the numbers to others' rules. */
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
 * Throws Failure when anything of it is not as addMasquerade, or the Go plugin by nftables or iptables-nft, made it. `known`, what addMasquerade
 * returned, spares it the reading of all pods' rules.
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
  /** Begins with ownerMark, and that with networkMark. */
  comment: string;
}

/** All masquerading by nftables in this namespace, ours and the Go plugin's. */
export function listMasquerades(nft: NftSocket): Masquerade[] {
  return attempt("ipMasq", () =>
    listRules(nft, MASQUERADE_PLACE, CHECKS, (bytes, start, end) => {
      const { handle = 0, userdata } = readRule(bytes, start, end);
      const text = commentOf(userdata);
      return text === "" ? undefined : { handle, comment: text };
    }),
  );
}

/** All containers that are masqueraded by iptables-nft. */
export const listByIptables = (nft: NftSocket): Masqueraded[] => attempt("ipMasq", () => listIptables(nft));

/** Removes rules that listMasquerades told of, if they still are what they were. */
export function removeMasqueradeRules(nft: NftSocket, rules: Masquerade[]): void {
  attempt("ipMasq", () => {
    const generation = nft.generation();
    const handles = rules
      .filter(({ handle, comment: text }) => isOwn(nft, handle, (now) => now.startsWith(text.slice(0, MARK))))
      .map(({ handle }) => handle);
    if (handles.length > 0) deleteRules(nft, generation, handles);
  });
}
