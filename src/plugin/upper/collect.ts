// GC of interfaces on a master. They are in their pods, and no file lists their namespaces, so podnic looks in every visible namespace.
import { Cleanup } from "../../cleanup.ts";
import { gcWithIpam } from "../../cni/ipam.ts";
import type { Attachment, Call } from "../../cni/plugin.ts";
import { deleteLink, type Link, listLinksOfKind } from "../../link/link.ts";
import { lookOrDoubt, seeNamespaces } from "../../link/visible.ts";
import { log } from "../../log.ts";
import { isCut, isNetworkInAlias } from "../hash.ts";
import { aliasPrefix, hasMark, ownIndex } from "./own.ts";

/** Removes what attachments of this network have that are not valid any more. What cannot be removed keeps its lease. */
export function gcUpper(kind: string, call: Call): void {
  const cleanup = new Cleanup();
  const kept: Pick<Attachment, "containerId" | "ifName">[] = [];
  let isBlind = false;
  for (const { path } of seeNamespaces().namespaces) {
    const { doubt } = lookOrDoubt(path, (namespace) => {
      for (const link of listLinksOfKind(namespace.route, kind)) {
        const containerId = staleOwner(link, call);
        if (containerId === undefined) continue;
        log("info", "removing an interface whose attachment is no longer valid", {
          interface: link.name,
          netns: path,
        });
        kept.push({ containerId, ifName: link.name });
        cleanup.attempt(() => {
          deleteLink(namespace.route, link.index);
          kept.pop();
        });
      }
    });
    if (doubt === undefined) continue;
    isBlind = true;
    cleanup.attempt(() => {
      throw doubt;
    });
  }
  // Which lease is to be kept cannot be told: all are.
  if (!isBlind && !kept.some(({ containerId }) => isCut(containerId))) cleanup.attempt(() => gcWithIpam(call, kept));
  cleanup.finish();
}

/**
 * The container of a link that has our mark and the alias of this network, and that is of no valid attachment. A pod can write the alias of
 * another network, and loses its own interface by that; it cannot write another pod's.
 */
function staleOwner({ index, alias }: Link, { attachment: { network }, validAttachments }: Call): string | undefined {
  if (!hasMark(index) || !alias.startsWith(aliasPrefix)) return undefined;
  const end = alias.indexOf(":", aliasPrefix.length);
  if (end < 0 || !isNetworkInAlias(alias.slice(aliasPrefix.length, end), network)) return undefined;
  const isIts = (valid: Pick<Attachment, "containerId" | "ifName">) => ownIndex({ network, ...valid }) === index;
  return validAttachments.some(isIts) ? undefined : alias.slice(end + 1);
}
