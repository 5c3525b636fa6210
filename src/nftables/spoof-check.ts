// macspoofchk with nftables: of the frames that enter through a bridge port, only those with the pod's address pass.
//
// The layout is the Go plugin's, so that either removes what the other made. In the table `bridge nat`:
//
//   chain PREROUTING { type filter hook prerouting priority -300; policy accept; iifname PORT jump cni-br-iface-ID }
//   chain cni-br-iface-ID { jump cni-br-iface-ID-mac }
//   chain cni-br-iface-ID-mac { ether saddr MAC return; drop }
//
// ID is CONTAINERID-IFNAME, and all four rules have the comment macspoofchk-ID. The table and PREROUTING stay: others use them too.
// Our chains have a comment that names the network, for GC, and so has their first rule (hidden: nft does not print it), for kernels before 5.10.
import { Failure } from "../errors.ts";
import { formatMac } from "../ip/mac.ts";
import { log } from "../log.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { attempt, checkTable, find, listRules, nftFailure } from "./attempt.ts";
import * as c from "./constants.ts";
import { sameExpressions } from "./equal.ts";
import { compare, type Expression, meta, payload, verdict, verdictOf } from "./expression.ts";
import { type Made, removeMade } from "./made.ts";
import { type ChainAttributes, isCommented, type RuleAttributes, readChain, readRule, verdictIn } from "./message.ts";
import {
  checkSpoofNames,
  isChainName,
  isOfAnother,
  type Owner,
  ownerComment,
  SPOOF_CHAIN,
  type SpoofNames,
  spoofId,
  spoofIdOf,
  spoofNames,
} from "./names.ts";
import { acceptRest, decidesAll, dropFailure, dropsRest } from "./shortcut.ts";
import type { NftSocket, Place } from "./socket.ts";
import { comment, commentOf, commentWithOwner, ownerOf } from "./userdata.ts";

export const SPOOF_PLACE: Place = { family: c.NFPROTO_BRIDGE, table: "nat" };
const BASE = "PREROUTING";
export const SPOOF_BASE: ChainAttributes = {
  table: SPOOF_PLACE.table,
  name: BASE,
  type: "filter",
  policy: c.NF_ACCEPT,
  hook: { number: c.NF_BR_PRE_ROUTING, priority: -300 >>> 0 },
};
/** Bytes of an interface's name in the kernel. */
const IFNAMSIZ = 16;
/** Where the source address is in a frame of Ethernet. */
export const SOURCE_MAC = payload(c.NFT_PAYLOAD_LL_HEADER, 6, 6);

/** Frames that come in by a device go to a chain. */
function jumpOfPort(device: string, chain: string): Expression[] {
  const name = new Uint8Array(IFNAMSIZ);
  for (let i = 0; i < device.length; i++) name[i] = device.charCodeAt(i);
  return [meta(c.NFT_META_IIFNAME), compare(name), verdict(c.NFT_JUMP, chain)];
}

/** The rules of the port's two chains. */
function rulesOf(names: SpoofNames, mac: Uint8Array): { port: Expression[][]; mac: Expression[][] } {
  return {
    port: [[verdict(c.NFT_JUMP, names.mac)]],
    mac: [[SOURCE_MAC, compare(mac), verdict(c.NFT_RETURN)], [verdict(c.NF_DROP)]],
  };
}

/**
 * Lets only frames from `mac` in by the port `device` of a bridge. One transaction: at no time do others pass that did not before. Rules of the
 * same attachment are replaced, whoever made them. `making` hears what will be new; see removeNewSpoofCheck. Returns a number that makes the
 * removal cheap; see removeSpoofCheck.
 */
export function addSpoofCheck(
  nft: NftSocket,
  owner: Owner,
  device: string,
  mac: Uint8Array,
  making?: (made: Made) => void,
): number {
  const id = spoofId(owner);
  checkSpoofNames(id);
  const names = spoofNames(id);
  return attempt("macspoofchk", (refusal) => {
    const hasTable = checkTable(nft, SPOOF_PLACE, "macspoofchk");
    const base = hasTable ? findBase(nft) : undefined;
    making?.({ table: !hasTable, base: base === undefined });
    const drops = base !== undefined && dropsFrames(nft, base);
    // No rule can lead to a chain that is not there. EEXIST: it is, or that of the address is.
    const said = commentOfChain(nft, names.port);
    if (said !== undefined && isOfAnother(owner, said)) throw taken(names.port, said);
    if (refusal === "EEXIST" || said !== undefined) {
      const ofMac = commentOfChain(nft, names.mac);
      if (ofMac !== undefined && isOfAnother(owner, ofMac)) throw taken(names.mac, ofMac);
      return replace(nft, names, owner, device, mac, base !== undefined, drops);
    }
    nft.start();
    addChains(nft, names, owner, base !== undefined, drops, true);
    return addRules(nft, names, owner, device, mac);
  });
}

