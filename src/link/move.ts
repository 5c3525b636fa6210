// Moves a device between namespaces. One RTM_NEWLINK both moves and renames it, because the kernel waits for an RCU barrier (12 to 16 ms)
// under RTNL for each move. All callers make exactly one such request for each call.
import { Failure, shellWord } from "../errors.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { findDevice, isSameDevice, viewOf, withIdentity } from "./identity.ts";
import { deleteAltnames, getLink, getLinkWhole, type Link, type LinkChange, setLink } from "./link.ts";
import type { NetNs } from "./namespace.ts";
import { isPassing, patiently } from "./patience.ts";
import { type LinkSnapshot, restoreLink, snapshotLink } from "./snapshot.ts";

/**
 * Moves `link` from one namespace to another under a new name, with further changes in the same request.
 * The request is not atomic: when the wanted name is taken in the target, the kernel has moved the link and not renamed it.
 * So: looks first, and after any error looks on both sides and puts the link back as it was.
 * Alternative names that stand in the way (one is the wanted name, or taken in the target) are dropped; who moves the link back
 * adds them again from what it recorded.
 * Returns the link as it is in the target (its index may have changed). Throws Failure naming the conflict. `known`: what it is known by
 * (see identity.ts), for the way back. `isFree`: the caller has just seen that nobody in the target has the name.
 */
export function moveLink(
  from: NetNs,
  to: NetNs,
  link: Link,
  name: string,
  change: LinkChange,
  known: LinkSnapshot = withIdentity(from, link, snapshotLink(link)),
  isFree = false,
): Link {
  const taken = isFree ? undefined : getLink(to.route, name);
  if (taken !== undefined) throw targetHasName(to, name, taken);
  const obstacles = link.altnames.filter((altname) => altname === name || getLink(to.route, altname) !== undefined);
  try {
    deleteAltnames(from.route, link.index, obstacles);
    try {
      setLink(from.route, link.index, { ...change, netns: to.fd, name });
    } catch (error) {
      raiseLater(error, to, link, name, change);
    }
    const moved = getLinkWhole(to.route, name);
    if (moved === undefined)
      throw new Failure("failed", `${name} disappeared from ${describe(to)} right after the move`);
    return moved;
  } catch (error) {
    throw moveFailure(error, from, to, link, name, undoMove(from, to, link, name, known));
  }
}

/**
 * The driver of a function that is being reset lets it move, and then refuses to open it (iavf: EBUSY): the rest of the request is repeated
 * where the link is by then. Throws `error` when it has not moved, or when it is another one.
 */
function raiseLater(error: unknown, to: NetNs, link: Link, name: string, change: LinkChange): void {
  const moved = isPassing(error) && change.up === true ? getLink(to.route, name) : undefined;
  if (moved === undefined || moved.mac !== link.mac || moved.kind !== link.kind) throw error;
  patiently(() => setLink(to.route, moved.index, change));
}

function targetHasName(to: NetNs, name: string, taken: Link): Failure {
  const what =
    taken.name === name ? `an interface ${name}` : `an interface ${taken.name} with the alternative name ${name}`;
  return new Failure(
    "failed",
    `cannot move: ${describe(to)} already has ${what}`,
    "Choose another interface name, or remove that interface.",
  );
}

function describe(ns: NetNs): string {
  return ns.path === "" ? "the host's namespace" : `namespace ${ns.path}`;
}

/** Finds the device on either side and makes it in `from` what it was. Returns what went wrong with that, or "". */
function undoMove(from: NetNs, to: NetNs, link: Link, name: string, known: LinkSnapshot): string {
  const saved = snapshotLink(link);
  // Its index means something in `from` alone: that is home.
  const it: LinkSnapshot = { ...known, name: link.name, index: link.index };
  const [here, there] = [viewOf(from, from), viewOf(to, from)];
  try {
    let back = getLink(from.route, link.index);
    if (back === undefined || !isSameDevice(here, back, it)) {
      const astray = findDevice(there, it, link.name);
      // Under its old name, which was free for it a moment ago.
      if (astray?.link !== undefined) setLink(to.route, astray.link.index, { netns: from.fd, name: link.name });
      back = findDevice(here, it, name)?.link;
    }
    if (back === undefined) return `${link.name} is neither in its old namespace nor in the new one`;
    restoreLink(from.route, back, saved);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function moveFailure(error: unknown, from: NetNs, to: NetNs, link: Link, name: string, problem: string): unknown {
  if (!(error instanceof NetlinkError) && problem === "") return error;
  const cause = error instanceof Error ? error.message : String(error);
  const message = `cannot move ${link.name} to ${describe(to)} as ${name}: ${cause}`;
  if (problem !== "")
    return new Failure("failed", message, `Moving it back to ${describe(from)} failed too: ${problem}`);
  return new Failure("failed", message, cureOf(error, link.name));
}

function cureOf(error: unknown, name: string): string {
  if (!(error instanceof NetlinkError)) return "";
  if (error.code === "EEXIST") return "Another device took the name at the same time. The move was undone.";
  if (error.code === "EINVAL")
    return "The device cannot leave its namespace (bridges and tunnels cannot), or it does not accept one of its new settings.";
  if (error.code === "ENODEV") return "The device is gone.";
  if (error.code === "EBUSY")
    return `The device is in use. Take it down (\`ip link set ${shellWord(name)} down\`), or remove it from its bridge or bond.`;
  return "";
}
