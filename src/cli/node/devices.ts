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
 * "free": a pod can get the device. "pod": a pod has it. "node": the node needs it, or the policy denies it. "lost": an attachment that is
 * gone had it, and DEL, gc or the next ADD will restore it. "elsewhere": its interface is in a namespace for which podnic has no record.
 * "unbound": it has no driver. "virtual": it is not hardware; a pod gets it only if a configuration names it.
 */
export type State = "free" | "pod" | "node" | "lost" | "elsewhere" | "unbound" | "virtual";

export interface Device {
  /** The device's name on the host; for a lost device, the name that it will get back. */
  name: string;
  /** The interface's current name, and the path of its namespace ("" for the host's). Absent if podnic cannot see an interface. */
  interface?: { name: string; namespace: string };
  /** "" if there is none, as in the next two fields. */
  pci: string;
  driver: string;
  mac: string;
  /** For virtual functions: the interface (or PCI address) of the physical function, and the number of the virtual function. */
  pf?: string;
  vf?: number;
  /** For a pod's port: its bridge. */
  bridge?: string;
  /** For a virtual function, if the physical function provides it; 0 means no VLAN. */
  vlan?: number;
  state: State;
  /** The reason for the state; "" if the state needs no explanation. */
  why: string;
  /** What the operator can do about a problem that gc does not solve. */
  cure?: string;
  holder?: { by: string; network: string; containerId: string; interface: string; namespace: string };
}

/** Lists the devices of the node. Throws NetlinkError and SystemError. */
export function findDevices(): Device[] {
  const namespaces = Namespaces.find();
  const holders = findHolders(namespaces);
  return findDevicesOf({ holders, ...lookAtPods(namespaces, holders) });
}

/** Like findDevices, but uses information that the caller has already collected. */
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

/** A new view of the host's links. */
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

/** The pod exists, but does not have its device. This is how a device looks that an ADD or DEL is just moving. */
function mayBeOnItsWay({ life, saved }: Holder, device: Device): boolean {
  return life !== "gone" && saved !== undefined && (device.state === "lost" || device.cure !== undefined);
}

/**
 * Looks for an attachment's device again when no ADD or DEL is moving it. undefined: it has been returned in the meantime. Taking the lock
 * makes sure that no call is moving the device. The search runs without the lock, because it is slow and ADD and DEL wait for the lock. If the
 * device was returned during the search, its record is gone afterwards. If another process keeps the lock too long, it is using the device.
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

/** Whether a link is the holder's recorded device. After a reboot, only physical devices can be recognised. */
function isOf({ saved, age, key }: Holder, view: View, link: Link): boolean {
  if (saved === undefined || (age === "past" && !isPhysical(saved))) return false;
  return isSameDevice(view, link, saved, key.ifName);
}

/** The device in an attachment's record. */
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

/** Finds a device that is in another namespace than its pod's. */
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

/** A pod's port on a bridge without podnic's alias. The Go plugin or a container runtime created it. */
const isOthersPort = (link: Link): boolean => link.slaveKind === "bridge" && isFar(link);

/** Finds the owner of each port in libcni's cache, by the namespace and the name of the port's other end. */
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

/** Devices in other namespaces without a record. The Go host-device plugin writes a device's name on the host into its alias. */
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
      // If the node is a container on a machine, a card without an alias may belong to the machine.
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

/** The PCI network devices that are not in `known`, because podnic has not seen an interface of theirs. */
function hiddenDevices(known: Device[]): Device[] {
  const met = new Set(known.map(({ pci }) => pci));
  const addresses = (names("/sys/bus/pci/devices") ?? []).filter((pci) => !met.has(pci) && isNetworkCard(pci));
  // If the node is a container (kind, k3d, LXD), /sys shows the cards of the whole machine.
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

/** The PCI address of a device; "" if it is not a PCI device. */
function pciOf({ parentDevice }: Link): string {
  const place = busAddress(parentDevice);
  return isPciAddress(place) ? place : "";
}

/** Adds the physical function, the number and the VLAN if the device is a virtual function. */
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

/** Sorts PCI devices first, by PCI address, and then the others by name. */
function byPlace(a: Device, b: Device): number {
  if ((a.pci === "") !== (b.pci === "")) return a.pci === "" ? 1 : -1;
  return compare(a.pci, b.pci) || compare(a.name, b.name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
