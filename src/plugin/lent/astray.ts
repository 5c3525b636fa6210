// Looks for a device that is neither in its pod nor on the host. A physical device always exists, and returns when its namespace is deleted. A
// virtual device may have been deleted, by itself or with its pod, or it may still exist: the pod moved it elsewhere, or its namespace lost
// its path but still has a process. podnic looks in each namespace that it can open. It queries the others by their number: the kernel gives
// the pod a number for each namespace to which it moves a link, and the host one for each pod. This takes time for each namespace, so it runs
// only for a device that is in neither place. A pod can also go on moving a device, so that each namespace is read while the device is in another
// one. That no namespace has it is a proof only when no device like it has moved meanwhile. See docs/decisions.md.
import { Failure } from "../../errors.ts";
import { O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { findDevice, isPhysical, viewOf } from "../../link/identity.ts";
import { getLink, type Link, listLinks, listLinksOf } from "../../link/link.ts";
import { type NetNs, openNamespace } from "../../link/namespace.ts";
import { isNamed, type NamedNamespace, search } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import {
  lookOrDoubt,
  NAME_DIRECTORIES,
  type SeenNamespace,
  seeNamespaces,
  type Seen as VisibleNamespaces,
  withThreads,
} from "../../link/visible.ts";
import { type Moved, ROUND_PAUSE, ROUNDS, Watch } from "../../link/watch.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { isNumberOf, namespaceNumber, namespaceNumbers } from "../../netlink/nsid.ts";
import { closing } from "../../state/files.ts";
import { aliasPrefix } from "../upper/own.ts";

export interface Sought {
  saved: LinkSnapshot;
  /** What it was to be called in the pod. */
  ifName: string;
  /** The pod that got it. */
  netns: NamedNamespace;
  /** The same, when it still is there. */
  pod: NetNs | undefined;
  home: NetNs;
  /** Of all devices that are on loan. */
  pods: readonly NamedNamespace[];
}

export type Fate =
  /** In another namespace. `isFromPod`: its pod can have moved it there; otherwise somebody may have given it to that one since (the Go plugin). */
  | { place: "astray"; in: NetNs; link: Link; isFromPod: boolean }
  /** There is a namespace that may have it, and that cannot be looked into. */
  | { place: "unseen"; why: string }
  /** It was on its way from one to another, and is where the caller has looked. */
  | { place: "back"; at: "pod" | "host" }
  /** No namespace has it. */
  | { place: "nowhere" };

type Seen =
  | { unclear: Link }
  /** `isFromPod`: its pod moved it there. */
  | { link: Link; isFromPod: boolean; unclear?: undefined };

/** Milliseconds after which it is not repeated: on a node with many namespaces one look takes long, and the runtime waits for us. */
const PATIENCE = 3000;

export function seek(asked: Sought): Fate {
  const end = host.monotonic() + PATIENCE;
  for (let round = 1; round <= ROUNDS && host.monotonic() < end; round++) {
    const watch = new Watch();
    try {
      const fate = seekOnce(asked, watch);
      if (fate.place !== "nowhere" || isPhysical(asked.saved)) return fate;
      const isKnown = isParentHome(asked);
      if (!watch.saw((moved) => couldHaveMoved(moved, asked, isKnown))) return fate;
    } finally {
      watch.close();
    }
    host.sleep(round * ROUND_PAUSE);
  }
  return { place: "unseen", why: "a process is moving interfaces like it from one namespace to another" };
}

/** Of kinds that have no parent, many links move for others all the time: then only where the pod can have moved it. */
function couldHaveMoved(
  { link, isHome, isBeyond, leadsTo }: Moved,
  { saved, home }: Sought,
  isKnown: boolean,
): boolean {
  return couldBe(link, saved, ({ parent, linkNetnsid }) => {
    if (!isKnown) return isBeyond;
    return parent === saved.parent && (linkNetnsid === undefined ? isHome : leadsTo([home]));
  });
}

function seekOnce(asked: Sought, watch: Watch): Fate {
  const { saved, pods, home, netns } = asked;
  if (!isPhysical(saved)) {
    watch.add(home);
    if (asked.pod !== undefined) watch.add(asked.pod, true);
    const { where, link } = search(saved, asked.ifName, asked.pod && viewOf(asked.pod, home), viewOf(home, home));
    if (link !== undefined) return { place: "back", at: where };
  }
  const visible = seeNamespaces(directoriesOf([netns, ...pods]));
  const sought = asked.pod === undefined ? withPod(asked, visible.namespaces) : asked;
  const viewpoints = viewpointsOf(sought);
  // The caller has looked into these. (The pod that withPod finds is met where it is looked into.)
  const known = asked.pod === undefined ? [home] : [home, asked.pod];
  for (const each of viewpoints) for (const one of known) meet(each, one);
  const isKnown = isParentHome(sought);
  let doubt = "";
  let blind = "";
  for (const one of withThreads(visible)) {
    if (known.some((each) => isSame(one, each))) continue;
    // One that we may not enter is not met, and asked by its number too: that says more.
    const { found: seen, doubt: why } = lookOrDoubt(one.path, (namespace) => {
      if (!isPhysical(saved)) watch.add(namespace, isSame(one, netns));
      return lookFor(sought, namespace, viewpoints, isKnown, visible);
    });
    blind ||= why?.message ?? "";
    if (seen === undefined) continue;
    if (seen.unclear !== undefined) doubt ||= `"${seen.unclear.name}" in ${one.path} might be the device`;
    else {
      const astray = openAgain(sought, one, seen.isFromPod);
      if (astray !== undefined) return astray;
      doubt ||= `${one.path} has changed`;
    }
  }
  if (isPhysical(saved)) return { place: "nowhere" };
  for (const each of viewpoints) doubt ||= askByNumber(each, sought, isKnown);
  doubt ||= blind;
  return doubt === "" ? { place: "nowhere" } : { place: "unseen", why: doubt };
}

/** The pod's namespace may have lost its path and live on, in a process or under another name. */
function withPod(sought: Sought, namespaces: SeenNamespace[]): Sought {
  for (const one of namespaces) {
    if (!isSame(one, sought.netns) || isSame(one, sought.home)) continue;
    const pod = openNamespace(one.path, "ok");
    if (pod !== undefined && isNamed(pod, sought.netns)) return { ...sought, pod };
  }
  return sought;
}

/** A namespace that has numbers for others, and those that were looked into. */
interface Viewpoint {
  namespace: NetNs;
  met: Set<number>;
}

/** The living pod knows where it moved links to. The host knows of its pods, and where the other end of each veth is. */
function viewpointsOf({ saved, pod, home }: Sought): Viewpoint[] {
  const isKnownByPeer = saved.kind === "veth" && saved.parentOnHost === true;
  // Whoever asks for a link of which the other end is elsewhere makes the kernel give that namespace a number.
  if (isKnownByPeer) getLink(home.route, saved.parent);
  const known = pod === undefined ? [home] : isKnownByPeer ? [pod, home] : [pod];
  return known.map((namespace) => ({ namespace, met: new Set() }));
}

/** Notes that it was looked into. True: it has a number there. */
function meet({ namespace, met }: Viewpoint, other: NetNs): boolean {
  let number: number | undefined;
  try {
    number = namespaceNumber(namespace.route, other.fd);
  } catch (error) {
    // Nothing is proven then: it counts as not looked into.
    if (!(error instanceof NetlinkError)) throw error;
  }
  if (number !== undefined) met.add(number);
  return number !== undefined;
}

function lookFor(
  { saved, ifName, netns, home, pod, pods }: Sought,
  namespace: NetNs,
  viewpoints: Viewpoint[],
  isKnown: boolean,
  visible: VisibleNamespaces,
): Seen | undefined {
  // One dump, and in most namespaces no sysfs.
  const mayHaveIt =
    isPhysical(saved) ||
    listLinks(namespace.route).some((link) =>
      couldBe(link, saved, ({ parent }) => !isKnown || parent === saved.parent),
    );
  const found = mayHaveIt ? findDevice(viewOf(namespace, home), saved, ifName) : undefined;
  const [isKnownToFirst] = viewpoints.map((each) => meet(each, namespace));
  if (found?.link === undefined) return found;
  const isOfLoan = [netns, ...pods].some((one) => one.ino !== 0 && isNamed(namespace, one));
  const isReached = (): boolean => pod !== undefined && leadsOn(pod, namespace, [...withThreads(visible)], home);
  return { link: found.link, isFromPod: isOfLoan || (pod !== undefined && isKnownToFirst === true) || isReached() };
}

/** How far, and through how many namespaces, podnic follows what a pod has moved. */
const HOPS = 4;
const NAMESPACES = 16;

/**
 * Whether the pod can have moved a link there through others that we see: each has a number for the next one. Not through the host, which has one for
 * each pod. False proves nothing.
 */
function leadsOn(pod: NetNs, to: NetNs, namespaces: readonly SeenNamespace[], home: NetNs): boolean {
  let rest = namespaces.filter((one) => ![pod, to, home].some((each) => isSame(one, each)));
  let ends = [pod];
  let count = 0;
  for (let hop = 1; hop < HOPS && ends.length > 0; hop++) {
    const next: NetNs[] = [];
    for (const one of rest) {
      const found = openIfKnown(one, ends);
      if (found === undefined) continue;
      if (hasNumber(found, to.fd)) return true;
      if (++count === NAMESPACES) return false;
      next.push(found);
    }
    rest = rest.filter((one) => !next.some((each) => isSame(one, each)));
    ends = next;
  }
  return false;
}

/** Only what one of `ends` has a number for stays open. */
function openIfKnown({ path }: SeenNamespace, ends: readonly NetNs[]): NetNs | undefined {
  try {
    const isKnown = (fd: number): boolean => ends.some((end) => hasNumber(end, fd));
    if (!closing(host.open(path, O_RDONLY), isKnown)) return undefined;
    const found = openNamespace(path, "ok");
    return found !== undefined && isKnown(found.fd) ? found : undefined;
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof NetlinkError || error instanceof Failure)) throw error;
    return undefined;
  }
}

