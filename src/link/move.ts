// Moving a device between namespaces: one RTM_NEWLINK that moves and renames, because the kernel waits an RCU barrier
// (12-16 ms) under RTNL for each move (habit of all callers: exactly one per call).
import type { Link, LinkChange } from "./link.ts";
import type { NetNs } from "./namespace.ts";

/**
 * Moves `link` from one namespace to another under a new name, with further changes in the same request.
 * The request is not atomic: when the wanted name is taken in the target, the kernel has moved the link and not renamed it.
 * So: looks first, and after any error looks on both sides and puts the link back as it was.
 * Returns the link as it is in the target (its index may have changed). Throws CniError naming the conflict.
 */
export function moveLink(_from: NetNs, _to: NetNs, _link: Link, _name: string, _change: LinkChange): Link {
  throw new Error("not built yet");
}
