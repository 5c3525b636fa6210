// Interfaces in other namespaces on top of a device of this namespace: the macvlan and ipvlan interfaces of running pods. No request lists
// them here; they are listed only in their own namespaces. But each interface that is up makes the device receive the multicast groups that it
// has joined, and the kernel counts the members.
import { O_CLOEXEC, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { findBeside } from "./beside.ts";
import { IFF_UP, type Link, listLinks } from "./link.ts";
import { isMadeOn } from "./master.ts";
import type { NetNs } from "./namespace.ts";

/** 224.0.0.1 on Ethernet: every interface with IPv4 joins it while it is up. */
const ALL_HOSTS = "01005e000001";
/** Kinds that are made on a device and may be moved away from it. */
const UPPERS = ["macvlan", "macvtap", "ipvlan", "ipvtap"];
const CHUNK = 16 * 1024;
/** Of a node with some ten thousand interfaces. */
const LIMIT = 4 * 1024 * 1024;

/**
 * Says which interface of another namespace stands on `link` and is up, in words; undefined: none. Of a device that is down there is nothing
 * that runs. `netnsPath`: a pod's namespace; those of the others are looked for beside it.
 */
export function othersOn(namespace: NetNs, link: Link, netnsPath: string): string | undefined {
  if ((link.flags & IFF_UP) === 0) return undefined;
  const users = usersOfGroups(link.index);
  const all = users.get(ALL_HOSTS) ?? 0;
  if (all <= 1) return undefined;
  const links = listLinks(namespace.route);
  const here = links.filter(({ parent, linkNetnsid, kind, flags }) => {
    const stands = parent === link.index && linkNetnsid === undefined && kind !== "veth";
    return stands && (flags & IFF_UP) !== 0;
  });
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

/** How often each group was asked for on an interface. Columns of the file: index, name, users, global users, group. */
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
  // "%-4d %-15s %-5d": of fixed width.
  const nameEnd = Math.max(start.length, 5) + 15;
  while (text.startsWith(start, at)) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end);
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
