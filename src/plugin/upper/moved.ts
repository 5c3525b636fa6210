// DEL: an interface that is not in the pod's namespace. The pod may have moved it onwards, or its namespace may have lost its path and live on in
// a process. Its address is in use until it is gone. So each namespace that can be seen is looked into, and those that have no name here, by the
// numbers that the pod has for them. Only when it is missing: about 0.1 ms for each namespace.
import { deleteLink, deleteLinkOf, type Link, listLinksOf, listLinksOfKind } from "../../link/link.ts";
import { lookInto, type NetNs } from "../../link/namespace.ts";
import { lookOrDoubt, seeNamespaces } from "../../link/visible.ts";
import { log } from "../../log.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { namespaceNumbers } from "../../netlink/nsid.ts";

/**
 * Deletes what `isIt` in other namespaces than `pod`. The link's `linkNetnsid` is a number of the namespace that `isIt` is given with it. True:
 * there was something. Throws when it could not be deleted, or may be where nobody can look; the latter only if there `mayBe` one: an attachment that
 * has nothing must not wait for a namespace of others.
 */
export function deleteElsewhere(
  kind: string,
  pod: NetNs | undefined,
  isIt: (link: Link, from: NetNs) => boolean,
  mayBe: () => boolean,
): boolean {
  let found = false;
  let doubt: Error | undefined;
  const say = ({ name }: Link, netns: string): void => {
    found = true;
    log("warning", "the interface is not in its pod; deleting it from its current namespace", {
      interface: name,
      netns,
    });
  };
  for (const { path, dev, ino } of seeNamespaces().namespaces) {
    if (pod !== undefined && pod.dev === dev && pod.ino === ino) continue;
    const look = lookOrDoubt(path, (from) => findLinks(from, kind, isIt));
    doubt ??= look.doubt;
    look.found?.forEach((link) => {
      say(link, path);
      lookInto(path, ({ route }) => deleteLink(route, link.index));
    });
  }
  if (!found && pod !== undefined) {
    for (const number of namespaceNumbers(pod.route)) {
      for (const link of listQuietly(pod.route, number)) {
        if (link.kind !== kind || !isIt(link, pod)) continue;
        say(link, "");
        deleteLinkOf(pod.route, number, link.index);
      }
    }
  }
  // Its address may be in use where nobody can look.
  if (!found && doubt !== undefined && mayBe()) throw doubt;
  return found;
}

function findLinks(from: NetNs, kind: string, isIt: (link: Link, from: NetNs) => boolean): Link[] {
  return listLinksOfKind(from.route, kind).filter((link) => isIt(link, from));
}

/** None also of a namespace that is about to end, and where the kernel does not tell. */
function listQuietly(route: NetNs["route"], number: number): Link[] {
  try {
    return listLinksOf(route, number);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return [];
  }
}
