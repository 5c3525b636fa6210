// The network devices of this node and the pods that have them: interfaces on the host, PCI devices whose interface is in another namespace,
// and devices in pods.

import { Failure } from "../../errors.ts";
import { isPhysical, isSameDevice, type View, viewAtOnce, viewOf } from "../../link/identity.ts";
import { getLink, IFF_LOOPBACK, IFF_UP, type Link } from "../../link/link.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { getVf } from "../../link/vf.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import type { RouteSocket } from "../../netlink/socket.ts";
import { type LoanData, type LoanRecord, readLoan } from "../../plugin/lent/lender.ts";
import { formerName, renameCommand } from "../../plugin/lent/name.ts";
import { refuseNodeDevice } from "../../plugin/node-device.ts";
import { lenders } from "../../plugins.ts";
import {
  busAddress,
  isPciAddress,
  isUserspaceDriver,
  names,
  pciDriver,
  pciLink,
  readText,
} from "../../sysfs/device.ts";
import {
  physicalFunction,
  physicalFunctionInterface,
  virtualFunctionCount,
  virtualFunctionIndex,
} from "../../sysfs/vf.ts";
import type { CachedAttachment } from "./cache.ts";
import type { Containers } from "./evidence.ts";
import { findHolders, type Holder, holderOf } from "./holders.ts";
import { type Inside, lookInside } from "./inside.ts";
import { isMachinesNetwork, Namespaces, type SeenNamespace } from "./namespaces.ts";
import { lookAtPods } from "./node.ts";
import { findPorts, type HeldPort, isFar, otherEnds } from "./ports.ts";

/**
 * "free": can be given to a pod. "pod": a pod has it. "node": the node needs it, or its policy keeps it back. "lost": an attachment
 * that is gone had it, and it has not been restored; DEL, gc or the next ADD does that. "elsewhere": its interface is in a
 * namespace that nothing tells about. "unbound": it has no driver. "virtual": made by software, and given to pods only when a
 * configuration names it.
 */
export type State = "free" | "pod" | "node" | "lost" | "elsewhere" | "unbound" | "virtual";

export interface Device {
  /** Its name on the host; for a lost one the name it is to get back. */
  name: string;
  /** Where it is now: its name there, and the path of that namespace ("": the host's). Absent when there is no interface to be seen. */
  interface?: { name: string; namespace: string };
  /** "" when there is none, as in the next two. */
  pci: string;
  driver: string;
  mac: string;
  /** Interface (or PCI address) of the physical function and the number there; for virtual functions. */
  pf?: string;
  vf?: number;
  /** Of a port that a pod has. */
  bridge?: string;
  /** Of a virtual function, where its PF tells; 0: none. */
  vlan?: number;
  state: State;
  /** Why, in words; "" when the state says it all. */
  why: string;
  /** What to do about it, for what is not as it should be and no garbage. */
  cure?: string;
  holder?: { by: string; network: string; containerId: string; interface: string; namespace: string };
}

/** Looks at the node as it is now. Throws NetlinkError and SystemError. */
export function findDevices(): Device[] {
  const namespaces = Namespaces.find();
  const holders = findHolders(namespaces);
  return findDevicesOf({ holders, ...lookAtPods(namespaces, holders) });
}

/** The same, of what has been looked up already. */
export function findDevicesOf(seen: {
  holders: Holder[];
  insides: Inside[];
  containers?: Containers;
  cache?: CachedAttachment[];
}): Device[] {
  const { insides, containers } = seen;
  const ports = containers === undefined ? [] : findPorts(containers, insides);
  const before = viewNow();
  const held = new Map(seen.holders.map((holder) => [holder, heldDevice(holder, before, insides)]));
  let settled = false;
  for (const [holder, device] of held) {
    if (!mayBeOnItsWay(holder, device)) continue;
    settled = true;
    const now = lookAgain(holder);
    if (now === undefined) held.delete(holder);
    else held.set(holder, now);
  }
  return devicesOf(settled ? viewNow() : before, held, insides, ports, seen.cache ?? []);
}

/** The host, as it is now. */
export const viewNow = (): View => viewAtOnce(viewOf(ownNamespace(), ownNamespace()));