const hasNumber = ({ route }: NetNs, other: number): boolean => namespaceNumber(route, other) !== undefined;

/** To stay open. undefined: it is another one by now, or the device has left it. */
function openAgain({ saved, ifName, home }: Sought, seen: SeenNamespace, isFromPod: boolean): Fate | undefined {
  const namespace = openNamespace(seen.path, "ok");
  if (namespace === undefined || !isSame(seen, namespace)) return undefined;
  const link = findDevice(viewOf(namespace, home), saved, ifName)?.link;
  return link === undefined ? undefined : { place: "astray", in: namespace, link, isFromPod };
}

/** Namespaces that cannot be opened, by their numbers: one of them may have the device when it has a link that could be it. Why, or "". */
function askByNumber({ namespace: { route }, met }: Viewpoint, { saved, home }: Sought, isKnown: boolean): string {
  try {
    const isOnParent = ({ parent, linkNetnsid }: Link): boolean =>
      !isKnown || (parent === saved.parent && isNumberOf(route, linkNetnsid, home.fd));
    const mayBe = (link: Link): boolean => couldBe(link, saved, isOnParent) && !isOfPort(link, route, home);
    for (const number of namespaceNumbers(route)) {
      const name = met.has(number) ? undefined : nameInside(route, number, mayBe);
      if (name !== undefined) return `"${name}" in a namespace that cannot be opened might be the device`;
    }
    return "";
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return `a namespace cannot be opened: ${error.message}`;
  }
}

