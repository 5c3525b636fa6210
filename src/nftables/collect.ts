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

/** Maximum number of rules that one transaction removes. The kernel sends an answer for each, and the socket's buffer must hold them all. */
const CHUNK = 100;

export interface Garbage {
  spoofChecks: SpoofCheck[];
  masquerades: Masquerade[];
  /** The containers for which the Go plugin used iptables. */
  byIptables: Masqueraded[];
}

/**
 * The rules that belong to the network, but to none of its `valid` attachments. The Go plugin's spoof checks do not contain the network's name.
 * They are garbage in every network if their port is gone; `isPort` tells this, and is called after the rules have been read.
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
