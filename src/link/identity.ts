// Identifies a device. Only this file decides whether two observations are of the same device. A similarity proves nothing: anybody can choose
// a name, an alias, a MAC or an index, and an index of one namespace means nothing in another one.
//
// Hardware is where it is plugged in: the address of its function on the bus, and, of a function with several ports, the port (its permanent
// address, its port's name). That outlives a driver's rebind, which makes a new interface.
// A virtual device is known by the kernel's own number for it, the inode of its directory in sysfs: it stays when the device is renamed or
// moved, no other device gets it before the next boot, and nobody can choose it. We call it the mark. A veth in a pod is known by the mark of its
// other end, when that is on the host: they are a pair until both are deleted, and to read it no sysfs has to be mounted.
// Without a mark (Linux before 5.2, a record of an older version) what the kernel lets only one device have must do: the number and the parent
// of a VLAN, the peer of a veth, a passthru macvlan's parent. A dummy has nothing of the kind. Then the answer is "unclear", and an error.
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../host/constants.ts";
import { AT_FDCWD, type Fd, host, SystemError } from "../host/host.ts";
import { isNumberOf } from "../netlink/nsid.ts";
import { busAddress, pciLink } from "../sysfs/device.ts";
import { getLink, IFF_LOOPBACK, type Link, listLinks } from "./link.ts";
import { nameOf } from "./name.ts";
import type { NetNs } from "./namespace.ts";
import { type LinkSnapshot, snapshotOnHost } from "./snapshot.ts";

/** A namespace to look for devices in. */
export interface View {
  /** It is the host's, the same one that the snapshot was taken in: indices mean the same. */
  readonly isHome: boolean;
  link(which: number | string): Link | undefined;
  links(): Link[];
  /** The link with this mark; these names are looked at first. "unknown": marks cannot be had here. */
  marked(mark: number, names: string[]): Link | undefined | "unknown";
  /** undefined: it cannot be had. */
  mark(link: Link): number | undefined;
  /** Of the link of the host with this index. undefined: there is none, or it cannot be had without a mount. */
  markAtHome(index: number): number | undefined;
  /** Address on the bus, or "". */
  place(link: Link): string;
  /** What the link is made on, or its peer, is in the namespace that the snapshot was taken in. */
  isMadeAtHome(link: Link): boolean;
  /** The function at this address is one that its PF gives addresses to. */
  isVirtualFunction(place: string): boolean;
}

export type Verdict = "same" | "other" | "unclear";

/** A device of hardware: it outlives a network namespace (the kernel takes it to the initial one), a virtual device does not. */
export function isPhysical({ kind, parentDevice }: Pick<LinkSnapshot, "kind" | "parentDevice">): boolean {
  return kind === "" || parentDevice !== "";
}

/** Whether `link`, seen in `view`, is the device of the snapshot. `ifName` is what the pod was told to call it. */
export function judge(view: View, link: Link, saved: LinkSnapshot, ifName = ""): Verdict {
  if (link.kind !== saved.kind || (link.flags & IFF_LOOPBACK) !== 0) return "other";
  return isPhysical(saved) ? judgeHardware(view, link, saved, ifName) : judgeVirtual(view, link, saved, ifName);
}

function judgeHardware(view: View, link: Link, saved: LinkSnapshot, ifName: string): Verdict {
  const place = view.place(link);
  // Records of older versions have the number of a virtio device, which may be another's by now.
  const recorded = saved.parentDevice.startsWith("virtio") ? "" : saved.parentDevice;
  const samePort = link.permanentMac === saved.permanentMac;
  if (recorded !== "" && place !== "") {
    if (place !== recorded || (link.portName ?? "") !== (saved.portName ?? link.portName ?? "")) return "other";
    if (samePort || saved.permanentMac === "" || view.isVirtualFunction(place)) return "same";
    // Another port of the function, or its only one with a new address (a rebind after the card was set up anew).
    return resembles(link, saved, ifName) ? "unclear" : "other";
  }
  if (saved.permanentMac !== "") return samePort ? "same" : "other";
  return resembles(link, saved, ifName) ? "unclear" : "other";
}

const MACVLAN_MODE_PASSTHRU = 8;

