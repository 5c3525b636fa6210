// Which link is ours: the mark that ADD leaves on it, and DEL, which deletes no other.

import { delWithIpam } from "../../cni/ipam.ts";
import type { Call } from "../../cni/plugin.ts";
import { deleteWithoutWaiting } from "../../link/delete.ts";
import { getLink, type Link } from "../../link/link.ts";
import { isMadeOn } from "../../link/master.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../link/namespace.ts";
import { isLent } from "../lent/lender.ts";
import type { UpperConfig } from "./kind.ts";

/** Begins the alias of a link that is ours. */
export const aliasPrefix = "podnic:";

/**
 * The mark on the link that says whose it is. It dies with the link, needs no file, and keeps a DEL that follows a failed ADD
 * from deleting another network's interface of the same name. undefined: too long for an alias (IFALIASZ).
 */
export function ownerAlias({ attachment }: Call): string | undefined {
  const alias = `${aliasPrefix}${attachment.network}:${attachment.containerId}`;
  return alias.length <= 255 ? alias : undefined;
}

/**
 * The link that ADD made for this attachment. A link without our mark (the Go plugins', or ours when ADD was killed before it
 * could mark it) is known by kind and master, or by the MAC in the prevResult when the configuration's master is unknown.
 */
function ownLink(kind: string, call: Call<UpperConfig>, pod: NetNs): Link | undefined {
  const { ifName } = call.attachment;
  const link = getLink(pod.route, ifName);
  if (link === undefined || link.name !== ifName || link.kind !== kind) return undefined;
  if (link.alias.startsWith(aliasPrefix)) return link.alias === ownerAlias(call) ? link : undefined;
  if (isLent(pod, ifName)) return undefined;
  const name = call.config.master ?? "";
  if (name !== "") {
    const namespace = call.config.linkInContainer === true ? pod : ownNamespace();
    const master = getLink(namespace.route, name);
    if (master !== undefined) return isMadeOn(link, { link: master, namespace }, pod) ? link : undefined;
  }
  const known = call.prevResult?.interfaces
    .filter((each) => each.name === ifName && (each.sandbox ?? "") !== "")
    .at(-1);
  if (known?.mac !== undefined) return known.mac === link.mac ? link : undefined;
  return name === "" ? link : undefined;
}

export function deleteOwnLink(kind: string, call: Call<UpperConfig>, pod: NetNs): void {
  const link = ownLink(kind, call, pod);
  if (link !== undefined) deleteWithoutWaiting(pod, link.index);
}

/** DEL needs nothing but the attachment. Throws when the pod may still have the link. */
export function delUpper(kind: string, call: Call<UpperConfig>): void {
  delWithIpam(call, () => {
    const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
    if (pod !== undefined) deleteOwnLink(kind, call, pod);
  });
}
