// GC: removes the rules of attachments that no longer exist.
import type { Masqueraded } from "./iptables.ts";
import {
  listByIptables,
  listMasquerades,
  type Masquerade,
  removeByIptables,
  removeMasqueradeRules,
} from "./masquerade.ts";
import { interfaceMark, networkMark, type Owner, spoofId } from "./names.ts";
import type { NftSocket } from "./socket.ts";
import { listSpoofChecks, removeSpoofCheck, type SpoofCheck } from "./spoof-check.ts";

/** Rules removed in one transaction at most: each has an answer, for which the socket must have room. */
const CHUNK = 100;

export interface Garbage {
  spoofChecks: SpoofCheck[];
  masquerades: Masquerade[];
  /** Of containers. */
  byIptables: Masqueraded[];
}

/**
 * What belongs to a network and to none of the attachments that are `valid` in it. The Go plugin does not write a network's name on spoof
 * checks: of its making are those whose port is gone (`isPort`, asked when the rules have been read), whatever the network.
 */
export function findGarbage(
  nft: NftSocket,
  network: string,
  valid: Omit<Owner, "network">[],
  isPort: (name: string) => boolean,
): Garbage {
  const ours = `${networkMark(network)}-`;
  const alive = new Set(valid.map(interfaceMark));
  const isGarbage = ({ comment }: { comment: string }): boolean =>
    comment.startsWith(ours) && !alive.has(comment.slice(ours.length, ours.length * 2 - 1));
  const isLeft = ({ id, comment, device }: SpoofCheck): boolean =>
    comment === "" && device !== "" && !isPort(device) && !valid.some((one) => spoofId(one) === id);
  return {
    spoofChecks: listSpoofChecks(nft).filter((check) => isGarbage(check) || isLeft(check)),
    masquerades: listMasquerades(nft).filter(isGarbage),
    byIptables: listByIptables(nft).filter(
      (one) => one.network === network && !valid.some(({ containerId }) => containerId === one.containerId),
    ),
  };
}

export function removeGarbage(nft: NftSocket, { spoofChecks, masquerades, byIptables }: Garbage): void {
  for (const { id } of spoofChecks) removeSpoofCheck(nft, id);
  for (let at = 0; at < masquerades.length; at += CHUNK) removeMasqueradeRules(nft, masquerades.slice(at, at + CHUNK));
  for (const owner of byIptables) removeByIptables(nft, owner);
}