function judgeVirtual(view: View, link: Link, saved: LinkSnapshot, ifName: string): Verdict {
  if (link.parentDevice !== "") return "other";
  const mark = saved.mark === undefined ? undefined : view.mark(link);
  if (mark !== undefined) return mark === saved.mark ? "same" : "other";
  // The kernel never changes these.
  if (link.vlan?.id !== (saved.vlan ?? link.vlan)?.id || link.vlan?.protocol !== (saved.vlan ?? link.vlan)?.protocol)
    return "other";
  if (saved.parentOnHost === true) {
    // The other end of a veth, or the device below, can be moved as well. What has left the host cannot be compared.
    if (!view.isMadeAtHome(link)) return resembles(link, saved, ifName) ? "unclear" : "other";
    if (link.parent !== saved.parent) return "other";
    const unique = saved.vlan !== undefined || link.kind === "veth";
    if (unique || (link.kind === "macvlan" && saved.mode === MACVLAN_MODE_PASSTHRU)) return "same";
  }
  // In one namespace an index is given once, unless somebody there asks for it.
  if (view.isHome && link.index === saved.index) return "same";
  return resembles(link, saved, ifName) ? "unclear" : "other";
}

/** Nothing that proves anything, and enough to ask. */
function resembles(link: Link, saved: LinkSnapshot, ifName: string): boolean {
  if (link.name === saved.name || link.name === ifName) return true;
  return (link.alias !== "" && link.alias === saved.name) || (link.mac !== "" && link.mac === saved.mac);
}

/** What a search found: the device; or the first link of which we cannot tell. */
export type Found = { link: Link; unclear?: undefined } | { unclear: Link; link?: undefined } | undefined;

/** The device of the snapshot in a namespace. Where it should be is asked first: one request instead of a dump. */
export function findDevice(view: View, saved: LinkSnapshot, ifName: string): Found {
  if (saved.mark !== undefined && !isPhysical(saved)) {
    const link = pairedWith(view, saved, ifName) ?? view.marked(saved.mark, [ifName, saved.name]);
    if (link !== "unknown") return link === undefined ? undefined : { link };
  }
  // sriov-cni records no index.
  for (const which of view.isHome ? [saved.index, saved.name, ifName] : [ifName]) {
    const link = which === "" || which === 0 ? undefined : view.link(which);
    if (link !== undefined && judge(view, link, saved, ifName) === "same") return { link };
  }
  let unclear: Link | undefined;
  for (const link of view.links()) {
    const verdict = judge(view, link, saved, ifName);
    if (verdict === "same") return { link };
    if (verdict === "unclear") unclear ??= link;
  }
  return unclear === undefined ? undefined : { unclear };
}

/** The link of this name in a pod, if it is the veth whose other end is on the host, where it was. */
function pairedWith(view: View, { kind, parent, peerMark }: LinkSnapshot, name: string): Link | undefined {
  if (peerMark === undefined || view.isHome || view.markAtHome(parent) !== peerMark) return undefined;
  const link = view.link(name);
  return link?.kind === kind && link.parent === parent && view.isMadeAtHome(link) ? link : undefined;
}

/** The device of the snapshot, when it is certainly this one. */
export function isSameDevice(view: View, link: Link, saved: LinkSnapshot, ifName = ""): boolean {
  return judge(view, link, saved, ifName) === "same";
}

/**
 * A device of the host that is about to leave it, with all that it will be known by. The mark is what /sys says, when it has the device: to
 * mount a sysfs costs three times as much, and waits when it is let go of. But /sys may be that of another namespace, with a device that has
 * the name and the index of ours: `confirm` tells, after the move.
 */
export function identify(home: NetNs, link: Link): LinkSnapshot {
  const shown = isPhysical(link) ? undefined : openShown(link);
  try {
    const saved = snapshotOnHost(home.route, link, shown?.directory);
    const seen = withIdentity(home, link, saved, (one) => shown?.mark ?? markOf(home, one));
    const peer = seen.kind === "veth" && seen.parentOnHost === true ? markAtHome(home, seen.parent) : undefined;
    if (shown !== undefined && peer !== undefined) seen.peerMark = peer;
    return seen;
  } finally {
    if (shown !== undefined) host.close(shown.directory);
  }
}

/**
 * The snapshot of identify, of a device that is in `there` by now; another one when /sys was wrong. What /sys still has did not move, and the settings
 * of its queues are another device's.
 */
export function confirm(saved: LinkSnapshot, there: NetNs, link: Link): LinkSnapshot {
  if (saved.mark === undefined || markShown(saved.name) !== saved.mark) return saved;
  const { mark: _, peerMark: __, ...rest } = saved;
  if (rest.settings !== undefined) {
    const { queues: ___, ...settings } = rest.settings;
    rest.settings = settings;
  }
  const mark = markOf(there, link);
  return mark === undefined ? rest : { ...rest, mark };
}

