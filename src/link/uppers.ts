// Interfaces on top of a device of this namespace that the node or other pods use. No request lists those of other namespaces (the macvlan and
// ipvlan interfaces of running pods) here; they are listed only in their own namespaces. But each interface that is up makes the device receive
// the multicast groups that it has joined, and the kernel counts the members.
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { RT_SCOPE_UNIVERSE } from "../netlink/constants.ts";
import { listAddresses } from "./address.ts";
import { findBeside } from "./beside.ts";
import { IFF_UP, type Link, listLinks } from "./link.ts";
import { isMadeOn, UPPERS } from "./master.ts";
import type { NetNs } from "./namespace.ts";

/** 224.0.0.1 on Ethernet: every interface with IPv4 joins it while it is up. */
const ALL_HOSTS = "01005e000001";
const CHUNK = 16 * 1024;
/** Of a node with some ten thousand interfaces. */
const LIMIT = 4 * 1024 * 1024;

/** What stands on a device, as far as this namespace shows it. */
interface Uppers {
  /** Index of the device. */
  device: number;
  /** How often each multicast group was asked for on the device. */
  users: Map<string, number>;
  /** Interfaces of this namespace that stand on the device and are up. */
  here: Link[];
  links: Link[];
}

/**
 * Says which other interface would lose its connection without `link`, in words: one of another namespace that stands on it and is up, or one
 * of this namespace that is in use (inUse). undefined: none. `netnsPath`: a pod's namespace; those of the others are looked for beside it.
 */
export function othersOn(namespace: NetNs, link: Link, netnsPath: string): string | undefined {
  const uppers = uppersOn(namespace, link);
  if (uppers === undefined) return undefined;
  const { users, here } = uppers;
  const used = inUse(namespace, uppers);
  if (used !== undefined) return used;
  const all = users.get(ALL_HOSTS) ?? 0;
  // The device asks once, some drivers and all kinds that stand on another device once more, for every group. The group of fewest is one of
  // the device's own or of a single interface on it.
  if (all > Math.min(...users.values()) + here.length) return "an interface in another namespace (macvlan or ipvlan)";
  // An ipvlan interface may be in all groups of its master, and a macvlan in passthru mode, which has its address, in just those that the
  // master is in itself: no number stands out.
  const find = (pod: NetNs): Link | undefined =>
    listLinks(pod.route).find((each) => UPPERS.includes(each.kind) && isMadeOn(each, { link, namespace }, pod));
  const found = all > 1 + here.length ? findBeside(netnsPath, find) : undefined;
  return found && `${found.link.kind} ${found.link.name} in ${found.where}`;
}

/** The same for this namespace alone: for a pod that gets to read and write the frames of `link`, while what stands on it stays. */
export function usedOn(namespace: NetNs, link: Link): string | undefined {
  const uppers = uppersOn(namespace, link);
  return uppers && inUse(namespace, uppers);
}

/** How many interfaces on a device are up, in whichever namespace, as far as the kernel's count makes that certain (see othersOn). */
export function countUppers({ index, flags }: Link): number {
  const users = usersOfGroups(index);
  const all = users.get(ALL_HOSTS) ?? 0;
  if ((flags & IFF_UP) === 0) return all;
  users.delete(ALL_HOSTS);
  return all - (users.size === 0 ? 1 : Math.min(...users.values()));
}

/** undefined: the device is down, so nothing that stands on it runs; or nobody but the device itself has asked for the group that all are in. */
function uppersOn({ route }: NetNs, link: Link): Uppers | undefined {
  if ((link.flags & IFF_UP) === 0) return undefined;
  const users = usersOfGroups(link.index);
  if ((users.get(ALL_HOSTS) ?? 0) <= 1) return undefined;
  const links = listLinks(route);
  return { device: link.index, users, here: standingOn(link, links), links };
}

function standingOn({ index }: Link, links: Link[]): Link[] {
  return links.filter(({ parent, linkNetnsid, kind, flags }) => {
    const stands = parent === index && linkNetnsid === undefined && kind !== "veth";
    return stands && (flags & IFF_UP) !== 0;
  });
}

/** A port (KubeVirt's and OpenStack's bridges have VLANs of a card as ports), or an interface that has an address of the node. */
function inUse({ route }: NetNs, { device, here, links }: Uppers): string | undefined {
  const above = [...here];
  // Those that stand on these are added while the loop goes on, each once: the ends of a pair that is no veth stand on each other.
  const seen = new Set([device, ...above.map(({ index }) => index)]);
  for (const upper of above) {
    const master = upper.slaveKind === "vrf" ? undefined : links.find(({ index }) => index === upper.master);
    if (master !== undefined) return `${upper.name}, a port of ${master.name}`;
    if (listAddresses(route, upper.index).some(({ scope }) => scope === RT_SCOPE_UNIVERSE))
      return `${upper.name}, which has an address of this node`;
    for (const next of standingOn(upper, links)) {
      if (!seen.has(next.index)) above.push(next);
      seen.add(next.index);
    }
  }
  return undefined;
}

/** How often each group was asked for on an interface. Columns of the file: index, name, users, global users, group. Names have no blanks. */
function usersOfGroups(index: number): Map<string, number> {
  const users = new Map<string, number>();
  const start = `${index} `;
  let rest = "";
  let length = 0;
  const fd = openGroups();
  if (fd === undefined) return users;
  try {
    for (;;) {
      const part = host.read(fd, CHUNK);
      length += part.length;
      const text = rest + host.decode(part);
      const end = part.length === 0 ? text.length : text.lastIndexOf("\n") + 1;
      const known = users.size;
      addUsers(users, text.slice(0, end), start);
      // All of a device are together.
      if (part.length === 0 || length > LIMIT || (known > 0 && users.size === known)) return users;
      rest = text.slice(end);
    }
  } finally {
    host.close(fd);
  }
}

function addUsers(users: Map<string, number>, text: string, start: string): void {
  let at = text.startsWith(start) ? 0 : text.indexOf(`\n${start}`) + 1;
  if (at === 0 && !text.startsWith(start)) return;
  while (text.startsWith(start, at)) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end);
    const [group = "", , count] = line.split(/ +/).reverse();
    users.set(group, Number(count));
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