/** Removes what an ADD has made for all pods, and failed later. Its rules are gone. */
export function removeNewSpoofCheck(nft: NftSocket, made: Made): void {
  if (made.base) removeMade(nft, SPOOF_PLACE, [BASE], 0, made.table);
}

/** Dashes are allowed in the names of containers and interfaces: two attachments may have one chain, as net1 and net1-mac. */
function taken(chain: string, comment: string): Failure {
  return new Failure(
    "failed",
    `macspoofchk: the chain ${chain} in the table bridge nat belongs to another attachment`,
    `Its comment says "${comment}". Use another interface name, or set "macspoofchkBackend": "bridge".`,
  );
}

function replace(
  nft: NftSocket,
  names: SpoofNames,
  owner: Owner,
  device: string,
  mac: Uint8Array,
  hasBase: boolean,
  drops: boolean,
): number {
  const generation = nft.generation();
  const jumps = listJumps(nft, names, true);
  nft.start(generation);
  addChains(nft, names, owner, hasBase, drops, false);
  for (const handle of jumps) nft.deleteRule(SPOOF_PLACE, BASE, handle);
  nft.deleteRule(SPOOF_PLACE, names.port);
  nft.deleteRule(SPOOF_PLACE, names.mac);
  return addRules(nft, names, owner, device, mac);
}

/** The base chain is sent only when it is missing: the kernel takes long for an update of one, although it changes nothing. */
function addChains(
  nft: NftSocket,
  names: SpoofNames,
  owner: Owner,
  hasBase: boolean,
  drops: boolean,
  only: boolean,
): void {
  const { family, table } = SPOOF_PLACE;
  if (!hasBase) {
    nft.addTable(family, { name: table, flags: 0 });
    nft.addChain(family, SPOOF_BASE);
  }
  if (drops) acceptRest(nft, SPOOF_PLACE, BASE);
  const userdata = comment(ownerComment(owner));
  for (const name of [names.port, names.mac]) nft.addChain(family, { table, name, userdata }, only);
}

/** The rest of the transaction. */
function addRules(nft: NftSocket, names: SpoofNames, owner: Owner, device: string, mac: Uint8Array): number {
  const { family, table } = SPOOF_PLACE;
  const userdata = comment(names.comment);
  const first = commentWithOwner(names.comment, ownerComment(owner));
  const rules = rulesOf(names, mac);
  const add = (chain: string, all: Expression[][]) =>
    all.forEach((expressions, i) => {
      nft.addRule(family, { table, chain, expressions, userdata: i === 0 ? first : userdata });
    });
  add(names.port, rules.port);
  add(names.mac, rules.mac);
  const jump = jumpOfPort(device, names.port);
  // Another program's rule that accepts the port's frames must not come first. (Our chain only drops; what it lets pass goes on to the others.)
  nft.addRule(family, { table, chain: BASE, expressions: jump, userdata }, true, "beginning");
  return nft.commit()[0] ?? 0;
}

/** undefined: there is none. Throws when there is one of that name which no frame comes to. */
function findBase(nft: NftSocket): ChainAttributes | undefined {
  const chain = find(nft, () => nft.getChain(SPOOF_PLACE, BASE, readChain));
  if (chain === undefined || chain.hook?.number === c.NF_BR_PRE_ROUTING) return chain;
  throw new Failure(
    "failed",
    "macspoofchk: the chain PREROUTING in the table bridge nat is not attached to the prerouting hook, so its rules have no effect",
    'Another program created it. Remove it (nft delete chain bridge nat PREROUTING), or set "macspoofchkBackend": "bridge".',
  );
}

function dropsFrames(nft: NftSocket, base: ChainAttributes): boolean {
  return dropsRest(
    nft,
    SPOOF_PLACE,
    base,
    (...message) => verdictIn(...message)?.chain.startsWith(SPOOF_CHAIN) === true,
  );
}

/** "" when it has none; undefined: there is no chain of this name. */
function commentOfChain(nft: NftSocket, name: string): string | undefined {
  if (!isChainName(name)) return undefined;
  const said = find(nft, () => nft.getChain(SPOOF_PLACE, name, (...at) => commentOf(readChain(...at).userdata)));
  return said === "" ? ownerInRules(nft, name) : said;
}

