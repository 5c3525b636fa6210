// Identifies podnic's own links by the marks that ADD sets. DEL deletes no other link.

import { delWithIpam } from "../../cni/ipam.ts";
import type { Attachment, Call } from "../../cni/plugin.ts";
import { Failure, shellWord } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { deleteWithoutWaiting } from "../../link/delete.ts";
import { ALIAS_MAX, getLink, type Link, listLinksOfKind } from "../../link/link.ts";
import { isMadeOn } from "../../link/master.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../link/namespace.ts";
import { openLinkNews } from "../../link/watch.ts";
import { log } from "../../log.ts";
import { isNumberOf } from "../../netlink/nsid.ts";
import type { RouteSocket } from "../../netlink/socket.ts";
import { wasAdded } from "../added.ts";
import { removeFormer, removeLeased } from "../former.ts";
import { hashWords, idInAlias, isCut, networkCut } from "../hash.ts";
import { isLent } from "../lent/lender.ts";
import {
  hasLeasedAddress,
  hasOwnMac,
  isAnothers,
  isKeptAt,
  laterAttachmentOf,
  leaveTo,
  otherKeptFor,
} from "../owner.ts";
import { requireGone } from "./hidden.ts";
import type { UpperConfig, UpperKind } from "./kind.ts";
import { deleteElsewhere, keepsMoving, type Sought } from "./moved.ts";

export type Upper = Pick<UpperKind<UpperConfig>, "kind" | "ownMac">;

/** Begins the alias of a link that is ours. */
export const aliasPrefix = "podnic:";

