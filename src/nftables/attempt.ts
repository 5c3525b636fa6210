// Reads the rules and then changes them, while other programs may also change tables.
import { Failure } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";
import type { PayloadReader } from "../netlink/socket.ts";
import * as c from "./constants.ts";
import { flagsIn } from "./message.ts";
import { NftSocket, type Place } from "./socket.ts";

/** Maximum number of attempts at a change. If a hundred pods end at once, their changes conflict. */
const TRIES = 200;

/** The errors if another program made a change after the query: the generation differs, or a chain was created, deleted or used. */
const OVERTAKEN = ["ERESTART", "EAGAIN", "ENOENT", "EEXIST", "EBUSY"];

/** Thrown if another program's changes made a query's answer incomplete. */
export class Overtaken extends Error {}

/**
 * Runs `change`, which queries the rules and then commits a change, until no other change comes in between. Passes it the error code of the
 * previous attempt, or "". Error messages begin with `cannot`, such as "macspoofchk".
 */
export function attempt<T>(cannot: string, change: (refusal: string) => T): T {
  let refusal = "";
  for (let count = 1; ; count++) {
    try {
      return change(refusal);
    } catch (error) {
      if (!mayRepeat(error, count, refusal)) throw nftFailure(error, cannot);
      refusal = error instanceof NetlinkError ? error.code : "EAGAIN";
      if (count > 3) host.sleep(1 + (host.random(1)[0]! % 4));
    }
  }
}

/** Repeats a conflict up to TRIES times, but the same ENOENT, EEXIST or EBUSY in a row only until the eighth attempt: it is then permanent. */
function mayRepeat(error: unknown, count: number, before: string): boolean {
  if (error instanceof Overtaken) return count < TRIES;
  if (!(error instanceof NetlinkError) || !OVERTAKEN.includes(error.code)) return false;
  const settled = error.code === before && error.code !== "ERESTART" && error.code !== "EAGAIN";
  return count < (settled ? 8 : TRIES);
}

/** Runs a query. undefined: the object does not exist (ENOENT), or the kernel does not have nf_tables. */
export function find<T>(nft: NftSocket, ask: (nft: NftSocket) => T): T | undefined {
  try {
    return ask(nft);
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === "ENOENT" || isMissing(nft, error))) return undefined;
    throw error;
  }
}

/** Kernels without nf_tables answer every query with this error, so this compares it with the error of a query that is certainly valid. */
function isMissing(nft: NftSocket, error: NetlinkError): boolean {
  if (error.code !== "EINVAL" && error.code !== "EOPNOTSUPP") return false;
  try {
    nft.generation();
    return false;
  } catch (again) {
    if (again instanceof NetlinkError) return again.code === error.code;
    throw again;
  }
}

/** The values that `read` returns for a chain's rules. Throws Overtaken if other changes during the query may have hidden some rules. */
export function listRules<T>(nft: NftSocket, place: Place, chain: string, read: PayloadReader<T | undefined>): T[] {
  const found = find(nft, () => nft.dumpRules(place, chain, read));
  if (found?.complete === false)
    throw new Overtaken(`cannot read the rules of ${place.table} ${chain}, because they keep changing`);
  return found?.items ?? [];
}

/** Whether the table exists. Throws Failure if it is disabled. */
export function checkTable(nft: NftSocket, place: Place, what: string): boolean {
  const flags = find(nft, () => nft.getTable(place, flagsIn));
  if (flags === undefined) return false;
  if ((flags & c.NFT_TABLE_F_DORMANT) === 0) return true;
  const name = `${familyName(place.family)} ${place.table}`;
  throw new Failure(
    "failed",
    `${what}: the nftables table ${name} is disabled (flags dormant), so its rules have no effect`,
    `Another program disabled it. Run \`nft add table ${name} '{ }'\` to enable it.`,
  );
}

export function familyName(family: number): string {
  const names: { [family: number]: string } = {
    [c.NFPROTO_INET]: "inet",
    [c.NFPROTO_IPV4]: "ip",
    [c.NFPROTO_BRIDGE]: "bridge",
    [c.NFPROTO_IPV6]: "ip6",
  };
  return names[family] ?? String(family);
}

/** Opens the socket to query and remove rules. undefined: the kernel does not support it, so there are no rules. */
export function openIfAny(): NftSocket | undefined {
  try {
    return NftSocket.open();
  } catch (error) {
    if (error instanceof SystemError && isUnsupported(error.code)) return undefined;
    throw error;
  }
}

const isUnsupported = (code: string): boolean => ["EPROTONOSUPPORT", "EAFNOSUPPORT", "EOPNOTSUPP"].includes(code);

/** The error, with a cure if the kernel lacks nf_tables or a part of it, or if podnic is not allowed to change the tables. */
export function nftFailure(error: unknown, cannot: string): unknown {
  if (error instanceof Overtaken) {
    return new Failure(
      "try again",
      `${cannot}: ${error.message}`,
      "EAGAIN: Other programs keep changing the nftables rules. Try again.",
    );
  }
  if (!(error instanceof NetlinkError || error instanceof SystemError)) return error;
  if (error.code === "ERESTART") return nftFailure(new Overtaken(error.message), cannot);
  const cure = cures(error);
  if (cure === undefined) return error;
  return new Failure("failed", `${cannot}: ${error.message}`, `${error.code}: ${cure}`);
}

function cures(error: NetlinkError | SystemError): string | undefined {
  if (isUnsupported(error.code) || (error.code === "EINVAL" && error instanceof NetlinkError)) {
    return "This kernel does not support nf_tables. Load the module (modprobe nf_tables), or build a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_BRIDGE and CONFIG_NF_TABLES_INET. Or another program created one of the chains with a hook or type that podnic's rules cannot use (nft list ruleset).";
  }
  if (error.code === "ENOENT") {
    return "This kernel lacks a part of nf_tables. macspoofchk needs CONFIG_NF_TABLES_BRIDGE; ipMasq needs Linux 5.2 with CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT and CONFIG_NFT_MASQ.";
  }
  if (error.code === "EBUSY") {
    return "Another program's rule jumps to the chain. Find it (nft list ruleset) and remove it, then try again.";
  }
  if (error.code === "EPERM") {
    return "Either podnic runs neither as root nor with CAP_NET_ADMIN, or another program owns the table (flags owner).";
  }
  return undefined;
}