/** What the kernel could not keep with the chain. */
function ownerInRules(nft: NftSocket, chain: string): string {
  const read: PayloadReader<string | undefined> = (...at) => ownerOf(readRule(...at).userdata) || undefined;
  return listRules(nft, SPOOF_PLACE, chain, read)[0] ?? "";
}

/** A rule that leads to the port's chain: by its comment, or any other jump to it. */
function isJump(names: SpoofNames, { expressions, userdata }: RuleAttributes): boolean {
  return commentOf(userdata) === names.comment || verdictOf(expressions)?.chain === names.port;
}

/** Handles of the rules in PREROUTING; `all`: also of jumps without the comment, which keep the chain from being deleted. */
function listJumps(nft: NftSocket, names: SpoofNames, all: boolean): number[] {
  const read: PayloadReader<number | undefined> = (bytes, start, end) => {
    if (!all && !isCommented(names.comment, bytes, start, end)) return undefined;
    const rule = readRule(bytes, start, end);
    return isJump(names, rule) ? rule.handle : undefined;
  };
  return listRules(nft, SPOOF_PLACE, BASE, read);
}

/**
 * Removes the spoof check of an attachment, ours or the Go plugin's. Needs nothing but the ids, may be repeated, and touches nothing of
 * others: the chains are not named after the network, so that a network which was refused an interface has the names of the one that has
 * it. `owner`: leaves chains that say they are somebody else's. `jump`, what addSpoofCheck returned, spares it the reading of all pods' rules; a
 * wrong number does no harm. False: there was nothing.
 */
export function removeSpoofCheck(nft: NftSocket, id: string, jump?: number, owner?: Owner): boolean {
  const names = spoofNames(id);
  let busy = 0;
  return attempt("macspoofchk", (refusal) => {
    if (refusal === "EBUSY") busy++;
    if (refusal === "" && jump !== undefined && isOurs(nft, names, jump)) {
      removeAll(nft, [jump], [names.port, names.mac]);
      return true;
    }
    const said = commentOfChain(nft, names.port);
    if (said !== undefined && owner !== undefined && isOfAnother(owner, said)) return false;
    const chains = said === undefined ? [] : [names.port];
    const ofMac = commentOfChain(nft, names.mac);
    if (ofMac !== undefined && (owner === undefined || !isOfAnother(owner, ofMac))) chains.push(names.mac);
    if (chains.length === 0) return false;
    const jumps = chains[0] === names.port ? listJumps(nft, names, refusal === "EBUSY") : [];
    const kept = chains.filter((chain) => KEPT[busy]?.(chain === names.mac));
    removeAll(nft, jumps, chains, kept);
    if (kept.length > 0)
      log(
        "warning",
        "macspoofchk: another program's rule jumps to an empty chain; when that rule is gone, the next DEL or GC removes the chain",
        {
          chains: kept.join(" "),
        },
      );
    return true;
  });
}

/** The port whose frames the rules of an attachment check; "" when there are none, or another attachment's. */
export function portOfSpoofCheck(nft: NftSocket, owner: Owner): string {
  const names = spoofNames(spoofId(owner));
  const read: PayloadReader<string | undefined> = (bytes, start, end) => {
    if (!isCommented(names.comment, bytes, start, end)) return undefined;
    const { expressions = [] } = readRule(bytes, start, end);
    return verdictOf(expressions)?.chain === names.port ? deviceIn(expressions) : undefined;
  };
  return attempt("macspoofchk", () => {
    const said = commentOfChain(nft, names.port);
    if (said === undefined || isOfAnother(owner, said)) return "";
    return listRules(nft, SPOOF_PLACE, BASE, read)[0] ?? "";
  });
}

/** Of a rule as jumpOfPort makes it. */
function deviceIn(expressions: Expression[]): string {
  return String.fromCharCode(...(expressions[1]?.cmp?.data?.value ?? [])).replace(/\0.*$/s, "");
}

function isOurs(nft: NftSocket, names: SpoofNames, handle: number): boolean {
  const read: PayloadReader<boolean> = (bytes, start, end) => isJump(names, readRule(bytes, start, end));
  return find(nft, () => nft.getRule(SPOOF_PLACE, BASE, handle, read)) === true;
}

/**
 * What stays, emptied, after so many times that a chain was in use: first it may be a jump that we did not see, then it is a rule of another
 * program, to the one chain or the other. Nothing comes by the chains any more, and the pod's DEL must not wait for that program.
 */
const KEPT: { [busy: number]: (isMac: boolean) => boolean } = {
  2: (isMac) => !isMac,
  3: (isMac) => isMac,
  4: () => true,
  5: () => true,
};