/** The pod's end of one of our bridge ports, as the host's end says, which no pod can change. */
function isOfPort({ kind, index, parent, linkNetnsid }: Link, route: NetNs["route"], home: NetNs): boolean {
  if (kind !== "veth" || !isNumberOf(route, linkNetnsid, home.fd)) return false;
  const port = getLink(home.route, parent);
  return port?.parent === index && port.slaveKind === "bridge" && port.alias.startsWith(aliasPrefix);
}

function nameInside(route: NetNs["route"], number: number, mayBe: (link: Link) => boolean): string | undefined {
  try {
    return listLinksOf(route, number).find(mayBe)?.name;
  } catch (error) {
    // It is ending, and what is virtual in it too.
    if (error instanceof NetlinkError && error.code === "EINVAL") return undefined;
    throw error;
  }
}

/** The device below, or the other end, is on the host as it was: its index means what it meant. Both ends may be lent. */
function isParentHome({ saved, home }: Sought): boolean {
  return saved.parentOnHost === true && getLink(home.route, saved.parent) !== undefined;
}

/** By what the pod cannot change. (Its index there, name and addresses say nothing.) `isOnParent`: it is made on the same device. */
function couldBe(link: Link, saved: LinkSnapshot, isOnParent: (link: Link) => boolean): boolean {
  if (link.kind !== saved.kind || link.parentDevice !== "") return false;
  if (saved.vlan !== undefined && (link.vlan?.id !== saved.vlan.id || link.vlan.protocol !== saved.vlan.protocol))
    return false;
  return isOnParent(link);
}

function isSame(a: Pick<NetNs, "dev" | "ino">, b: Pick<NetNs, "dev" | "ino">): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Where runtimes keep the names of these, and the usual places. */
function directoriesOf(pods: readonly NamedNamespace[]): string[] {
  const own = pods.map(({ path }) => path.slice(0, path.lastIndexOf("/"))).filter((path) => path.endsWith("/netns"));
  return [...new Set([...NAME_DIRECTORIES, ...own])];
}
