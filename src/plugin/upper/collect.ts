// GC of interfaces on a master. They are in their pods, and no file lists their namespaces, so podnic looks in every visible namespace.
import { Cleanup } from "../../cleanup.ts";
import type { Attachment, Call } from "../../cni/plugin.ts";
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { deleteLink, deleteLinkOf, type Link, listLinksOfKind, listLinksQuietly } from "../../link/link.ts";
import { type NetNs, ownNamespace } from "../../link/namespace.ts";
import { lookOrDoubt, seeNamespaces } from "../../link/visible.ts";
import { ROUND_PAUSE, ROUNDS, Watch } from "../../link/watch.ts";
import { log } from "../../log.ts";
import { HiddenNumbers } from "../../netlink/nsid.ts";
import { isCut, isNetworkInAlias } from "../hash.ts";
import { isLent } from "../lent/lender.ts";
import { gcLeases } from "../lessees.ts";
import { requireAllSeen } from "./hidden.ts";
import type { UpperConfig } from "./kind.ts";
import { keepsMoving } from "./moved.ts";
import { aliasPrefix, hasMark, ownIndex, type Upper } from "./own.ts";

/**
 * Removes the interfaces of this network's attachments that are no longer valid. If an interface cannot be removed, or keeps moving, its lease stays.
 */
export function gcUpper({ kind, ownMac }: Upper, call: Call<UpperConfig>): void {
  for (let round = 1; ; round++) {
    const { cleanup, kept, moving, isBlind, isLost } = collect(kind, call);
    if ((moving.length > 0 || isLost) && round < ROUNDS) {
      host.sleep(round * ROUND_PAUSE);
      continue;
    }
    for (const { ifName } of moving)
      cleanup.attempt(() => {
        throw keepsMoving(ifName);
      });
    if (isLost)
      cleanup.attempt(() => {
        throw cannotFollow();
      });
    // If podnic cannot tell which leases to keep, it keeps all.
    const all = [...kept, ...moving];
    if (!isBlind && !isLost && !all.some(({ containerId }) => isCut(containerId)))
      cleanup.attempt(() => gcLeases(call, all, ownMac ? () => requireAllSeen(call) : undefined));
    cleanup.finish();
    return;
  }
}

function cannotFollow(): Failure {
  return new Failure(
    "try again",
    "cannot tell whether interfaces moved between network namespaces: too many interfaces of the node changed",
    "No address was released, because an interface that uses it might still exist. Repeat the call.",
  );
}

type Kept = Pick<Attachment, "containerId" | "ifName">;

interface Collected {
  cleanup: Cleanup;
  kept: Kept[];
  /** The attachments whose interface was seen moving from one namespace to another. */
  moving: Kept[];
  isBlind: boolean;
  /** podnic lost track of moves, so that others of this network's interfaces may have moved, too. */
  isLost: boolean;
}

function collect(kind: string, call: Call): Collected {
  const watch = new Watch();
  try {
    return collectWatching(kind, call, watch);
  } finally {
    watch.close();
  }
}

function collectWatching(kind: string, call: Call, watch: Watch): Collected {
  const cleanup = new Cleanup();
  const kept: Kept[] = [];
  const moving: Kept[] = [];
  const removed = new Set<number>();
  let isBlind = false;
  const { route } = ownNamespace();
  const hidden = new HiddenNumbers(route);
  const removeStale = (link: Link, pod: NetNs | undefined, run: () => boolean): void => {
    const containerId = staleOwner(link, call);
    // A pod can give its lent device our marks.
    if (containerId === undefined || (pod !== undefined && isLent(pod, link))) return;
    const where = { interface: link.name, netns: pod?.path ?? "" };
    log("info", "removing an interface whose attachment is no longer valid", where);
    kept.push({ containerId, ifName: link.name });
    cleanup.attempt(() => {
      if (run()) removed.add(link.index);
      else moving.push({ containerId, ifName: link.name });
      kept.pop();
    });
  };
  for (const { path } of seeNamespaces().namespaces) {
    const { doubt } = lookOrDoubt(path, (namespace) => {
      watch.add(namespace);
      hidden.without(namespace.fd);
      for (const link of listLinksOfKind(namespace.route, kind))
        removeStale(link, namespace, () => deleteLink(namespace.route, link.index));
    });
    if (doubt === undefined) continue;
    isBlind = true;
    cleanup.attempt(() => {
      throw doubt;
    });
  }
  for (const number of hidden.left)
    for (const link of listLinksQuietly(route, number))
      if (link.kind === kind) removeStale(link, undefined, () => deleteLinkOf(route, number, link.index));
  const isLost = watch.saw(({ link }) => {
    const containerId = link.kind !== kind || removed.has(link.index) ? undefined : staleOwner(link, call);
    if (containerId !== undefined) moving.push({ containerId, ifName: link.name });
    return false;
  });
  return { cleanup, kept, moving, isBlind, isLost };
}

/**
 * The container of a link that has our mark and the alias of this network, but belongs to no valid attachment. A pod that writes the alias of another
 * network loses only its own interface, because it cannot write the alias of another pod's.
 */
function staleOwner({ index, alias }: Link, { attachment: { network }, validAttachments }: Call): string | undefined {
  if (!hasMark(index) || !alias.startsWith(aliasPrefix)) return undefined;
  const end = alias.indexOf(":", aliasPrefix.length);
  if (end < 0 || !isNetworkInAlias(alias.slice(aliasPrefix.length, end), network)) return undefined;
  const isIts = (valid: Pick<Attachment, "containerId" | "ifName">) => ownIndex({ network, ...valid }) === index;
  return validAttachments.some(isIts) ? undefined : alias.slice(end + 1);
}
