// The part of CHECK that is the same for all plugins.
import type { Call } from "../cni/plugin.ts";
import { Failure, shellWord } from "../errors.ts";
import { changedSinceAdd, checkInterface } from "../link/check.ts";
import { IFF_UP, type Link } from "../link/link.ts";
import type { NetNs } from "../link/namespace.ts";
import type { OwnInterface } from "./interface.ts";
import { isMtuTuned } from "./tuned.ts";

/** The error of CHECK for a difference. */
export function checkFailure(message: string, details = changedSinceAdd): Failure {
  return new Failure("failed", message, details);
}

/** Throws Failure unless a device of the host is in the pod as ADD left it: MTU, up, addresses and routes. */
export function checkUnchanged({ attachment }: Call, pod: NetNs, link: Link, own: OwnInterface): void {
  const { ifName } = attachment;
  const { mtu } = own.interface;
  if (mtu !== undefined && mtu !== link.mtu && !isMtuTuned(attachment)) {
    const details = "Something in the pod changed the MTU.";
    throw checkFailure(`interface ${ifName} has MTU ${link.mtu}, but prevResult says ${mtu}`, details);
  }
  if ((link.flags & IFF_UP) === 0) {
    throw checkFailure(`interface ${ifName} is down`, `Run \`ip link set ${shellWord(ifName)} up\` in the pod.`);
  }
  checkInterface(pod, link.index, ifName, own);
}