function devicesOf(
  view: View,
  held: ReadonlyMap<Holder, Device>,
  insides: Inside[],
  ports: HeldPort[],
  cache: CachedAttachment[],
): Device[] {
  const { route } = ownNamespace();
  const holders = [...held.keys()];
  const links = view.links().filter(({ index }) => !ports.some(({ link }) => link.index === index));
  const known = (link: Link): boolean => holders.some((holder) => isOf(holder, view, link));
  const others = links.filter((link) => !known(link));
  const devices = [
    ...held.values(),
    ...ports.map(heldPort),
    ...insides.flatMap((inside) => aliasedDevices(inside, holders)),
    ...othersPorts(view, others.filter(isOthersPort), insides, cache),
    ...others.filter((link) => !isOthersPort(link)).map((link) => hostDevice(route, link)),
  ];
  return [...devices, ...hiddenDevices(devices)].map((device) => withFunction(route, device)).sort(byPlace);
}

/** Its pod lives, and it is not there: so does a device look, from outside, that an ADD or DEL is about to move. */
function mayBeOnItsWay({ life, saved }: Holder, device: Device): boolean {
  return life !== "gone" && saved !== undefined && (device.state === "lost" || device.cure !== undefined);
}

/**
 * The device of an attachment when no ADD or DEL is at work on it. undefined: it has been given back meanwhile. Whoever keeps the lock too long has
 * the device. Others wait for the lock, and the look takes long where there are many namespaces: nothing is on its way before it, and afterwards what
 * was on its way has no record.
 */
function lookAgain({ lender, key }: Holder): Device | undefined {
  const read = (): LoanRecord<LoanData> | undefined => readLoan(lender, key);
  const look = (record = read()): Device | undefined => {
    if (record === undefined) return undefined;
    const namespaces = Namespaces.find();
    const { dev, ino } = record.data.netns;
    const isPod = (one: SeenNamespace): boolean => ino === 0 || (one.ino === ino && one.dev === dev);
    const holder = holderOf(lender, record, namespaces);
    const inPod = heldDevice(holder, viewNow(), lookInside(namespaces, isPod));
    return mayBeOnItsWay(holder, inPod) ? heldDevice(holder, viewNow(), lookInside(namespaces)) : inPod;
  };
  try {
    const record = lender.whileReturning(key, read);
    const device = record && look(record);
    return lender.whileReturning(key, read) === undefined ? undefined : device;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const device = look();
    if (device === undefined) return undefined;
    const { cure: _, ...rest } = device;
    return { ...rest, state: "pod", why: `an ADD or DEL is using it: ${error.message}` };
  }
}

/** Whether it is the device that was written down. What the kernel called it in an earlier boot means nothing today. */
function isOf({ saved, age, key }: Holder, view: View, link: Link): boolean {
  if (saved === undefined || (age === "past" && !isPhysical(saved))) return false;
  return isSameDevice(view, link, saved, key.ifName);
}

/** A device that was written down for an attachment. */
function heldDevice(holder: Holder, view: View, insides: Inside[]): Device {
  const { saved, key, netns } = holder;
  const inPod = insides.find(({ namespace }) => namespace.ino === netns.ino && namespace.dev === netns.dev);
  const pod = inPod ?? insides.find(({ namespace }) => netns.ino === 0 && namespace.path === netns.path);
  const inside = pod?.links.find((link) => isOf(holder, pod.view, link));
  const outside = view.links().find((link) => isOf(holder, view, link));
  const astray = inside === undefined && outside === undefined ? findAstray(holder, pod, insides) : undefined;
  const link = inside ?? outside ?? astray?.link;
  const device: Device = {
    name: saved?.name ?? "",
    pci: holder.pci,
    driver: driverOf(holder.pci),
    mac: link?.mac ?? saved?.mac ?? "",
    state: "pod",
    why: "",
    holder: {
      by: holder.by,
      network: key.network,
      containerId: key.containerId,
      interface: key.ifName,
      namespace: netns.path,
    },
  };
  if (link !== undefined) {
    const seen = inside === undefined ? astray?.inside : pod;
    device.interface = { name: link.name, namespace: seen?.namespace.path ?? "" };
  }
  if (astray !== undefined) return { ...device, ...stateAstray(astray.inside) };
  return { ...device, ...stateOf(holder, inside !== undefined, outside) };
}

