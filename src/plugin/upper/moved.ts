// DEL: an interface that is not in the pod's namespace. The pod may have moved it onwards, or its namespace may have lost its path and live on in
// a process, or in a file. Its address is in use until it is gone. So each namespace that can be seen is looked into, and those that have no name
// here, by the numbers that the pod has for them, or else the host. Only when it is missing: about 0.1 ms for each namespace. The pod may also go on
// moving it: that it was in none of them proves something only when nothing like it moved meanwhile, and that it is no longer where it was does not
// mean that it is gone.
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { deleteLink, deleteLinkOf, type Link, listLinksOfKind, listLinksQuietly } from "../../link/link.ts";
import { lookInto, type NetNs, ownNamespace } from "../../link/namespace.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../../link/visible.ts";
import { type Moved, ROUND_PAUSE, ROUNDS, Watch } from "../../link/watch.ts";
import { log } from "../../log.ts";
import { namespaceNumbers } from "../../netlink/nsid.ts";

/** What is looked for. */
export interface Sought {
  kind: string;
  pod: NetNs | undefined;
  /** The link's `linkNetnsid` is a number of `from`, in which it is, or which has a number for where it is. In the pod's own it is never asked. */
  isIt: (link: Link, from: NetNs, isThere: boolean) => boolean;
  /** The same of a link that was seen on its way. */
  isLike: (moved: Moved) => boolean;
  /** The attachment may have one: one that has nothing must not wait for a namespace of others. */
  mayBe: () => boolean;
  name: string;
}

/** "moved": it was not where it had been a moment before. */
type Round = "deleted" | "none" | "moved";

/**
 * Deletes it in other namespaces than the pod's. True: there was something. "back": it is in the pod again. Throws when it could not be deleted, or
 * may be where nobody can look.
 */
export function deleteElsewhere(sought: Sought, isInPod: () => boolean): boolean | "back" {
  for (let round = 1; round <= ROUNDS; round++) {
    const watch = new Watch();
    try {
      if (sought.pod !== undefined) watch.add(sought.pod, true);
      // The caller has looked, but before the watch.
      if (isInPod()) return "back";
      const seen = deleteOnce(sought, watch);
      if (seen === "deleted") return true;
      if (seen === "none" && !watch.saw(sought.isLike)) return false;
    } finally {
      watch.close();
    }
    host.sleep(round * ROUND_PAUSE);
  }
  throw keepsMoving(sought.name);
}

export function keepsMoving(name: string): Failure {
  return new Failure(
    "try again",
    `interface "${name}" is moving from one network namespace to another`,
    "A process of the pod might be moving it. Its address was not released, because the interface might still exist. Repeat the call.",
  );
}

function deleteOnce({ kind, pod, isIt, mayBe }: Sought, watch: Watch): Round {
  let round: Round = "none";
  let doubt: Error | undefined;
  const remove = ({ name }: Link, netns: string, run: () => boolean | undefined): void => {
    log("warning", "the interface is not in its pod; deleting it from its current namespace", {
      interface: name,
      netns,
    });
    if (run() === true) round = "deleted";
    else if (round === "none") round = "moved";
  };
  for (const { path, dev, ino } of withThreads(seeNamespaces(), () => round === "none" && mayBe())) {
    if (pod !== undefined && pod.dev === dev && pod.ino === ino) continue;
    const look = lookOrDoubt(path, (from) => {
      watch.add(from);
      return listLinksOfKind(from.route, kind).filter((link) => isIt(link, from, true));
    });
    doubt ??= look.doubt;
    look.found?.forEach((link) => {
      remove(link, path, () => lookInto(path, ({ route }) => deleteLink(route, link.index)));
    });
  }
  if (round === "none") {
    const from = pod ?? ownNamespace();
    for (const number of namespaceNumbers(from.route)) {
      for (const link of listLinksQuietly(from.route, number)) {
        if (link.kind === kind && isIt(link, from, false))
          remove(link, "", () => deleteLinkOf(from.route, number, link.index));
      }
    }
  }
  // Its address may be in use where nobody can look.
  if (round === "none" && doubt !== undefined && mayBe()) throw doubt;
  return round;
}
