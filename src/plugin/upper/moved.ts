// DEL of an interface that is not in the pod's namespace. The pod may have moved it on, or the pod's namespace may have lost its path and still exist
// in a process or a file. The address is in use until the interface is gone. So podnic looks into each namespace that it can see, and then into those
// without a name here, by the numbers that the pod (or else the host) has for them. It does so only if the interface is missing, because each
// namespace takes about 0.1 ms.
//
// The pod may also keep moving the interface. If podnic finds it in none of the namespaces, this proves something only if no similar interface moved
// meanwhile. And if the interface is no longer where it was, it is not necessarily gone.
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { deleteLink, deleteLinkOf, type Link, listLinksOfKind, listLinksQuietly } from "../../link/link.ts";
import { lookInto, type NetNs, ownNamespace } from "../../link/namespace.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../../link/visible.ts";
import { type Moved, ROUND_PAUSE, ROUNDS, Watch } from "../../link/watch.ts";
import { log } from "../../log.ts";
import { namespaceNumbers } from "../../netlink/nsid.ts";

/** The interface to look for. */
export interface Sought {
  kind: string;
  pod: NetNs | undefined;
  /**
   * Whether a link is the one sought. `isThere`: the link is in `from`; otherwise `from` has a number for the link's namespace. The link's
   * `linkNetnsid` is a number of `from`. Never called for links in the pod's own namespace.
   */
  isIt: (link: Link, from: NetNs, isThere: boolean) => boolean;
  /** The same for a link that was seen moving. */
  isLike: (moved: Moved) => boolean;
  /** Whether the attachment may have an interface at all. If not, DEL must not fail because of namespaces that it cannot look into. */
  mayBe: () => boolean;
  name: string;
}

/** "moved": the interface was no longer where it had been a moment before. */
type Round = "deleted" | "none" | "moved";

/**
 * Deletes the interface in namespaces other than the pod's. Returns true if there was one, "back" if it is in the pod again. Throws if it could not
 * be deleted, or may be in a namespace that podnic cannot look into.
 */
export function deleteElsewhere(sought: Sought, isInPod: () => boolean): boolean | "back" {
  for (let round = 1; round <= ROUNDS; round++) {
    const watch = new Watch();
    try {
      if (sought.pod !== undefined) watch.add(sought.pod, true);
      // The caller has looked, but before the watch began.
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
  // The address may be in use in a namespace that podnic cannot look into.
  if (round === "none" && doubt !== undefined && mayBe()) throw doubt;
  return round;
}
