// Rules that the Go plugin writes with iptables, its default for masquerading. The program iptables-nft, which is iptables on all current
// distributions, keeps its rules in nf_tables, so podnic can remove them here:
//
//   table ip nat (ip6 nat) {
//     chain POSTROUTING { ip saddr ADDRESS jump CNI-HASH }         (one per address)
//     chain CNI-HASH { ip daddr SUBNET accept; ip daddr != 224.0.0.0/4 MASQUERADE }
//   }
//
// The rules' comments (name: "NETWORK" id: "CONTAINERID") are in an iptables match. The name of the chain, a hash, identifies the owner. The
// rules of iptables-legacy are not in nf_tables, and only that program can remove them: see usesLegacy.
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { type Address, formatAddress, type Prefix } from "../ip/address.ts";
import { equalAddresses } from "../ip/range.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import { find, listRules } from "./attempt.ts";
import * as c from "./constants.ts";
import { type Expression, verdictOf } from "./expression.ts";
import { readRule } from "./message.ts";
import { iptablesChain, type Owner } from "./names.ts";
import type { NftSocket, Place } from "./socket.ts";
import { textIn } from "./userdata.ts";

const BASE = "POSTROUTING";
const PLACES: { 4: Place; 6: Place } = {
  4: { family: c.NFPROTO_IPV4, table: "nat" },
  6: { family: c.NFPROTO_IPV6, table: "nat" },
};

/** The offset of the source address in a packet's header, in bytes. */
const SOURCES = { 4: 12, 6: 8 } as const;

/** A rule of POSTROUTING that leads to a container's chain. */
interface Jump {
  handle: number;
  /** The source address that the rule matches; undefined if it does not match exactly one address. */
  source: Uint8Array | undefined;
}

function listJumps(nft: NftSocket, place: Place, chain: string): Jump[] {
  const read: PayloadReader<Jump | undefined> = (bytes, start, end) => {
    const { handle = 0, expressions = [] } = readRule(bytes, start, end);
    if (verdictOf(expressions)?.chain !== chain) return undefined;
    return { handle, source: sourceOf(expressions, SOURCES[place.family === c.NFPROTO_IPV4 ? 4 : 6]) };
  };
  return listRules(nft, place, BASE, read);
}

/** The address of `-s ADDRESS`, which is a load of the source address, followed by a comparison. */
function sourceOf([load, compared]: Expression[], offset: number): Uint8Array | undefined {
  const isSource = load?.payload?.base === c.NFT_PAYLOAD_NETWORK_HEADER && load.payload.offset === offset;
  const value = compared?.cmp?.op === c.NFT_CMP_EQ ? compared.cmp.data?.value : undefined;
  return isSource && value?.length === load.payload?.length ? value : undefined;
}

const isFor = ({ source }: Jump, { family, bytes }: Address): boolean =>
  source !== undefined &&
  source.length === bytes.length &&
  equalAddresses({ family, bytes: source }, { family, bytes });

/** A container, and those of its addresses in a network that iptables masquerades. */
export interface Masqueraded extends Omit<Owner, "ifName"> {
  addresses: string[];
}

/**
 * The containers in this namespace for which the Go plugin uses iptables-nft, according to the comments of the rules. Ignores chains whose
 * rules name several containers, and chains whose name does not belong to the container.
 */
export function listIptables(nft: NftSocket): Masqueraded[] {
  const all = new Map<string, Masqueraded>();
  for (const family of [4, 6] as const) {
    const read: PayloadReader<undefined> = (bytes, start, end) => {
      const { expressions = [] } = readRule(bytes, start, end);
      const info = expressions.find(({ match }) => match?.name === "comment")?.match?.info;
      const [, network, containerId] = /^name: "([^"]+)" id: "([^"]+)"$/.exec(info ? textIn(info) : "") ?? [];
      const chain = verdictOf(expressions)?.chain ?? "";
      const source = sourceOf(expressions, SOURCES[family]);
      if (network === undefined || containerId === undefined || source === undefined) return;
      const one = all.get(chain) ?? { network, containerId, addresses: [] };
      if (one.network !== network || one.containerId !== containerId) one.network = "";
      one.addresses.push(formatAddress({ family, bytes: source }));
      all.set(chain, one);
    };
    listRules(nft, PLACES[family], BASE, read);
  }
  return [...all].filter(([chain, one]) => chain === iptablesChain(one)).map(([, one]) => one);
}

const hasChain = (nft: NftSocket, place: Place, chain: string): boolean =>
  find(nft, () => nft.getChain(place, chain, () => true)) === true;

/**
 * Removes the chain of a container in a network, and the rules that lead to it, in one transaction for each family. All of the container's
 * interfaces share the chain: with `addresses`, the rules for other addresses stay. `isBusy`: another program's rule leads to the chain, so
 * the chain is only emptied. Returns false if there was nothing.
 */
export function removeIptables(
  nft: NftSocket,
  owner: Omit<Owner, "ifName">,
  addresses: Address[] | undefined,
  isBusy = false,
): boolean {
  const chain = iptablesChain(owner);
  let some = false;
  for (const place of [PLACES[4], PLACES[6]]) {
    if (!hasChain(nft, place, chain)) continue;
    const generation = nft.generation();
    const jumps = listJumps(nft, place, chain);
    const ours = addresses === undefined ? jumps : jumps.filter((jump) => addresses.some((each) => isFor(jump, each)));
    const isLast = ours.length === jumps.length;
    if (ours.length === 0 && !isLast) continue;
    nft.start(generation);
    for (const { handle } of ours) nft.deleteRule(place, BASE, handle);
    if (isLast && isBusy) nft.deleteRule(place, chain);
    else if (isLast) nft.deleteChain(place, chain);
    nft.commit();
    some = true;
  }
  return some;
}

/** Whether iptables-nft masquerades an address of the attachment. */
export function hasIptables(nft: NftSocket, owner: Owner, { address }: Prefix): boolean {
  const chain = iptablesChain(owner);
  const place = PLACES[address.family];
  if (!hasChain(nft, place, chain) || !listJumps(nft, place, chain).some((jump) => isFor(jump, address))) return false;
  // The kernel may show MASQUERADE as an iptables target, which podnic does not decode.
  const ends: PayloadReader<string> = (bytes, start, end) => {
    const last = readRule(bytes, start, end).expressions?.at(-1);
    return last?.masq !== undefined ? "masq" : (last?.other ?? "");
  };
  return listRules(nft, place, chain, ends).some((end) => end === "masq" || end === "target");
}

/** The files in which the kernel lists the iptables-legacy tables that are in use in this process's namespace. */
const LEGACY = ["/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"];

/**
 * Whether iptables-legacy is used for address translation on this node. The Go plugin may then have written rules there, which only that
 * program can remove (iptables-legacy -t nat).
 */
export function usesLegacy(): boolean {
  return LEGACY.some((path) => readNames(path).includes("nat"));
}

function readNames(path: string): string[] {
  try {
    const file = host.open(path, O_RDONLY | O_CLOEXEC);
    try {
      return host.decode(host.read(file, 4096)).split("\n");
    } finally {
      host.close(file);
    }
  } catch (error) {
    // The file is missing if the kernel does not have iptables-legacy, or has not loaded it.
    if (error instanceof SystemError && error.code === "ENOENT") return [];
    throw error;
  }
}
