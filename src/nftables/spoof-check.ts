// macspoofchk with nftables: of the frames that enter through a bridge port, only those with the pod's address pass.
//
// The layout is the same as the Go plugin's, so that each plugin can remove what the other one created. In the table `bridge nat`:
//
//   chain PREROUTING { type filter hook prerouting priority -300; policy accept; iifname PORT jump cni-br-iface-ID }
//   chain cni-br-iface-ID { jump cni-br-iface-ID-mac }
//   chain cni-br-iface-ID-mac { ether saddr MAC return; drop }
//
// ID is CONTAINERID-IFNAME, and all four rules have the comment macspoofchk-ID. DEL keeps the table and PREROUTING, because others use them
// too. podnic's chains have a comment that names the network, for GC. The first rule of each chain contains the same text, which nft does not
// print, for kernels before 5.10.
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
/** Size of an interface's name in the kernel, in bytes. */
const IFNAMSIZ = 16;
/** Loads the source address of an Ethernet frame. */
export const SOURCE_MAC = payload(c.NFT_PAYLOAD_LL_HEADER, 6, 6);

/** The rule that sends the frames from a port to a chain. */
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
 * Drops frames from the bridge port `device` unless their source address is `mac`. Replaces rules of the same attachment, podnic's or the Go
 * plugin's, in one transaction, so that the check has no gap. Tells `making` what it will create; see removeNewSpoofCheck. Returns the handle
 * of the jump, which makes the removal cheap; see removeSpoofCheck. Throws Failure.
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
    // If the port's chain does not exist, no rule leads to it, and nothing needs to be replaced. EEXIST: one of the two chains exists after all.
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

/** Removes what a failed ADD created for all pods. The ADD's own rules must have been removed already. */
export function removeNewSpoofCheck(nft: NftSocket, made: Made): void {
  if (made.base) removeMade(nft, SPOOF_PLACE, [BASE], 0, made.table);
}

/** Names of interfaces can contain "-", so chains of two attachments can have the same name: net1's second chain, and net1-mac's first one. */
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

/** Sends the base chain only if it is missing, because the kernel is slow to update a base chain, even if nothing changes. */
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

/** Adds the rules to the transaction, and commits it. Returns the handle of the jump. */
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
  // The jump goes to the beginning of PREROUTING, so that no rule that accepts the port's frames comes before it. This does not bypass other
  // programs' rules: podnic's chain only drops frames, and all other frames continue to the next rule.
  nft.addRule(family, { table, chain: BASE, expressions: jump, userdata }, true, "beginning");
  return nft.commit()[0] ?? 0;
}

/** The chain at the hook; undefined if it does not exist. Throws Failure if a chain of this name exists, but is not at the hook. */
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

/** The comment that names a chain's owner; "" if it has none; undefined if the chain does not exist. */
function commentOfChain(nft: NftSocket, name: string): string | undefined {
  if (!isChainName(name)) return undefined;
  const said = find(nft, () => nft.getChain(SPOOF_PLACE, name, (...at) => commentOf(readChain(...at).userdata)));
  return said === "" ? ownerInRules(nft, name) : said;
}

/** The owner according to the chain's first rule, for kernels that do not store comments of chains. */
function ownerInRules(nft: NftSocket, chain: string): string {
  const read: PayloadReader<string | undefined> = (...at) => ownerOf(readRule(...at).userdata) || undefined;
  return listRules(nft, SPOOF_PLACE, chain, read)[0] ?? "";
}

/** Whether a rule leads to the port's chain, or has the comment of such a rule. */
function isJump(names: SpoofNames, { expressions, userdata }: RuleAttributes): boolean {
  return commentOf(userdata) === names.comment || verdictOf(expressions)?.chain === names.port;
}

/** The handles of the rules in PREROUTING. `all` includes jumps without the comment, which also prevent the deletion of the chain. */
function listJumps(nft: NftSocket, names: SpoofNames, all: boolean): number[] {
  const read: PayloadReader<number | undefined> = (bytes, start, end) => {
    if (!all && !isCommented(names.comment, bytes, start, end)) return undefined;
    const rule = readRule(bytes, start, end);
    return isJump(names, rule) ? rule.handle : undefined;
  };
  return listRules(nft, SPOOF_PLACE, BASE, read);
}

/**
 * Removes the spoof check of an attachment, podnic's or the Go plugin's. Needs only the ID, can be repeated, and does not touch rules of
 * others. With `owner`, keeps chains whose comment names another attachment: the chains' names do not contain the network, so if an ADD in
 * one network fails because the interface exists in another network, both have the same chain names. With `jump`, the handle from
 * addSpoofCheck, it need not read all pods' rules; a wrong handle does no harm. Returns false if there was nothing.
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

/** The port whose frames the rules of an attachment check; "" if there are no rules, or if they belong to another attachment. */
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

/** The device in a rule of jumpOfPort. */
function deviceIn(expressions: Expression[]): string {
  return String.fromCharCode(...(expressions[1]?.cmp?.data?.value ?? [])).replace(/\0.*$/s, "");
}

function isOurs(nft: NftSocket, names: SpoofNames, handle: number): boolean {
  const read: PayloadReader<boolean> = (bytes, start, end) => isJump(names, readRule(bytes, start, end));
  return find(nft, () => nft.getRule(SPOOF_PLACE, BASE, handle, read)) === true;
}

/**
 * Which chains removeSpoofCheck only empties and keeps, by the number of attempts that failed with EBUSY. After the first failure, it repeats
 * the attempt with all jumps. From the second on, it assumes that another program's rule leads to the port's chain, to the other chain, or to
 * both. DEL must not depend on that program, and an empty chain has no effect.
 */
const KEPT: { [busy: number]: (isMac: boolean) => boolean } = {
  2: (isMac) => !isMac,
  3: (isMac) => isMac,
  4: () => true,
  5: () => true,
};

/**
 * Needs no generation: if the table was created again and the handles belong to other rules, the chains are missing or in use, and the
 * transaction fails.
 */
function removeAll(nft: NftSocket, jumps: number[], chains: string[], kept: string[] = []): void {
  nft.start();
  for (const handle of jumps) nft.deleteRule(SPOOF_PLACE, BASE, handle);
  for (const name of kept) nft.deleteRule(SPOOF_PLACE, name);
  for (const name of chains) if (!kept.includes(name)) nft.deleteChain(SPOOF_PLACE, name);
  nft.commit();
}

/** Throws Failure if the spoof check differs from the one that addSpoofCheck or the Go plugin created. */
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

/** True if the chain has exactly these rules. */
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
  /** Begins with networkMark; "" if the Go plugin created the chain. */
  comment: string;
  /** The port whose frames are checked; "" if no rule leads to the chain. */
  device: string;
}

/** All spoof checks in this namespace, podnic's and the Go plugin's. */
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