/** Adds to the snapshot what the device will be known by. */
export function withIdentity(
  home: NetNs,
  link: Link,
  saved: LinkSnapshot,
  find = (one: Link) => markOf(home, one),
): LinkSnapshot {
  if (link.portName !== undefined) saved.portName = link.portName;
  if (isPhysical(saved)) return saved;
  if (link.vlan !== undefined) saved.vlan = link.vlan;
  if (link.mode !== undefined) saved.mode = link.mode;
  saved.parentOnHost = link.parent !== 0 && link.linkNetnsid === undefined;
  const mark = find(link);
  if (mark !== undefined) saved.mark = mark;
  return saved;
}

/** A view through the kernel. `home`: the namespace that the snapshots were taken in, when it still is (the host's). */
export function viewOf(namespace: NetNs, home: NetNs | undefined): View {
  return new KernelView(namespace, home);
}

class KernelView implements View {
  readonly isHome: boolean;
  readonly #namespace: NetNs;
  readonly #home: NetNs | undefined;

  constructor(namespace: NetNs, home: NetNs | undefined) {
    this.isHome = home !== undefined && namespace.ino === home.ino && namespace.dev === home.dev;
    this.#namespace = namespace;
    this.#home = home;
  }

  link(which: number | string): Link | undefined {
    return getLink(this.#namespace.route, which);
  }

  links(): Link[] {
    return listLinks(this.#namespace.route);
  }

  marked(mark: number, names: string[]): Link | undefined | "unknown" {
    return findMarked(this.#namespace, mark, names);
  }

  mark(link: Link): number | undefined {
    return markOf(this.#namespace, link);
  }

  markAtHome(index: number): number | undefined {
    return this.#home && markAtHome(this.#home, index);
  }

  place(link: Link): string {
    return placeIn(this.#namespace, link);
  }

  isMadeAtHome({ parent, linkNetnsid }: Link): boolean {
    if (this.isHome) return parent !== 0 && linkNetnsid === undefined;
    return this.#home !== undefined && isNumberOf(this.#namespace.route, linkNetnsid, this.#home.fd);
  }

  isVirtualFunction(place: string): boolean {
    return pciLink(place, "physfn") !== undefined;
  }
}

/** The same, of this moment: it answers from what it has looked up, also when the namespace is closed or gone. */
export function viewAtOnce(view: View): View {
  const links = view.links();
  const facts = new Map(
    links.map((link) => [
      link.index,
      { mark: isPhysical(link) ? undefined : view.mark(link), place: view.place(link), home: view.isMadeAtHome(link) },
    ]),
  );
  return {
    isHome: view.isHome,
    markAtHome: (index) => view.markAtHome(index),
    isVirtualFunction: (place) => view.isVirtualFunction(place),
    link: (which) => links.find(({ index, name, altnames }) => [index, name, ...altnames].includes(which)),
    links: () => links,
    marked: (mark) => links.find(({ index }) => facts.get(index)?.mark === mark),
    mark: ({ index }) => facts.get(index)?.mark,
    place: ({ index }) => facts.get(index)?.place ?? "",
    isMadeAtHome: ({ index }) => facts.get(index)?.home ?? false,
  };
}

/** A kernel before 5.14 does not say it of the link. */
function placeIn(namespace: NetNs, { name, kind, parentDevice }: Link): string {
  if (parentDevice !== "") return busAddress(parentDevice);
  const sysfs = kind === "" ? namespace.sysfs : undefined;
  if (sysfs === undefined) return "";
  const target = quietly(() => host.readlink(`class/net/${name}/device`, sysfs)) ?? "";
  return busAddress(target.slice(target.lastIndexOf("/") + 1));
}

/** The directory in /sys of a device of the host, with the mark that it has there. undefined: /sys does not show the device. */
function openShown({ name, index }: Link): { directory: Fd; mark: number } | undefined {
  return orNone(() => {
    const directory = openIn(AT_FDCWD, name, "/sys/");
    if (directory === undefined) return undefined;
    let seen: Seen | undefined;
    try {
      seen = seenIn(directory);
    } finally {
      if (seen?.index !== index) host.close(directory);
    }
    return seen?.index === index ? { directory, mark: seen.mark } : undefined;
  });
}

/** See View. */
function markAtHome(home: NetNs, index: number): number | undefined {
  const name = nameOf(home.route, index);
  return name === undefined ? undefined : orNone(() => host.stat(`/sys/${VIRTUAL}${name}`).ino);
}

/** Of the device that has the name there. */
function markShown(name: string): number | undefined {
  return orNone(() => host.stat(`/sys/${ALL}${name}`).ino);
}

/** undefined also without a /sys that may be read. */
function orNone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** undefined: no sysfs shows it, or the link is gone. */
function markOf({ sysfs, route }: NetNs, { name, index }: Link): number | undefined {
  if (sysfs === undefined) return undefined;
  for (let looks = 0, now: string | undefined = name; now !== undefined; looks++) {
    const seen = look(sysfs, now);
    if (seen?.index === index) return seen.mark;
    if (looks === LOOKS) throw unreadable(now);
    // Renamed since we were told.
    now = getLink(route, index)?.name;
  }
  return undefined;
}

function findMarked(namespace: NetNs, mark: number, names: string[]): Link | undefined | "unknown" {
  const { sysfs, route } = namespace;
  if (sysfs === undefined) return "unknown";
  for (const name of names) {
    const link = linkWithMark(sysfs, route, name, mark);
    if (link !== undefined) return link;
  }
  const all = new Set(allNames(sysfs));
  const others = new Set<number>();
  for (const name of all) {
    const found = quietly(() => host.stat(ALL + name, true, sysfs))?.ino;
    const link = found === mark ? linkWithMark(sysfs, route, name, mark) : undefined;
    if (link !== undefined) return link;
    if (found !== undefined && found !== mark) others.add(found);
  }
  // Each name was another link's, and there is no new one: none was renamed meanwhile.
  if (others.size === all.size && allNames(sysfs).every((name) => all.has(name))) return undefined;
  // By their numbers, which no name changes: a pod that renames its own links all the time must not hold up others.
  return listLinks(route).find((link) => markOf(namespace, link) === mark);
}

/** How often what was renamed meanwhile is looked for again. */
const LOOKS = 5;

/** That it cannot be looked at does not mean that it is another. */
function unreadable(name: string): Failure {
  return new Failure(
    "try again",
    `cannot tell which device "${name}" is: sysfs does not show it under this name`,
    "A process might be renaming interfaces in its network namespace. Nothing was released.",
  );
}

/** By its index, which its own directory says: between two looks a pod may give the name to another link. */
function linkWithMark(sysfs: Fd, route: NetNs["route"], name: string, mark: number): Link | undefined {
  const seen = name === "" ? undefined : look(sysfs, name);
  return seen?.mark === mark ? getLink(route, seen.index) : undefined;
}

const ALL = "class/net/";
/** Where devices are that have no parent: the way through links costs twice as much in a sysfs that nobody has looked into. */
const VIRTUAL = "devices/virtual/net/";

/** Both of the directory that was opened, whatever is renamed meanwhile. */
interface Seen {
  mark: number;
  index: number;
}

/** Of the device of this name. undefined: there is none, or it is going. */
function look(sysfs: Fd, name: string): Seen | undefined {
  const directory = openIn(sysfs, name);
  if (directory === undefined) return undefined;
  try {
    return seenIn(directory);
  } finally {
    host.close(directory);
  }
}

function openIn(sysfs: Fd, name: string, root = ""): Fd | undefined {
  const open = (below: string): Fd | undefined =>
    quietly(() => host.open(root + below + name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, sysfs));
  return open(VIRTUAL) ?? open(ALL);
}

function seenIn(directory: Fd): Seen | undefined {
  const file = quietly(() => host.open("ifindex", O_RDONLY | O_CLOEXEC, 0, directory));
  if (file === undefined) return undefined;
  try {
    const index = quietly(() => Number(host.decode(host.read(file, 32))));
    return index === undefined ? undefined : { mark: host.fstat(directory).ino, index };
  } finally {
    host.close(file);
  }
}

function allNames(sysfs: Fd): string[] {
  const directory = host.open(ALL, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, sysfs);
  try {
    return host.readdir(directory);
  } finally {
    host.close(directory);
  }
}

/** undefined: the device is gone, or has another name by now. */
function quietly<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof SystemError && ["ENOENT", "ENOTDIR", "ENODEV", "EINVAL"].includes(error.code))
      return undefined;
    throw error;
  }
}
