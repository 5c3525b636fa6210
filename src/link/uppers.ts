// Interfaces on top of a device of this namespace that the node or other pods use. No request lists those of other namespaces (the macvlan and
// ipvlan interfaces of running pods) here; they are listed only in their own namespaces. But each interface that is up makes the device receive
// the multicast groups that it has joined, and the kernel counts the members.
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { RT_SCOPE_UNIVERSE } from "../netlink/constants.ts";
import { listAddresses } from "./address.ts";
import { findBeside, findByNumber } from "./beside.ts";
import { IFF_UP, isPair, type Link, listLinks } from "./link.ts";
import { isMadeOn, UPPERS } from "./master.ts";
import type { NetNs } from "./namespace.ts";

/** 224.0.0.1 on Ethernet: every interface with IPv4 joins it while it is up. */
const ALL_HOSTS = "01005e000001";
const CHUNK = 16 * 1024;
/** Of a node with some ten thousand interfaces. */
const LIMIT = 4 * 1024 * 1024;

/**
 * Says which other interface would lose its connection without `link`, in words: one of another namespace that stands on it, or on what stands on
 * it here, and is up; or one of this namespace that is in use (inUse). undefined: none. `netnsPath`: a pod's namespace; those of the others are
 * looked for beside it. `isShared`: the device stays, for a macvlan in passthru mode; the kernel refuses that beside another macvlan or ipvlan, and says
 * so better.
 */
export function othersOn(namespace: NetNs, link: Link, netnsPath: string, isShared = false): string | undefined {
  // Nothing that stands on it runs.
  if ((link.flags & IFF_UP) === 0) return undefined;
  const users = usersOfGroups(link.index);
  // Nobody but the device itself has asked for the group that all are in.
  if ((users.get(ALL_HOSTS) ?? 0) <= 1) return undefined;
  const links = listLinks(namespace.route);
  const on = byParent(links);
  const above = allAbove(link, on);
  const used = inUse(namespace, above, links);
  if (used !== undefined) return used;
  const groups = new Map(above.length === 0 ? [] : groupsOf(above)).set(link.index, users);
  const doubtful = new Map<number, Link>();
  for (const one of [link, ...above]) {
    const isKept = isShared && one === link;
    const is = countElsewhere(groups.get(one.index)!, on.get(one.index)?.length ?? 0, isKept);
    if (is === "certain") return "an interface in another namespace";
    if (is === "doubtful") doubtful.set(one.index, one);
  }
  const isOn = (each: Link, one: Link): boolean => !(isShared && one === link && UPPERS.includes(each.kind));
  return doubtful.size === 0 ? undefined : elsewhere(namespace, doubtful, netnsPath, isOn);
}

/** How often each group was asked for on an interface. */
type Users = Map<string, number>;
/** What is up and stands on a device, by the device's index. */
type Standing = ReadonlyMap<number, Link[]>;

/** Whether one of another namespace stands on a device and is up. `here`: how many of this one do. */
function countElsewhere(users: Users, here: number, isKept: boolean): "certain" | "doubtful" | "none" {
  const all = users.get(ALL_HOSTS) ?? 0;
  // The device asks once, some drivers and all kinds that stand on another device once more, for every group. The group of fewest is one of
  // the device's own or of a single interface on it.
  if (!isKept && all > fewest(users) + here) return "certain";
  // An ipvlan interface may be in all groups of its master, and a macvlan in passthru mode or a VLAN, which have its address, in just those that
  // the master is in itself: no number stands out.
  return all > 1 + here ? "doubtful" : "none";
}

/** One of another namespace that stands on one of `below` itself and is up. One search for all: every VLAN that is up counts itself twice. */
function elsewhere(
  namespace: NetNs,
  below: ReadonlyMap<number, Link>,
  netnsPath: string,
  isOn: (each: Link, one: Link) => boolean,
): string | undefined {
  const all = [...below.values()];
  // Of a macvlan, its own device: see isMadeOn.
  const parents = new Set(all.flatMap(({ index, parent }) => (parent === 0 ? [index] : [index, parent])));
  const find = (pod: NetNs): Link | undefined =>
    listLinks(pod.route).find(
      (each) =>
        parents.has(each.parent) &&
        isUpper(each) &&
        all.some((link) => isOn(each, link) && isMadeOn(each, { link, namespace }, pod)),
    );
  const leads = (each: Link): boolean => {
    const one = below.get(each.parent);
    return one !== undefined && isUpper(each) && isOn(each, one);
  };
  const found = findBeside(netnsPath, find) ?? findByNumber(namespace, leads);
  return found && `${found.link.kind} ${found.link.name} in ${found.where}`;
}

/** Of a pair, the device below is the other end. */
function isUpper(link: Link): boolean {
  return !isPair(link) && (link.flags & IFF_UP) !== 0;
}