/** Needs no generation: were the table made again meanwhile, and the numbers given to others, the chains would be missing or in use. */
function removeAll(nft: NftSocket, jumps: number[], chains: string[], kept: string[] = []): void {
  nft.start();
  for (const handle of jumps) nft.deleteRule(SPOOF_PLACE, BASE, handle);
  for (const name of kept) nft.deleteRule(SPOOF_PLACE, name);
  for (const name of chains) if (!kept.includes(name)) nft.deleteChain(SPOOF_PLACE, name);
  nft.commit();
}

/** Throws Failure when anything of the spoof check is not as addSpoofCheck, or the Go plugin, made it. */
export function checkSpoofCheck(nft: NftSocket, id: string, device: string, mac: Uint8Array, jump?: number): void {
  const names = spoofNames(id);
  try {
    const base = checkTable(nft, SPOOF_PLACE, "macspoofchk") ? findBase(nft) : undefined;
    if (base === undefined) throw missing("the chain PREROUTING is missing");
    const wanted = rulesOf(names, mac);
    if (!hasJump(nft, names, device, jump))
      throw missing(`no rule sends the frames of ${device} to the chain ${names.port}`);
    if (!hasRules(nft, names.port, wanted.port))
      throw missing(`the chain ${names.port} does not send all frames to ${names.mac}`);
    if (!hasRules(nft, names.mac, wanted.mac))
      throw missing(`the chain ${names.mac} does not drop frames from addresses other than ${formatMac(mac)}`);
    if (dropsFrames(nft, base)) throw dropFailure("macspoofchk", `bridge nat ${BASE}`);
  } catch (error) {
    throw nftFailure(error, "macspoofchk");
  }
}

function missing(what: string): Failure {
  return new Failure(
    "failed",
    `macspoofchk: ${what} (nftables table bridge nat)`,
    "Something has changed the rules since ADD (nft list table bridge nat). DEL and a new ADD restore them.",
  );
}

function hasJump(nft: NftSocket, names: SpoofNames, device: string, handle: number | undefined): boolean {
  const wanted = jumpOfPort(device, names.port);
  let decided = false;
  const read: PayloadReader<true | undefined> = (bytes, start, end) => {
    if (isCommented(names.comment, bytes, start, end))
      return (!decided && sameExpressions(readRule(bytes, start, end).expressions ?? [], wanted)) || undefined;
    decided ||= decidesAll(bytes, start, end);
    return undefined;
  };
  if (handle !== undefined && find(nft, () => nft.getRule(SPOOF_PLACE, BASE, handle, read)) === true) return true;
  return listRules(nft, SPOOF_PLACE, BASE, read).length > 0;
}

/** The chain has these rules and no others. */
function hasRules(nft: NftSocket, chain: string, wanted: Expression[][]): boolean {
  const rules = listRules(
    nft,
    SPOOF_PLACE,
    chain,
    (bytes, start, end) => readRule(bytes, start, end).expressions ?? [],
  );
  return rules.length === wanted.length && rules.every((rule, i) => sameExpressions(rule, wanted[i]!));
}

export interface SpoofCheck {
  /** CONTAINERID-IFNAME. */
  id: string;
  /** Begins with networkMark; "" when the Go plugin made it. */
  comment: string;
  /** The port whose frames it checks; "" when no rule leads to it. */
  device: string;
}

/** All spoof checks in this namespace, ours and the Go plugin's. */
export function listSpoofChecks(nft: NftSocket): SpoofCheck[] {
  const read: PayloadReader<[name: string, comment: string] | undefined> = (bytes, start, end) => {
    const { table, name = "", userdata } = readChain(bytes, start, end);
    return table === SPOOF_PLACE.table ? [name, commentOf(userdata)] : undefined;
  };
  const jump: PayloadReader<[chain: string, device: string]> = (bytes, start, end) => {
    const { expressions = [] } = readRule(bytes, start, end);
    return [verdictOf(expressions)?.chain ?? "", deviceIn(expressions)];
  };
  return attempt("macspoofchk", () => {
    const chains = new Map(find(nft, () => nft.dumpChains(SPOOF_PLACE.family, read))?.items ?? []);
    const found = [...chains].flatMap(([name, said]): SpoofCheck[] => {
      const id = spoofIdOf(name, (other) => chains.has(other));
      return id === undefined ? [] : [{ id, comment: said || ownerInRules(nft, name), device: "" }];
    });
    const devices = new Map(found.length === 0 ? [] : listRules(nft, SPOOF_PLACE, BASE, jump));
    for (const one of found) one.device = devices.get(spoofNames(one.id).port) ?? "";
    return found;
  });
}
