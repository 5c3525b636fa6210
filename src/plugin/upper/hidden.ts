// DEL and GC of a macvlan in a hidden network namespace: the namespace has no name and no process, and no namespace has a number for it, but a file
// or a socket of some process may keep it. The macvlan and its address are then still in use. No request lists the macvlan, but its master shows it:
// the master receives the macvlan's MAC address, and more interfaces are up on the master than podnic can see. An ipvlan interface has its master's
// address, so podnic cannot tell one from another.
import type { Call } from "../../cni/plugin.ts";
import { Failure, shellWord } from "../../errors.ts";
import { hasUnicastAddress } from "../../link/bridge.ts";
import { IFF_UP, type Link, listLinks, listLinksQuietly } from "../../link/link.ts";
import { findMaster, isMadeOn, type Master, UPPERS } from "../../link/master.ts";
import { type NetNs, ownNamespace } from "../../link/namespace.ts";
import { countUppers } from "../../link/uppers.ts";
import { lookOrDoubt, seeNamespaces } from "../../link/visible.ts";
import { HiddenNumbers, isNumberOf } from "../../netlink/nsid.ts";
import { waitForTeardown } from "../lent/wait.ts";
import { macGiven } from "../results.ts";
import type { UpperConfig } from "./kind.ts";

/** An interface of these kinds joins the groups of its master when it is up. */
const COUNTED = [...UPPERS, "vlan"];

/** Throws Failure("try again") if the macvlan that the ADD made certainly exists somewhere, although podnic has found it nowhere. */
export function requireGone(call: Call<UpperConfig>): void {
  const mac = macGiven(call);
  const master = mac === undefined || call.config.linkInContainer === true ? undefined : masterOf(call);
  if (mac === undefined || master === undefined) return;
  const isReceived = (): boolean => hasUnicastAddress(master.namespace.route, master.link.index, mac);
  if (!isReceived() || !isHidden(master, mac)) return;
  // The namespace may have ended a moment ago.
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
 * GC, if there is a lease to release: throws Failure("try again") if podnic may not look at every process, and more interfaces are up on the master
 * than it sees. One of these may be a Go plugin's, in a namespace for which the host has no number. If podnic sees every process, the count alone
 * proves nothing, because other drivers join groups, too.
 */
export function requireAllSeen(call: Call<UpperConfig>): void {
  const { processesOfMachine, denied } = seeNamespaces();
  const isBlind = !processesOfMachine || denied > 0;
  const master = !isBlind || call.config.linkInContainer === true ? undefined : masterOf(call);
  if (master === undefined || countUnseen(master) <= 0) return;
  if (waitForTeardown(() => (countUnseen(master) > 0 ? undefined : true)) !== true) throw notSeen(master);
}

/** Like countHidden, but without the interfaces in namespaces for which the host has a number. */
function countUnseen(master: Master): number {
  const home = ownNamespace();
  const numbers = new HiddenNumbers(home.route);
  let count = countHidden(master, (_, from) => numbers.without(from.fd));
  for (const number of count > 0 ? numbers.left : []) {
    for (const link of listLinksQuietly(home.route, number))
      if (isCounted(link) && link.parent === master.link.index && isNumberOf(home.route, link.linkNetnsid, home.fd))
        count--;
  }
  return count;
}

/**
 * True if more interfaces are up on the master than podnic sees, and none of those that it sees has the address. If one has it, the pod was started
 * again with its fixed address. And the count matters because an operator, or a pod with an interface on the same master, can make the master receive
 * an address that no interface has.
 */
function isHidden(master: Master, mac: string): boolean {
  let isSeen = false;
  const hidden = countHidden(master, (links) => {
    isSeen ||= links.some((link) => link.mac === mac);
  });
  return hidden > 0 && !isSeen;
}

/** How many interfaces are up on the master, not counting those that podnic sees. `see` gets the links of each namespace. */
function countHidden(master: Master, see: (links: Link[], from: NetNs) => void): number {
  let count = countUppers(master.link);
  for (const { path } of count > 0 ? seeNamespaces().namespaces : []) {
    lookOrDoubt(path, (from) => {
      const links = listLinks(from.route);
      see(links, from);
      for (const link of links) if (isCounted(link) && isMadeOn(link, master, from)) count--;
    });
  }
  return count;
}

const isCounted = ({ kind, flags }: Link): boolean => COUNTED.includes(kind) && (flags & IFF_UP) !== 0;

function notSeen({ link }: Master): Failure {
  return new Failure(
    "try again",
    `cannot tell whether pods still have addresses: interfaces on master "${link.name}" are in network namespaces that podnic cannot find`,
    "No address was released. podnic is not allowed to look at every process of the node: give the plugin CAP_SYS_PTRACE, and a /proc without hidepid. Or use `podnic gc`.",
  );
}

function stillThere({ attachment }: Call, { link }: Master, mac: string): Failure {
  return new Failure(
    "try again",
    `macvlan "${attachment.ifName}" (${mac}) still exists, but podnic cannot find its network namespace`,
    `Master "${link.name}" still receives frames for it. A process probably holds the namespace open. The address was not released. DEL succeeds when the namespace is deleted. To release the address anyway, run: bridge fdb del ${mac} dev ${shellWord(link.name)} self`,
  );
}