/** In another namespace than that of its pod. */
function findAstray(
  holder: Holder,
  pod: Inside | undefined,
  insides: Inside[],
): { inside: Inside; link: Link } | undefined {
  for (const inside of insides) {
    const link = inside === pod ? undefined : inside.links.find((each) => isOf(holder, inside.view, each));
    if (link !== undefined) return { inside, link };
  }
  return undefined;
}

function stateAstray({ namespace: { path } }: Inside): Judgement {
  const cure =
    "If the pod moved the device there, the pod's DEL moves it back to the host. Otherwise, move it back yourself.";
  return { state: "pod", why: `it has left its pod and is in ${path}`, cure };
}

type Judgement = Pick<Device, "state" | "why" | "cure">;

function stateOf({ life, saved }: Holder, inside: boolean, outside: Link | undefined): Judgement {
  if (inside) return { state: "pod", why: "" };
  if (outside !== undefined) {
    const why = life === "gone" ? "its namespace is gone" : "it returned without a DEL";
    return { state: "lost", why: `${why}; it is "${outside.name}" here` };
  }
  if (saved === undefined) {
    if (life !== "gone") return { state: "pod", why: "used by a userspace driver, without an interface" };
    return { state: "lost", why: "its namespace is gone" };
  }
  if (life === "gone") return { state: "lost", why: "its namespace is gone, and its interface was not found" };
  return {
    state: "pod",
    why: "interface not found: the pod deleted it or moved it to a namespace that podnic cannot see, or it was unplugged",
    cure: "DEL of its pod removes the record if the device is certainly gone, and otherwise keeps the record.",
  };
}

function heldPort({ link, bridge, owner, namespace, life, why }: HeldPort): Device {
  const { network, containerId, ifName } = owner;
  return {
    name: link.name,
    interface: { name: ifName, namespace },
    pci: "",
    driver: link.kind,
    mac: link.mac,
    bridge,
    state: life === "gone" ? "lost" : "pod",
    why: `port of ${bridge || "no bridge"}${life === "gone" ? `; ${why}` : ""}`,
    holder: { by: "bridge", network, containerId, interface: ifName, namespace },
  };
}

/** A pod's port on a bridge, without our mark: the Go plugin's, or that of a program that runs containers. */
const isOthersPort = (link: Link): boolean => link.slaveKind === "bridge" && isFar(link);

/** Whose each is, libcni remembers by the namespace and the name of the other end. */
function othersPorts(view: View, links: Link[], insides: Inside[], cache: CachedAttachment[]): Device[] {
  const endOf = otherEnds(insides);
  const names = new Map(view.links().map(({ index, name }) => [index, name]));
  const owners = new Map(cache.flatMap((one) => one.namespaces.map((path) => [`${one.ifName} ${path}`, one])));
  return links.map((link): Device => {
    const seen = endOf(link);
    const end = seen ?? { name: link.name, namespace: "" };
    const { network = "", containerId = "" } = owners.get(`${end.name} ${end.namespace}`) ?? {};
    const bridge = names.get(link.master) ?? "";
    return {
      name: link.name,
      interface: end,
      pci: "",
      driver: link.kind,
      mac: link.mac,
      bridge,
      state: "pod",
      why: `port of ${bridge}, without podnic's alias`,
      holder: { by: "", network, containerId, interface: seen?.name ?? "", namespace: end.namespace },
    };
  });
}

/** Devices in pods that nothing was written down about: those of the Go host-device, which leaves their name in the alias. */
function aliasedDevices({ namespace, links, view }: Inside, holders: Holder[]): Device[] {
  const known = (link: Link): boolean => holders.some((holder) => isOf(holder, view, link));
  return links
    .filter((link) => isPhysical(link) && (link.flags & IFF_LOOPBACK) === 0 && !known(link))
    .map((link) => ({
      name: link.alias || link.name,
      interface: { name: link.name, namespace: namespace.path },
      pci: pciOf(link),
      driver: driverOf(pciOf(link)),
      mac: link.mac,
      // A card that nobody gave away may be the machine's own, seen from a node that is a container on it.
      state: link.alias === "" && pciOf(link) !== "" ? "elsewhere" : "pod",
      why:
        link.alias === "" ? "podnic has no record of it" : "its alias contains its name on the host (Go host-device)",
      holder: { by: "", network: "", containerId: "", interface: link.name, namespace: namespace.path },
    }));
}

