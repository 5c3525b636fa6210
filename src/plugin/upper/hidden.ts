// DEL and GC: the pod's namespace has neither a name nor a process, and nobody has a number for it, but a file or a socket of some process may keep it. A
// macvlan in it, and its address, are in use then. No request lists it, but its master shows it: it receives the macvlan's MAC address, and more
// interfaces are up on it than can be seen. An ipvlan interface has its master's address, so that nobody can tell one from another.
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
 * GC, with a lease to release: throws when podnic may not look at every process, and more interfaces are up on the master than it sees. One may be that
 * of a Go plugin, for which the host has no number. Where every process is seen, the sum alone is not enough: other drivers join groups, too.
 */
export function requireAllSeen(call: Call<UpperConfig>): void {
  const { processesOfMachine, denied } = seeNamespaces();
  const isBlind = !processesOfMachine || denied > 0;
  const master = !isBlind || call.config.linkInContainer === true ? undefined : masterOf(call);
  if (master === undefined || countUnseen(master) <= 0) return;
  if (waitForTeardown(() => (countUnseen(master) > 0 ? undefined : true)) !== true) throw notSeen(master);
}

/** The same, less those in the namespaces that the host has a number for. */
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
 * Both must hold. One that can be seen and has the address is a pod that was started again with its fixed address. And an operator, or a pod with an
 * interface on the same master, can have an address received that nobody has.
 */
function isHidden(master: Master, mac: string): boolean {
  let isSeen = false;
  const hidden = countHidden(master, (links) => {
    isSeen ||= links.some((link) => link.mac === mac);
  });
  return hidden > 0 && !isSeen;
}

/** How many interfaces on the master are up beside those that podnic sees. `see` gets the links of each namespace. */
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
