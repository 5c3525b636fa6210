// GC: removes the rules of attachments that no longer exist.
import { listMasquerades, type Masquerade, removeMasqueradeRules } from "./masquerade.ts";
import { interfaceMark, networkMark, type Owner } from "./names.ts";
import type { NftSocket } from "./socket.ts";
import { listSpoofChecks, removeSpoofCheck, type SpoofCheck } from "./spoof-check.ts";

/** Rules removed in one transaction at most: each has an answer, for which the socket must have room. */
const CHUNK = 100;

export interface Garbage {
  spoofChecks: SpoofCheck[];
  masquerades: Masquerade[];
}

/**
 * What belongs to a network and to none of the attachments that are `valid` in it. The Go plugin does not write a network's name on spoof
 * checks: those of its making are not among them, and go by their ids (removeSpoofCheck), for who knows these.
 */
export function findGarbage(nft: NftSocket, network: string, valid: Omit<Owner, "network">[]): Garbage {
  const ours = `${networkMark(network)}-`;
  const alive = new Set(valid.map(interfaceMark));
  const isGarbage = ({ comment }: { comment: string }): boolean =>
    comment.startsWith(ours) && !alive.has(comment.slice(ours.length, ours.length * 2 - 1));
  return {
    spoofChecks: listSpoofChecks(nft).filter(isGarbage),
    masquerades: listMasquerades(nft).filter(isGarbage),
  };
}

export function removeGarbage(nft: NftSocket, { spoofChecks, masquerades }: Garbage): void {
  for (const { id } of spoofChecks) removeSpoofCheck(nft, id);
  for (let at = 0; at < masquerades.length; at += CHUNK) removeMasqueradeRules(nft, masquerades.slice(at, at + CHUNK));
}
