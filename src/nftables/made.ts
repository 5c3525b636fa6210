// What the first ADD creates for all pods: a table and its chains. If this ADD fails, it removes them again, unless they are already in use.
import { NetlinkError } from "../netlink/errors.ts";
import { attempt, find, listRules } from "./attempt.ts";
import type { NftSocket, Place } from "./socket.ts";

/** What an ADD is about to create, so that it can remove this again if it fails. */
export interface Made {
  table: boolean;
  /** The chain at the hook. */
  base: boolean;
}

/**
 * Removes `chains`, and the table if `table` is set. The first chain is the one at the hook, and has `rules` rules of its own; the others must
 * be empty. If another pod or another program has anything there, removes nothing.
 */
export function removeMade(
  nft: NftSocket,
  place: Place,
  chains: readonly string[],
  rules: number,
  table: boolean,
): void {
  attempt(`nft delete table ${place.table}`, () => {
    const generation = find(nft, () => nft.generation());
    if (generation === undefined) return;
    const counts = chains.map((chain) => listRules(nft, place, chain, () => true).length);
    if (counts.some((count, n) => count !== (n === 0 ? rules : 0))) return;
    nft.start(generation);
    if (rules > 0) nft.deleteRule(place, chains[0]!);
    for (const chain of chains) nft.deleteChain(place, chain, true);
    if (table) nft.deleteEmptyTable(place);
    try {
      nft.commit();
    } catch (error) {
      if (!(error instanceof NetlinkError) || (error.code !== "EBUSY" && error.code !== "ENOENT")) throw error;
    }
  });
}