/** How many interfaces on a device are up, in whichever namespace, as far as the kernel's count makes that certain (see othersOn). */
export function countUppers({ index, flags }: Link): number {
  const users = usersOfGroups(index);
  const all = users.get(ALL_HOSTS) ?? 0;
  if ((flags & IFF_UP) === 0) return all;
  users.delete(ALL_HOSTS);
  // Without another group to compare with (no IPv6), the device counts for two, as some do (see elsewhere).
  return all - (users.size === 0 ? 2 : fewest(users));
}

/** Not Math.min(...): QuickJS passes 65,534 arguments at most, and a pod with a macvlan can join more groups on its master. */
function fewest(users: Users): number {
  let count = Number.POSITIVE_INFINITY;
  for (const each of users.values()) count = Math.min(count, each);
  return count;
}

function byParent(links: Link[]): Standing {
  const on = new Map<number, Link[]>();
  for (const each of links) {
    if (each.parent === 0 || each.linkNetnsid !== undefined || !isUpper(each)) continue;
    const beside = on.get(each.parent);
    if (beside === undefined) on.set(each.parent, [each]);
    else beside.push(each);
  }
  return on;
}

/** What is up and stands on a device, or on what does: each once: two tunnels may stand on each other. */
function allAbove({ index }: Link, on: Standing): Link[] {
  const above = [...(on.get(index) ?? [])];
  const seen = new Set([index, ...above.map((each) => each.index)]);
  // Those that stand on these are added while the loop goes on.
  for (const upper of above) {
    for (const next of on.get(upper.index) ?? []) {
      if (!seen.has(next.index)) above.push(next);
      seen.add(next.index);
    }
  }
  return above;
}

/**
 * A port (KubeVirt's and OpenStack's bridges have VLANs of a card as ports), an interface that has an address of the node, or one of a kind that is
 * made to receive for somebody: a virtual machine (macvtap), or a program that gives it an address when it has to (a VRRP router that is waiting).
 */
function inUse({ route }: NetNs, above: Link[], links: Link[]): string | undefined {
  for (const upper of above) {
    const master = upper.slaveKind === "vrf" ? undefined : links.find(({ index }) => index === upper.master);
    if (master !== undefined) return `${upper.name}, a port of ${master.name}`;
    if (listAddresses(route, upper.index).some(({ scope }) => scope === RT_SCOPE_UNIVERSE))
      return `${upper.name}, which has an address of this node`;
    if (UPPERS.includes(upper.kind)) return `${upper.name}, a ${upper.kind} interface that is up`;
  }
  return undefined;
}

function usersOfGroups(index: number): Users {
  const users: Users = new Map();
  readGroups((lines) => {
    const known = users.size;
    addUsers(users, lines, `${index} `);
    // All of a device are together.
    return known > 0 && users.size === known;
  });
  return users;
}

/** The same of several, from one reading: a card may have a thousand VLANs. */
function groupsOf(links: Link[]): ReadonlyMap<number, Users> {
  const first = links[0]!.index;
  if (links.length === 1) return new Map([[first, usersOfGroups(first)]]);
  const all = new Map(links.map(({ index }) => [index, new Map<string, number>()]));
  readGroups((lines) => {
    for (const [, index, users, group] of lines.matchAll(/^([0-9]+) +[^ ]+ +([0-9]+) +[0-9]+ +([0-9a-f]+)$/gm))
      all.get(Number(index))?.set(group!, Number(users));
    return false;
  });
  return all;
}

/** Gives whole lines, until `take` has enough. Columns: index, name, users, global users, group. Names have no blanks. */
function readGroups(take: (lines: string) => boolean): void {
  let rest = "";
  let length = 0;
  const fd = openGroups();
  if (fd === undefined) return;
  try {
    for (;;) {
      const part = host.read(fd, CHUNK);
      length += part.length;
      const text = rest + host.decode(part);
      const end = part.length === 0 ? text.length : text.lastIndexOf("\n") + 1;
      if (take(text.slice(0, end)) || part.length === 0 || length > LIMIT) return;
      rest = text.slice(end);
    }
  } finally {
    host.close(fd);
  }
}

function addUsers(users: Users, text: string, start: string): void {
  let at = text.startsWith(start) ? 0 : text.indexOf(`\n${start}`) + 1;
  if (at === 0 && !text.startsWith(start)) return;
  while (text.startsWith(start, at)) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end);
    const nameEnd = line.indexOf(" ", Math.max(start.length, 5));
    users.set(line.slice(line.lastIndexOf(" ") + 1), Number.parseInt(line.slice(nameEnd), 10));
    if (end < 0) return;
    at = end + 1;
  }
}

function openGroups(): number | undefined {
  try {
    return host.open("/proc/net/dev_mcast", O_RDONLY | O_CLOEXEC);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return undefined;
    throw error;
  }
}
