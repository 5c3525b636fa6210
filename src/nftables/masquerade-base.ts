// The table of ipMasq, and the chains in it that all pods share: see masquerade.ts.
import { Failure } from "../errors.ts";
import type { Prefix } from "../ip/address.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { checkTable, find, listRules } from "./attempt.ts";
import * as c from "./constants.ts";
import { asKernelSays, compare, type Expression, maskBits, meta, payload, verdict } from "./expression.ts";
import { type ChainAttributes, endsWith, flagsIn, isOpenAt, readChain, verdictIn } from "./message.ts";
import { decidesAll, dropsRest } from "./shortcut.ts";
import { type NftSocket, type Place, questionsAbout } from "./socket.ts";
import { comment } from "./userdata.ts";

export const MASQUERADE_PLACE: Place = { family: c.NFPROTO_INET, table: "cni_plugins_masquerade" };
const { family: FAMILY, table: TABLE } = MASQUERADE_PLACE;
/** The chain of the pods' rules. */
export const CHECKS = "masq_checks";
/** The chain at the hook. */
export const BASE = "postrouting";
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

export const HEADERS: { 4: Header; 6: Header } = {
  4: { protocol: c.NFPROTO_IPV4, source: 12, destination: 16, length: 4 },
  6: { protocol: c.NFPROTO_IPV6, source: 8, destination: 24, length: 16 },
};

export const network = (offset: number, length: number): Expression =>
  payload(c.NFT_PAYLOAD_NETWORK_HEADER, offset, length);
export const ofProtocol = ({ protocol }: Header): Expression[] => [
  meta(c.NFT_META_NFPROTO),
  compare(new Uint8Array([protocol])),
];

/** Compares the destination with a prefix (NFT_CMP_NEQ: not in it). Like `nft`, compares only whole bytes if the length is a multiple of 8. */
export function toPrefix(
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

/** The rules of the chain at the hook. They exclude multicast packets from masquerading. */
export function baseRules(): Expression[][] {
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

/** Like findBase, but also undefined if the chain is not a nat chain at the hook. For CHECK. */
export function chainAtHook(nft: NftSocket): ChainAttributes | undefined {
  const chain = find(nft, () => nft.getChain(MASQUERADE_PLACE, BASE, readChain));
  return chain !== undefined && isNatAtHook(chain) ? chain : undefined;
}

export function dropsPackets(nft: NftSocket, base: ChainAttributes): boolean {
  return dropsRest(nft, MASQUERADE_PLACE, base, (...message) => verdictIn(...message)?.chain === CHECKS);
}

const TO_CHECKS = asKernelSays(verdict(c.NFT_GOTO, CHECKS));
const TO_CALLER = asKernelSays(verdict(c.NFT_RETURN));

/** The chain to which a rule of the chain at the hook leads, or "". Recognises addBase's rules by their last bytes, without decoding them. */
function chainOf(...message: Parameters<PayloadReader<void>>): string {
  if (endsWith(TO_CALLER, ...message)) return "";
  return endsWith(TO_CHECKS, ...message) ? CHECKS : (verdictIn(...message)?.chain ?? "");
}

/** Reads the rules of the chain at the hook, in their order. Returns true for a rule that leads all packets to the pods' rules. */
function readLeading(): PayloadReader<boolean> {
  let decided = false;
  return (...message) => {
    const leads = !decided && chainOf(...message) === CHECKS;
    if (!leads) decided ||= decidesAll(...message);
    return leads;
  };
}

const isLeading = (rules: boolean[]): boolean => rules.length >= 3 && rules.includes(true);

/** True if the chain at the hook leads to the chain of the pods' rules. */
export function hasBaseRules(nft: NftSocket): boolean {
  return isLeading(listRules(nft, MASQUERADE_PLACE, BASE, readLeading()));
}

/** What exists for all pods. */
interface Base {
  hasTable: boolean;
  /** The chain at the hook exists. */
  hasChain: boolean;
  /** The chain at the hook has its rules, and they lead to the pods' rules. */
  isReady: boolean;
  /** The policy of the chain at the hook is drop, so that it drops what the pods' rules let pass. */
  drops: boolean;
}

const AS_LEFT: Base = { hasTable: true, hasChain: true, isReady: true, drops: false };
const QUESTIONS = questionsAbout(MASQUERADE_PLACE, BASE);

/** Throws Failure if another program has created something of these names that podnic cannot use. */
export function lookAtBase(nft: NftSocket): Base {
  if (isAsLeft(nft)) return AS_LEFT;
  const hasTable = checkTable(nft, MASQUERADE_PLACE, "ipMasq");
  const chain = hasTable ? findBase(nft) : undefined;
  const isReady = chain !== undefined && hasBaseRules(nft);
  return { hasTable, hasChain: chain !== undefined, isReady, drops: chain !== undefined && dropsPackets(nft, chain) };
}

/** Checks the usual case with one send: everything for all pods exists. Returns false in all other cases, and if this is not certain. */
function isAsLeft(nft: NftSocket): boolean {
  let isOn = false;
  let isAtHook = false;
  const rules: boolean[] = [];
  const readRule = readLeading();
  const isAnswered = nft.ask(QUESTIONS, (which, ...message) => {
    if (which === 0) isOn = (flagsIn(...message) & c.NFT_TABLE_F_DORMANT) === 0;
    else if (which === 1) isAtHook = isOpenAt(c.NF_INET_POST_ROUTING, "nat", ...message);
    else rules.push(readRule(...message));
  });
  return isAnswered && isOn && isAtHook && isLeading(rules);
}

/** Creates the table, its chains and the chain's rules. Does not send an existing chain at a hook: updating it is slow even if nothing changes. */
export function addBase(nft: NftSocket, hasBase: boolean): void {
  nft.addTable(FAMILY, { name: TABLE, flags: 0, userdata: comment(TABLE_COMMENT) });
  nft.addChain(FAMILY, { table: TABLE, name: CHECKS, userdata: comment(CHECKS_COMMENT) });
  if (!hasBase) nft.addChain(FAMILY, MASQUERADE_BASE);
  nft.deleteRule(MASQUERADE_PLACE, BASE);
  for (const expressions of baseRules()) nft.addRule(FAMILY, { table: TABLE, chain: BASE, expressions });
}
