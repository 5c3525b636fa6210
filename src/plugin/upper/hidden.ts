// DEL: the pod's namespace has neither a name nor a process, and nobody has a number for it, but a file or a socket of some process may keep it. A
// macvlan in it, and its address, are in use then. No request lists it, but its master shows it: it receives the macvlan's MAC address, and more
// interfaces are up on it than can be seen. An ipvlan interface has its master's address, so that nobody can tell one from another.
import type { Call } from "../../cni/plugin.ts";
import { Failure, shellWord } from "../../errors.ts";
import { hasUnicastAddress } from "../../link/bridge.ts";
import { IFF_UP, listLinks } from "../../link/link.ts";
import { findMaster, isMadeOn, type Master, UPPERS } from "../../link/master.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { countUppers } from "../../link/uppers.ts";
import { lookOrDoubt, seeNamespaces } from "../../link/visible.ts";
import { waitForTeardown } from "../lent/wait.ts";
import { macGiven } from "../results.ts";
import type { UpperConfig } from "./kind.ts";

/** Each of these that is up joins the groups of its master. */
const COUNTED = [...UPPERS, "vlan"];

/** Throws when the macvlan that the ADD made is certainly somewhere, after it was found nowhere. */
export function requireGone(call: Call<UpperConfig>): void {
  const mac = macGiven(call);
  const master = mac === undefined || call.config.linkInContainer === true ? undefined : masterOf(call);
  if (mac === undefined || master === undefined) return;
  const isReceived = (): boolean => hasUnicastAddress(master.namespace.route, master.link.index, mac);
  if (!isReceived() || !isHidden(master, mac)) return;
  // A namespace that has just ended.
  if (waitForTeardown(() => (isReceived() ? undefined : true)) === true || !isHidden(master, mac)) return;
  throw stillThere(call, master, mac);
}

function masterOf({ config }: Call<UpperConfig>): Master | undefined {
  try {
    return findMaster(ownNamespace(), config.master ?? "");
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return undefined;
  }
}

/**
 * Both must hold. One that can be seen and has the address is a pod that was started again with its fixed address. And an operator, or a pod with an
 * interface on the same master, can have an address received that nobody has.
 */
function isHidden(master: Master, mac: string): boolean {
  let hidden = countUppers(master.link);
  let isSeen = false;
  for (const { path } of hidden > 0 ? seeNamespaces().namespaces : []) {
    lookOrDoubt(path, (from) => {
      for (const link of listLinks(from.route)) {
        isSeen ||= link.mac === mac;
        const isCounted = COUNTED.includes(link.kind) && (link.flags & IFF_UP) !== 0;
        if (isCounted && isMadeOn(link, master, from)) hidden--;
      }
    });
  }
  return hidden > 0 && !isSeen;
}

function stillThere({ attachment }: Call, { link }: Master, mac: string): Failure {
  return new Failure(
    "try again",
    `macvlan "${attachment.ifName}" (${mac}) still exists, but podnic cannot find its network namespace`,
    `Master "${link.name}" still receives frames for it. A process probably holds the namespace open. The address was not released. DEL succeeds when the namespace is deleted. To release the address in any case, run: bridge fdb del ${mac} dev ${shellWord(link.name)} self`,
  );
}
