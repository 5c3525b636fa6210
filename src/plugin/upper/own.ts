// Identifies podnic's own links by the marks that ADD sets. DEL deletes no other link.

import { delWithIpam } from "../../cni/ipam.ts";
import type { Attachment, Call } from "../../cni/plugin.ts";
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { deleteWithoutWaiting } from "../../link/delete.ts";
import { getLink, type Link, listLinksOfKind } from "../../link/link.ts";
import { isMadeOn } from "../../link/master.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../link/namespace.ts";
import { wasAdded } from "../added.ts";
import { hashWords, idInAlias } from "../hash.ts";
import { isLent } from "../lent/lender.ts";
import type { UpperConfig, UpperKind } from "./kind.ts";

type Upper = Pick<UpperKind<UpperConfig>, "kind" | "ownMac">;

/** Begins the alias of a link that is ours. */
export const aliasPrefix = "podnic:";

/** The mark in words, for the operator and for links whose index the kernel has changed. undefined: too long for an alias (IFALIASZ). */
export function ownerAlias({ attachment }: Call): string | undefined {
  const alias = `${aliasPrefix}${attachment.network}:${idInAlias(attachment.containerId)}`;
  return alias.length <= 255 ? alias : undefined;
}

/** Indices from here on are marks. The kernel counts up from 1. */
const MARKS = 0x60000000;

/** ADD has given the link its index. */
export const hasMark = (index: number): boolean => index >= MARKS;

/**
 * The index that ADD gives the link: it says whose the link is. It is there from the link's first moment, no file is needed, and unlike a
 * name, an alias or a MAC address the pod cannot change it, nor give it to a second link while this one is there. Two attachments of a pod
 * get the same one by chance in 2^29: the ADD of the second one is refused.
 */
export function ownIndex({ network, containerId, ifName }: Attachment): number {
  return MARKS | (hashWords(host.encode(`${ifName}:${network}:${containerId}\0\0\0`)) >>> 3);
}

/** The link that ADD made for this attachment, whatever it is called by now. Throws Failure when that cannot be told. */
function ownLink(upper: Upper, call: Call<UpperConfig>, pod: NetNs): Link | undefined {
  const { kind } = upper;
  const marked = getLink(pod.route, ownIndex(call.attachment));
  if (marked?.kind === kind) return marked;
  const { ifName } = call.attachment;
  const named = getLink(pod.route, ifName);
  const found = named?.name === ifName && isOwn(named, upper, call, pod) ? named : undefined;
  if (found !== undefined && (found.index >= MARKS || hasOwnMac(found, call) !== false)) return found;
  // An ADD of the Go plugins or of an earlier version, and a pod that has renamed its interface since, or exchanged the names of two.
  return listLinksOfKind(pod.route, kind).find((link) => isRenamed(link, upper, call, pod)) ?? found;
}

/**
 * A link without our index (the Go plugins', or that of an earlier version) is known by its alias; without one by kind and master, or by
 * the MAC in the prevResult when the configuration's master is unknown. It may be another network's, whose name made our ADD fail.
 */
function isOwn(link: Link, { kind, ownMac }: Upper, call: Call<UpperConfig>, pod: NetNs): boolean {
  if (link.kind !== kind || link.index >= MARKS) return false;
  if (link.alias === ownerAlias(call)) return true;
  if (link.alias.startsWith(aliasPrefix)) {
    if (ownMac && hasOwnMac(link, call)) throw doubt(link, pod);
    return false;
  }
  if (isLent(pod, link.name)) return false;
  const mayBe = isOnMaster(link, call, pod) ?? hasOwnMac(link, call) ?? (call.config.master ?? "") === "";
  return mayBe && wasAdded(call);
}

/** The alias alone does not do: another interface of the container in the same network has the same one. */
function isRenamed(link: Link, { ownMac }: Upper, call: Call<UpperConfig>, pod: NetNs): boolean {
  if (link.index >= MARKS || !["", ownerAlias(call)].includes(link.alias)) return false;
  if (!ownMac || !hasOwnMac(link, call)) return false;
  return isOnMaster(link, call, pod) !== false && !isLent(pod, link.name);
}

/** undefined: the configuration names no master, or one that is gone. */
function isOnMaster(link: Link, { config }: Call<UpperConfig>, pod: NetNs): boolean | undefined {
  const name = config.master ?? "";
  if (name === "") return undefined;
  const namespace = config.linkInContainer === true ? pod : ownNamespace();
  const master = getLink(namespace.route, name);
  return master === undefined ? undefined : isMadeOn(link, { link: master, namespace }, pod);
}

/** undefined: no prevResult says what it was. */
function hasOwnMac({ mac }: Link, { prevResult, attachment }: Call): boolean | undefined {
  const known = prevResult?.interfaces
    .filter((each) => each.name === attachment.ifName && (each.sandbox ?? "") !== "")
    .at(-1);
  return known?.mac === undefined ? undefined : known.mac === mac;
}

function doubt({ name, alias }: Link, { path }: NetNs): Failure {
  return new Failure(
    "failed",
    `cannot tell which attachment interface "${name}" in ${path} belongs to`,
    `The interface has the MAC address that ADD reported, but the alias of another attachment (${alias}), which the pod could have set. Nothing was released. Delete the interface, or clear its alias (ip link set dev ${name} alias ""), and repeat the DEL.`,
  );
}

export function deleteOwnLink(upper: Upper, call: Call<UpperConfig>, pod: NetNs): void {
  const link = ownLink(upper, call, pod);
  if (link !== undefined) deleteWithoutWaiting(pod, link.index);
}

/** DEL needs nothing but the attachment. Throws when the pod may still have the link. */
export function delUpper(upper: Upper, call: Call<UpperConfig>): void {
  delWithIpam(call, () => {
    const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
    if (pod !== undefined) deleteOwnLink(upper, call, pod);
  });
}
