// Restores the attributes and the address of a VF on its PF. If the driver refuses a value, podnic logs this, and the next ADD tries again.
import { getLink, type Link } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { type LinkSnapshot, restoreLink } from "../../src/link/snapshot.ts";
import { getVf, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { physicalFunction } from "../../src/sysfs/vf.ts";
import { currentState, isRestored, restoreState, UNKNOWN } from "./attributes.ts";
import { findOnPf, type Vf, vfLink } from "./device.ts";
import { attempt, type Leftover, leave, readLeftover, withoutChanged, writeLeftover } from "./left.ts";
import { NO_MAC, type RestoredMac, restoreAdministrativeMac, restoreMac } from "./mac.ts";

/** The VF's interface, on the host, and what it was. */
export interface Home {
  link: Link;
  saved: LinkSnapshot;
}

/** `state`: what the VF was on its PF, where that is known. `home`: undefined when it has no interface, or had none. */
export function restoreVf(hostNs: NetNs, pci: string, state: VfState | undefined, home: Home | undefined): void {
  let vf: Vf | undefined;
  let left: string[] = [];
  if (state !== undefined) {
    vf = findQuietly(hostNs.route, pci);
    if (vf !== undefined) left = restoreOnPf(hostNs.route, vf, state, home?.link, home?.saved.mac ?? "");
    // Without a VF there is nothing left; a PF that is away (in another namespace, without driver) comes back with what is set on it.
    else if (physicalFunction(pci) !== undefined) left = [UNKNOWN];
  }
  if (home !== undefined) {
    const { link, saved } = home;
    attempt(left, pci, "interface", () => restoreLink(hostNs.route, getLink(hostNs.route, link.index) ?? link, saved));
  }
  if (state === undefined || left.length === 0) return;
  // What was left before this pod is what the VF was: this one took it over.
  const earlier = readLeftover(pci) ?? { pci, state, mac: home?.saved.mac ?? "", left: [] };
  writeDown(hostNs.route, vf, { ...earlier, left: [...new Set([...earlier.left, ...left])] }, home?.link);
}

/** With what the VF is at this moment. `vf`: undefined when its PF is away. */
function writeDown(route: RouteSocket, vf: Vf | undefined, leftover: Leftover, link: Link | undefined): void {
  const { pci, state, mac, left } = leftover;
  let endState: VfState | undefined;
  let endMac: string | undefined;
  attempt([], pci, UNKNOWN, () => {
    const waited = left.includes(UNKNOWN);
    if (vf !== undefined) endState = waited ? getVf(route, vf.pf.index, vf.index) : currentState(route, vf);
    if (link !== undefined) endMac = getLink(route, link.index)?.mac;
  });
  writeLeftover({ pci, state, mac, left, endState, endMac });
}

/** ADD: what an earlier pod left, before it is taken for the original. What the driver still refuses is overwritten by what the pod asks for. */
export function settle(route: RouteSocket, vf: Vf): void {
  const leftover = readLeftover(vf.pci);
  if (leftover === undefined) return;
  const { pci } = leftover;
  const link = vf.userspace ? undefined : vfLink(route, pci);
  let rest = leftover;
  const unanswered: string[] = [];
  attempt(unanswered, pci, UNKNOWN, () => {
    if (leftover.endState !== undefined) rest = withoutChanged(leftover, currentState(route, vf), link?.mac ?? "");
  });
  if (unanswered.length > 0) return;
  const left = restoreOnPf(route, vf, rest.state, link, rest.mac);
  if (left.length === 0) writeLeftover({ ...rest, left });
  else writeDown(route, vf, { ...rest, left }, link);
}

/** `mac`: what its interface had. Returns what could not be restored. */
function restoreOnPf(route: RouteSocket, vf: Vf, saved: VfState, link: Link | undefined, mac: string): string[] {
  const first = restoreState(route, vf, saved);
  const { left: addresses, now: after } =
    link !== undefined && mac !== ""
      ? restoreMac(route, vf, link, saved.mac, mac, first.now)
      : restoreWithoutInterface(route, vf, saved.mac, first.now);
  let refused = first.left;
  // Some drivers reset the attributes with the address, or refuse one until they have it. A busy one is waited for once more.
  if (after !== undefined && (refused.size > 0 || !isRestored(saved, after)))
    refused = restoreState(route, vf, saved).left;
  const left: string[] = [];
  for (const [what, answer] of refused) leave(left, vf.pci, what, answer);
  return [...left, ...addresses];
}

/** The address of a VF that has no interface, or had none at ADD. `now`: what the PF says of it. */
function restoreWithoutInterface(route: RouteSocket, vf: Vf, saved: string, now: VfState | undefined): RestoredMac {
  if (now === undefined) return { left: [], now };
  const left: string[] = [];
  let after: VfState | undefined;
  attempt(left, vf.pci, "mac", () => {
    after = restoreAdministrativeMac(route, vf, saved, now);
  });
  const taken = takeAddress(route, vf, now.mac, saved);
  return { left: [...left, ...taken.left], now: taken.now ?? after };
}

/**
 * A VF without interface at ADD (vfio-pci) whose own driver was bound since: that made an interface with the pod's address, and two with
 * one address must not be. `given`: what the PF had given, `own`: what it gives now.
 */
function takeAddress(route: RouteSocket, vf: Vf, given: string, own: string): RestoredMac {
  const link = vf.userspace || given === own || given === NO_MAC ? undefined : vfLink(route, vf.pci);
  if (link === undefined || link.mac !== given) return { left: [], now: undefined };
  if (own !== NO_MAC && own !== "") return restoreMac(route, vf, link, own, own, undefined);
  const left: string[] = [];
  leave(left, vf.pci, "address", `${link.name} keeps ${given}, because the VF has no address of its own`);
  return { left, now: undefined };
}

/** The VF with its PF, when both are there: without them there are no attributes to restore. */
function findQuietly(route: RouteSocket, pci: string): Vf | undefined {
  try {
    return findOnPf(route, pci);
  } catch (error) {
    log("warning", "cannot restore the VF's attributes", { device: pci, error: String(error) });
    return undefined;
  }
}