function hostDevice(route: RouteSocket, link: Link): Device {
  const pci = pciOf(link);
  const device: Device = {
    name: link.name,
    interface: { name: link.name, namespace: "" },
    pci,
    driver: driverOf(pci) || link.kind,
    mac: link.mac,
    state: "free",
    why: "",
  };
  return { ...device, ...judgeOnHost(route, link, pci) };
}

function judgeOnHost(route: RouteSocket, link: Link, pci: string): Judgement {
  try {
    refuseNodeDevice(route, link);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { state: "node", why: error.message.replace(`device "${link.name}" `, "") };
  }
  const functions = pci === "" ? 0 : virtualFunctionCount(pci);
  if (functions > 0) return { state: "node", why: `has ${functions} virtual functions` };
  const former = formerName(link);
  const left = former === undefined && link.alias !== "" && link.alias !== link.name && (link.flags & IFF_UP) === 0;
  if (left && isPhysical(link) && getLink(route, link.alias) === undefined) {
    return { state: "lost", why: `its alias says that its name was "${link.alias}" (Go host-device)` };
  }
  const state = isPhysical(link) ? "free" : "virtual";
  if (former === undefined) return { state, why: "" };
  const why = `was "${former.name}", but another device ${getLink(route, former.name) === undefined ? "had" : "now has"} that name`;
  const rename = renameCommand(link.name, former);
  return {
    state,
    why,
    cure: `When the name is free, run \`${rename}\`, or wait until the device's next DEL restores the name.`,
  };
}

/** PCI network devices without an interface that we have met. */
function hiddenDevices(known: Device[]): Device[] {
  const met = new Set(known.map(({ pci }) => pci));
  const addresses = (names("/sys/bus/pci/devices") ?? []).filter((pci) => !met.has(pci) && isNetworkCard(pci));
  // /sys shows the cards of the whole machine, also to a node that is a container on it (kind, k3d, LXD).
  const elsewhere = isMachinesNetwork()
    ? "its interface is in a namespace that podnic cannot see"
    : "its interface is in another namespace, perhaps the host's, because podnic does not run in the host's namespace";
  return addresses.map((pci): Device => {
    const driver = driverOf(pci);
    const device = { name: "", pci, driver, mac: "" };
    if (driver === "") return { ...device, state: "unbound", why: "it has no driver" };
    if (isUserspaceDriver(driver)) return { ...device, state: "free", why: "for userspace drivers (DPDK, VMs)" };
    return { ...device, state: "elsewhere", why: elsewhere };
  });
}

/** Class 02 of PCI: network controller. */
function isNetworkCard(pci: string): boolean {
  return readText(`/sys/bus/pci/devices/${pci}/class`)?.startsWith("0x02") === true;
}

function driverOf(pci: string): string {
  return isPciAddress(pci) ? (pciDriver(pci) ?? "") : "";
}

/** PCI address of a device; "" when it is on none. */
function pciOf({ parentDevice }: Link): string {
  const place = busAddress(parentDevice);
  return isPciAddress(place) ? place : "";
}

/** What a virtual function is on its physical one. */
function withFunction(route: RouteSocket, device: Device): Device {
  if (device.pci === "" || pciLink(device.pci, "physfn") === undefined) return device;
  const pfPci = physicalFunction(device.pci)!;
  const pfName = physicalFunctionInterface(pfPci);
  const index = virtualFunctionIndex(pfPci, device.pci);
  const left = lenders.flatMap((lender) => lender.leftBehind?.(device.pci) ?? []);
  const why =
    left.length === 0 ? device.why : `${device.why ? `${device.why}; ` : ""}an earlier pod left ${left.join(", ")}`;
  const found: Device = { ...device, why, pf: pfName ?? pfPci };
  if (index === undefined) return found;
  found.vf = index;
  const vlan = pfName === undefined ? undefined : vlanOf(route, pfName, index);
  return vlan === undefined ? found : { ...found, vlan };
}

function vlanOf(route: RouteSocket, pf: string, vf: number): number | undefined {
  try {
    const link = getLink(route, pf);
    return link === undefined ? undefined : getVf(route, link.index, vf)?.vlan.id;
  } catch (error) {
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
}

/** Cards first, in the order of the bus, then the others by name. */
function byPlace(a: Device, b: Device): number {
  if ((a.pci === "") !== (b.pci === "")) return a.pci === "" ? 1 : -1;
  return compare(a.pci, b.pci) || compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