/** The mark in words, for the operator and for links whose index the kernel has changed. */
export function ownerAlias({ attachment }: Pick<Call, "attachment">): string {
  const { network } = attachment;
  const id = idInAlias(attachment.containerId);
  const alias = `${aliasPrefix}${network}:${id}`;
  return alias.length <= ALIAS_MAX ? alias : `${aliasPrefix}${networkCut(network)}:${id}`;
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

/** What isElsewhere has seen, for the DEL that follows. */
let seen: (Marked & { pod: NetNs }) | undefined;

interface Marked {
  link: Link;
  /** Since before it was seen. */
  news: RouteSocket;
}

/** The link that ADD gave the attachment's index. */
function markedLink({ kind }: Upper, { attachment }: Call, pod: NetNs): Link | undefined {
  const marked = getLink(pod.route, ownIndex(attachment));
  return marked?.kind === kind ? marked : undefined;
}

/** The same for who deletes it. */
function lookForMarked(upper: Upper, call: Call, pod: NetNs): Marked | undefined {
  const news = openLinkNews(pod);
  const link = markedLink(upper, call, pod);
  if (link !== undefined) return { link, news };
  news.close();
  return undefined;
}

/** DEL, before it is confined: the pod has no link with the mark. */
export function isElsewhere(upper: Upper, call: Call<UpperConfig>): boolean {
  const pod = openNamespace(call.netns, "ok");
  if (pod === undefined) return false;
  const marked = lookForMarked(upper, call, pod);
  seen = marked && { ...marked, pod };
  return marked === undefined;
}

/**
 * The link without a mark that is this attachment's, whatever it is called by now: an ADD of the Go plugins has made it, or of an earlier version.
 * Throws Failure when that cannot be told.
 */
function unmarkedLink(upper: Upper, call: Call<UpperConfig>, pod: NetNs): Link | undefined {
  const { kind } = upper;
  const { ifName } = call.attachment;
  const named = getLink(pod.route, ifName);
  const found = named?.name === ifName && isOwn(named, upper, call, pod) ? named : undefined;
  if (found !== undefined && (found.index >= MARKS || hasOwnMac(found, call) !== false)) return found;
  // The pod has renamed its interface, or exchanged the names of two.
  return listLinksOfKind(pod.route, kind).find((link) => isRenamed(link, upper, call, pod)) ?? found;
}

/**
 * The links of the pod that have the leased address, and no mark that says whose they are: a pod that moves its interface away and back can take all
 * marks from it, and put another one in its place. Throws Failure when one has those of another attachment, which the pod can give it too.
 */
function leasedLinks({ kind }: Upper, call: Call<UpperConfig>, pod: NetNs): Link[] {
  if (sameNamespace(pod, ownNamespace())) return [];
  const leased = listLinksOfKind(pod.route, kind).filter((link) => isLeased(link, call, pod));
  const said = leased.find(isMarkedFor);
  if (said !== undefined) throw doubt(said, pod);
  return leased;
}

/** The attachment's address is on it, and neither a record nor a result that libcni keeps says that it is another's. */
function isLeased(link: Link, call: Call<UpperConfig>, namespace: NetNs): boolean {
  if (isOnMaster(link, call, namespace) === false || !hasLeasedAddress(call, namespace, link)) return false;
  return !isLent(namespace, link) && otherKeptFor(call, namespace, link) === undefined;
}

/** It has the marks of an attachment. Of a cut alias nobody can tell. */
function isMarkedFor(link: Link): boolean {
  const { index, alias } = link;
  if (!hasMark(index) || !alias.startsWith(aliasPrefix)) return false;
  return isCut(alias) || isSaidByAlias(link);
}

/** Its index goes with its name and its alias: by chance in 1 of 2^29. */
function isSaidByAlias({ index, alias, name }: Link): boolean {
  const [network = "", containerId = ""] = alias.slice(aliasPrefix.length).split(":");
  return alias.startsWith(aliasPrefix) && ownIndex({ network, containerId, ifName: name }) === index;
}

/**
 * A link without our index (the Go plugins', or that of an earlier version) is known by its alias; without one by kind and master, or by
 * the MAC in the prevResult when the configuration's master is unknown; and whatever the master, which may be another one since ADD, by a leased
 * address. It may be another network's, whose name made our ADD fail.
 */
function isOwn(link: Link, { kind, ownMac }: Upper, call: Call<UpperConfig>, pod: NetNs): boolean {
  if (link.kind !== kind || link.index >= MARKS || isLent(pod, link)) return false;
  if (link.alias === ownerAlias(call)) return true;
  if (link.alias.startsWith(aliasPrefix)) {
    if (ownMac && hasOwnMac(link, call)) throw doubt(link, pod);
    return false;
  }
  const mayBe = isOnMaster(link, call, pod) ?? hasOwnMac(link, call) ?? (call.config.master ?? "") === "";
  if (!wasAdded(call)) return false;
  return mayBe ? !isAnothers(call, pod, link) : hasLeasedAddress(call, pod, link);
}

/**
 * Our ADD's for the same container and interface, but another network: with the MAC address in the prevResult the network has another name since.
 * Without a prevResult it may be that of a second network, whose name made our ADD fail.
 */
function linkOfFormerName({ kind }: Upper, call: Call<UpperConfig>, pod: NetNs): Link | undefined {
  const { attachment } = call;
  const link = getLink(pod.route, attachment.ifName);
  if (link?.kind !== kind || link.name !== attachment.ifName || !hasMark(link.index)) return undefined;
  const [network = ""] = link.alias.slice(aliasPrefix.length).split(":");
  if (!link.alias.startsWith(aliasPrefix) || ownIndex({ ...attachment, network }) !== link.index) return undefined;
  if (hasOwnMac(link, call) !== true) {
    leaveTo(`${attachment.containerId} (${network})`, link);
    return undefined;
  }
  log("warning", "the network's name has changed since ADD", { before: network, interface: link.name });
  return link;
}

/** The alias alone does not do: another interface of the container in the same network has the same one. */
function isRenamed(link: Link, { ownMac }: Upper, call: Call<UpperConfig>, pod: NetNs): boolean {
  if (link.index >= MARKS || !["", ownerAlias(call)].includes(link.alias)) return false;
  if (!ownMac || !hasOwnMac(link, call)) return false;
  if (isLent(pod, link) || laterAttachmentOf(call, pod, link) !== undefined) return false;
  return isOnMaster(link, call, pod) !== false || (wasAdded(call) && hasLeasedAddress(call, pod, link));
}

/** undefined: the configuration names no master, or one that is gone. */
function isOnMaster(link: Link, { config }: Call<UpperConfig>, pod: NetNs): boolean | undefined {
  const name = config.master ?? "";
  if (name === "") return undefined;
  const namespace = config.linkInContainer === true ? pod : ownNamespace();
  const master = getLink(namespace.route, name);
  return master === undefined ? undefined : isMadeOn(link, { link: master, namespace }, pod);
}

function doubt({ name, alias }: Link, { path }: NetNs): Failure {
  return new Failure(
    "try again",
    `cannot tell which attachment interface "${name}" in ${path} belongs to`,
    `The interface has the MAC address or the leased address of this attachment, but the alias of another one (${alias}), which the pod could have set. Nothing was released. Delete the interface, or clear its alias (ip link set dev ${shellWord(name)} alias ""), and repeat the DEL. When the pod's namespace is gone, DEL succeeds.`,
  );
}

/** The undo of an ADD. */
export function deleteOwnLink(upper: Upper, call: Call<UpperConfig>, pod: NetNs): void {
  const link = markedLink(upper, call, pod) ?? unmarkedLink(upper, call, pod);
  if (link !== undefined) remove(call, pod, link);
}

/** `news`: what was heard since before the link was seen. Throws Failure when the pod has it no more, and nobody has deleted it. */
function remove({ attachment }: Pick<Call, "attachment">, pod: NetNs, { index }: Link, news = openLinkNews(pod)): void {
  if (!deleteWithoutWaiting(pod, index, news)) throw keepsMoving(attachment.ifName);
}

/** DEL needs nothing but the attachment. Throws when the link may still be there. */
export function delUpper(upper: Upper, call: Call<UpperConfig>): void {
  delWithIpam(call, () => {
    const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
    const marked = pod && (seen?.pod === pod ? seen : lookForMarked(upper, call, pod));
    // Its socket is closed with the first use.
    seen = undefined;
    if (pod !== undefined && marked !== undefined) {
      remove(call, pod, marked.link, marked.news);
      return;
    }
    if (removeFormer(call, upper.kind)) return;
    // Before those without a mark: the pod may have made one in place of ours.
    const isInPod = (): boolean => pod !== undefined && markedLink(upper, call, pod) !== undefined;
    const found = deleteElsewhere(soughtOf(upper, call, pod), isInPod);
    if (pod === undefined) {
      if (found === false && upper.ownMac) requireGone(call);
      return;
    }
    const left = (): Link | undefined => {
      if (found === "back") return markedLink(upper, call, pod);
      return found ? undefined : (unmarkedLink(upper, call, pod) ?? linkOfFormerName(upper, call, pod));
    };
    const link = left();
    if (link === undefined && found === "back") throw keepsMoving(call.attachment.ifName);
    if (link !== undefined) remove(call, pod, link);
    const leased = leasedLinks(upper, call, pod);
    for (const one of leased) remove(call, pod, one);
    if (link === undefined && found === false && leased.length === 0) removeLeased(call);
  });
}

/** What ADD has marked, in the pod. */
export function removeMadeUpper(upper: Upper, call: Call): boolean {
  const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
  const marked = pod && lookForMarked(upper, call, pod);
  if (pod === undefined || marked === undefined) return false;
  remove(call, pod, marked.link, marked.news);
  return true;
}

function soughtOf({ kind }: Upper, call: Call<UpperConfig>, pod: NetNs | undefined): Sought {
  const { attachment, config } = call;
  return {
    kind,
    pod,
    isIt(link, from, isThere) {
      if (!isMadeHere(link, from, isThere, call, pod)) return false;
      if (isLikeOwn(link, call)) return !isThere || !isLent(from, link);
      return isThere && isLeasedElsewhere(link, call, from);
    },
    isLike({ link, isHome, leadsTo }) {
      if (link.kind !== kind) return false;
      if (link.index !== ownIndex(attachment) && link.alias !== ownerAlias(call)) return false;
      if (link.linkNetnsid === undefined) return isHome || config.linkInContainer === true;
      return leadsTo(pod === undefined ? [ownNamespace()] : [ownNamespace(), pod]);
    },
    mayBe: () => wasAdded(call),
    name: attachment.ifName,
  };
}

/**
 * By its marks, in another namespace than the pod's. Whoever moves a link can give it another index, and the kernel does when that one is taken
 * there; then the alias must do. One whose index goes with its alias of another attachment is that one's (1 in 2^29).
 */
function isLikeOwn(link: Link, call: Call<UpperConfig>): boolean {
  const { index, alias } = link;
  if (index < MARKS) return alias === ownerAlias(call) && hasOwnMac(link, call) !== false;
  return index === ownIndex(call.attachment) && (alias === ownerAlias(call) || !isSaidByAlias(link));
}

/**
 * Without a mark, with the leased address, and where libcni keeps that the ADD was. Throws Failure when it is in another namespace: whoever writes a
 * network chooses its addresses, so that it may be anybody's. What is on the host was never in a pod, which cannot reach the host's namespace.
 */
function isLeasedElsewhere(link: Link, call: Call<UpperConfig>, from: NetNs): boolean {
  if (sameNamespace(from, ownNamespace()) || isMarkedFor(link) || !isLeased(link, call, from)) return false;
  if (isKeptAt(call.attachment, from)) return true;
  throw leasedDoubt(link, from);
}

function leasedDoubt({ name }: Link, { path }: NetNs): Failure {
  return new Failure(
    "try again",
    `cannot tell which attachment interface "${name}" in ${path} belongs to`,
    "The interface has an address that is leased to this attachment, but nothing shows that it was ever in the pod. Nothing was released. If the interface is the pod's, delete it. If it is not, give it another address. Then repeat the DEL.",
  );
}

/** On a master of this host or of the pod: a node may run others with pods of the same names. `isThere`: `from` is where the link is. */
function isMadeHere(
  { linkNetnsid }: Link,
  from: NetNs,
  isThere: boolean,
  { config }: Call<UpperConfig>,
  pod: NetNs | undefined,
): boolean {
  const home = ownNamespace();
  if (linkNetnsid === undefined) return config.linkInContainer === true || (isThere && sameNamespace(from, home));
  return [home, pod].some((one) => one !== undefined && isNumberOf(from.route, linkNetnsid, one.fd));
}
