// Devices that the node or another pod needs stay on the host unless the node's policy allows otherwise, because the author of a configuration
// can be a tenant. docs/configuration.md has the table of what is allowed and what is refused.
import { policy } from "../config/policy.ts";
import { Failure, shellWord } from "../errors.ts";
import { listAddresses } from "../link/address.ts";
import { getLink, IFF_LOOPBACK, IFF_UP, isPair, type Link, listLinks } from "../link/link.ts";
import { UPPERS } from "../link/master.ts";
import { type NetNs, ownNamespace } from "../link/namespace.ts";
import { type KernelRoute, relevantRoutes } from "../link/route.ts";
import type { LinkSettings } from "../link/settings.ts";
import { isOpenInProcess } from "../link/snapshot.ts";
import { tunnelOver } from "../link/tunnel.ts";
import { describeRoute, usedByNode } from "../link/uplink.ts";
import { othersOn } from "../link/uppers.ts";
import { RT_SCOPE_UNIVERSE } from "../netlink/constants.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { isPciAddress, isUserspaceDriver, pciDriver, pciNetDirectory, placeOnHost } from "../sysfs/device.ts";
import { physicalFunction, virtualFunction } from "../sysfs/vf.ts";
import { fits, isListed } from "./device-list.ts";
import { isCardLent } from "./lent/lender.ts";

/**
 * Kinds of virtual interfaces that are meant to be used directly. Interfaces of all other kinds carry the packets of other programs. A macvtap or
 * ipvtap is one half of a pair, whose other half is a file that a virtual machine has open.
 */
const TO_LEND = [
  ...["vlan", "macsec", "bond", "team", "hsr", "dummy", "ipoib", "veth", "tun", "netdevsim"],
  ...["macvlan", "ipvlan", "vcan", "vxcan", "can", "wwan"],
];

/**
 * Throws Failure("invalid config"), which says what needs the device, if the node or another program does. Changes nothing. `routes`: the node's
 * routes that concern the device (relevantRoutes), if the caller has already read them.
 */
export function refuseNodeDevice(route: RouteSocket, link: Link, routes?: KernelRoute[]): void {
  if (mayGo(link)) return;
  refuseWhatIsOthers(route, link);
  if (link.master !== 0 && link.slaveKind !== "vrf") {
    const master = getLink(route, link.master)?.name ?? `interface ${link.master}`;
    refuse(link, `is a port of the ${link.slaveKind || "interface"} ${master}`);
  }
  const known = routes ?? relevantRoutes(route, link.index);
  const tunnel = tunnelOver(route, link, known);
  if (tunnel !== undefined) refuse(link, `carries this node's tunnel ${tunnel.name} (kind ${tunnel.kind})`);
  const use = usedByNode(route, link, known);
  if (use === undefined) return;
  const what = describeRoute(use.route);
  const { carrier } = use;
  refuse(link, carrier.index === link.index ? `carries ${what}` : `is below ${carrier.name}, which carries ${what}`);
}

/**
 * Refuses what refuseNodeDevice refuses, for a device that is to move from the host to the pod of `netnsPath`. Also refuses a device if the node or a
 * running pod uses an interface on top of it, if its physical function is lent, or if one of its virtual functions is in use.
 */
export function refuseToLend(hostNs: NetNs, link: Link, netnsPath: string, routes?: KernelRoute[]): void {
  if (mayGo(link)) return;
  refuseNodeDevice(hostNs.route, link, routes);
  refuseFunctionOfOthers(hostNs, link, netnsPath);
  const other = othersOn(hostNs, link, netnsPath);
  if (other !== undefined) refuse(link, `is the lower device of ${other}, which would lose its connection`);
}

/**
 * Refuses what refuseNodeDevice refuses, and a lower device of other interfaces, for a device that stays on the host but whose frames a pod reads and
 * writes.
 */
export function refuseToShare(hostNs: NetNs, link: Link, netnsPath: string): void {
  if (mayGo(link)) return;
  refuseNodeDevice(hostNs.route, link);
  const other = othersOn(hostNs, link, netnsPath, true);
  if (other !== undefined) refuse(link, `is the lower device of ${other}`);
}

/**
 * A pod with a physical function can set the addresses, VLANs and trust of its virtual functions, even of those that other pods have. A virtual
 * function with a userspace driver belongs to a virtual machine or a pod.
 */
function refuseFunctionOfOthers(hostNs: NetNs, link: Link, netnsPath: string): void {
  const pci = placeOnHost(link);
  if (!isPciAddress(pci)) return;
  const physical = physicalFunction(pci);
  if (physical !== undefined && isCardLent(physical))
    refuse(link, `is a virtual function of ${physical}, and another pod has that physical function`);
  // The interfaces that are up. Nobody uses one that is down.
  const used: { vf: string; link: Link }[] = [];
  for (let n = 0; ; n++) {
    const vf = virtualFunction(pci, n);
    if (vf === undefined) break;
    const driver = pciDriver(vf) ?? "";
    const interfaces = pciNetDirectory(vf);
    if (interfaces?.length === 0) refuse(link, `has the virtual function ${vf}, which is in another namespace`);
    for (const name of interfaces ?? []) {
      const found = getLink(hostNs.route, name);
      if (found !== undefined && (found.flags & IFF_UP) !== 0) used.push({ vf, link: found });
    }
    if (isUserspaceDriver(driver))
      refuse(link, `has the virtual function ${vf}, which has a userspace driver (${driver})`);
  }
  if (used.length === 0) return;
  // A node may have a hundred thousand routes: read them once for all functions.
  const routes = relevantRoutes(hostNs.route, ...used.map((one) => one.link.index));
  for (const { vf, link: one } of used) {
    const reason = needFor(hostNs, one, netnsPath, routes);
    if (reason !== undefined) refuse(link, `has the virtual function ${vf}: ${reason}`);
  }
}

/**
 * The same check of the physical function, for a virtual function without an interface (with a userspace driver). Throws Failure("invalid config").
 */
export function refuseFunctionOfLent(pci: string): void {
  const physical = physicalFunction(pci);
  if (physical === undefined || !isCardLent(physical)) return;
  const cure = "Use another device. The function can be used when DEL has returned its physical function.";
  throw refusal(
    { name: pci },
    `is a virtual function of ${physical}, and another pod has that physical function`,
    cure,
  );
}

/** Why a virtual function must stay with the node. undefined: it may go. */
function needFor(hostNs: NetNs, link: Link, netnsPath: string, routes: KernelRoute[]): string | undefined {
  try {
    refuseNodeDevice(hostNs.route, link, routes);
    const other = othersOn(hostNs, link, netnsPath);
    return other === undefined ? undefined : `device "${link.name}" is the lower device of ${other}`;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
}

/**
 * Refuses a device with a BPF program, which an earlier pod has left or which the node uses: the program would see the packets of the new pod.
 * `settings`: the device's, which the caller has just read. Throws Failure("invalid config").
 */
export function refuseWithPrograms(link: Link, settings: Pick<LinkSettings, "xdp" | "tcx">): void {
  const isSeen = settings.xdp.length > 0 || settings.tcx !== undefined;
  if (!isSeen || isListed(link, policy().devices.allow)) return;
  const kind = settings.xdp.length > 0 ? "XDP" : "tcx";
  throw refusal(
    link,
    `has a BPF program (${kind}), which would process the pod's packets`,
    `If an earlier pod left the program, detach it (\`bpftool net list dev ${shellWord(link.name)}\`, \`bpftool net detach …\`). If the node needs the program, add "${link.name}" to devices.allow in /etc/cni/podnic.json on this node.`,
  );
}

/** For macvlan's source mode: the pod names senders, and can read what they send to any other interface on the master, now or later. */
export function refuseToListen(link: Link): void {
  if (mayGo(link) || isListed(link, policy().devices.source)) return;
  const name = `add "${link.name}" to devices.source in /etc/cni/podnic.json on this node`;
  const cure = `Use another mode. If pods are allowed to read all frames on this device, ${name}.`;
  throw refusal(link, "carries frames for other pods, which a pod in source mode could read", cure);
}

/**
 * True if the policy allows every use of the device. False: the answer depends on what the device is used for. Throws Failure("invalid config") if no
 * pod may have it.
 */
function mayGo(link: Link): boolean {
  if ((link.flags & IFF_LOOPBACK) !== 0) throw refusal(link, "is the loopback interface", "Use another device.");
  refuseByPolicy(link);
  return isListed(link, policy().devices.allow);
}

/**
 * Refuses what the administrator has forbidden for every use of a device by a pod. All other checks begin with this one, so that no kind of use can
 * bypass it, and devices.allow does not override it. Throws Failure("invalid config").
 */
function refuseByPolicy(link: Link): void {
  refuseDenied(link);
  if (policy().bridges.names === undefined) return;
  for (const one of wiresOf(link, true)) if (one.kind === "bridge") refuseUnlistedBridge(one);
}

function refuseWhatIsOthers(route: RouteSocket, link: Link): void {
  if (link.kind === "") return;
  if (!TO_LEND.includes(link.kind)) {
    refuse(link, `carries other programs' packets (kind ${link.kind})`);
  }
  if (isOpenInProcess(route, link)) refuse(link, "is open in a process on this node (kind tun)");
  if (link.linkNetnsid !== undefined) refuseServing(link);
  for (let lower = lowerOf(link); lower !== undefined; lower = lowerOf(lower)) {
    if (lower.kind !== "" && !TO_LEND.includes(lower.kind))
      refuse(link, `is on top of ${lower.name}, which carries other programs' packets (kind ${lower.kind})`);
    if (isPair(lower) && lower.linkNetnsid !== undefined)
      refuse(link, `is on top of ${lower.name}, whose other end is in another namespace`);
  }
}

/**
 * The device of this namespace on which an interface such as a VLAN or a macvlan was made. A veth has none, because its IFLA_LINK is its other end.
 */
function lowerOf(link: Link): Link | undefined {
  if (link.parent === 0 || link.linkNetnsid !== undefined || isPair(link)) return undefined;
  return getLink(ownNamespace().route, link.parent);
}

/** The device at the bottom, which carries the frames of a VLAN or a macvlan of this namespace. It is `link` itself if there is none below it. */
export function lowestOf(link: Link): Link {
  let lowest = link;
  // Two tunnels can each be the lower device of the other.
  const seen = [link.index];
  for (let lower = lowerOf(link); lower !== undefined && !seen.includes(lower.index); lower = lowerOf(lower)) {
    seen.push(lower.index);
    lowest = lower;
  }
  return lowest;
}

function refuseServing(link: Link): never {
  const other = isPair(link) ? "other end" : "lower device";
  refuse(link, `is a ${link.kind} whose ${other} is in another namespace, so it serves a pod or container`);
}

/** Refuses only what the node's policy denies, for uses that leave the device to the node. Throws Failure("invalid config"). */
export function refuseDenied(link: Link): void {
  const { deny } = policy().devices;
  const found = deny.length === 0 ? undefined : wiresOf(link).find((one) => isListed(one, deny));
  if (found !== undefined) throw denied(found);
}

const MADE_OF_PORTS = ["bridge", "bond", "team"];

/**
 * The device, and the other devices that its frames come from or go to. The kernel puts a macvlan on a macvlan directly on the lower one's master.
 * The other end of a veth, or an interface on top of that end, may be a port of a bridge. A VLAN counts as a separate network, except with `bridges`:
 * a VLAN on a bridge then counts as part of the bridge. Without `bridges`, the ports of a bridge or bond count as part of it, except those that lead
 * to pods.
 */
function wiresOf(link: Link, bridges = false): Link[] {
  const { route } = ownNamespace();
  const tagged = [...UPPERS, "vlan"];
  const kinds = bridges ? tagged : UPPERS;
  let all: Link[] | undefined;
  const wires = new Map([[link.index, link]]);
  const add = (one: Link | undefined): void => void (one && !wires.has(one.index) && wires.set(one.index, one));
  /** The far ends of veths, and the interfaces on top of them. A VLAN there also receives what comes tagged from the first end. */
  const ends = new Set<number>();
  for (const one of wires.values()) {
    if (one.linkNetnsid !== undefined) continue;
    if (isPair(one)) {
      if (!wires.has(one.parent)) ends.add(one.parent);
      add(getLink(route, one.parent));
    } else if (kinds.includes(one.kind)) add(lowerOf(one));
    if (one !== link && one.master !== 0 && one.slaveKind !== "vrf") add(getLink(route, one.master));
    const isMadeOfPorts = !bridges && MADE_OF_PORTS.includes(one.kind);
    if (!isMadeOfPorts && !ends.has(one.index)) continue;
    all ??= listLinks(route).filter(({ linkNetnsid }) => linkNetnsid === undefined);
    for (const each of all) {
      if (isMadeOfPorts && each.master === one.index) add(each);
      if (!ends.has(one.index) || each.parent !== one.index || !tagged.includes(each.kind)) continue;
      ends.add(each.index);
      add(each);
    }
  }
  return [...wires.values()];
}

/**
 * For an interface that joins the device's network: refuses what the policy forbids, and another pod's veth (or an interface of the host on top of
 * it), on which the new interface could answer in the host's name. Throws Failure("invalid config").
 */
export function refuseToJoin(link: Link): void {
  refuseByPolicy(link);
  const isWire = (one: Link): boolean => isPair(one) && one.linkNetnsid !== undefined;
  const wire = UPPERS.includes(link.kind) ? wiresOf(link).find(isWire) : link;
  if (wire === undefined || !isWire(wire)) return;
  if ([link, wire].some((one) => isListed(one, policy().devices.allow))) return;
  if (!hasSubnet(wire)) refuseServing(wire);
}

/**
 * The uplink of a node that is itself a container (kind, k3d, LXD) is a veth too, but has an address in a subnet. The veth of a pod has no address,
 * or only the pod's gateway (ptp).
 */
function hasSubnet({ index }: Link): boolean {
  return listAddresses(ownNamespace().route, index).some(
    ({ address, length, scope, peer }) =>
      scope === RT_SCOPE_UNIVERSE && peer === undefined && length < address.bytes.length * 8,
  );
}

/** bridges.names applies to every plugin and every device that connects a pod to a bridge. Throws Failure("invalid config"). */
export function refuseUnlistedBridge(link: Link): void {
  const { names } = policy().bridges;
  if (names !== undefined && !isListed(link, names)) throw unlistedBridge(link.name);
}

/** Like refuseUnlistedBridge, for a bridge that does not exist yet. */
export function refuseUnlistedBridgeName(name: string): void {
  if (policy().bridges.names?.every((entry) => !fits(entry, name))) throw unlistedBridge(name);
}

function unlistedBridge(name: string): Failure {
  return new Failure(
    "invalid config",
    `this node does not allow networks to use bridge "${name}"`,
    "bridges.names in /etc/cni/podnic.json must list the bridge. Use a listed bridge.",
  );
}

/** Like refuseDenied, for a device that does not exist yet: only its name can be compared. */
export function refuseDeniedName(name: string): void {
  if (policy().devices.deny.some((entry) => fits(entry, name))) throw denied({ name });
}

function denied(device: { name: string }): Failure {
  return refusal(device, "is denied by the node's policy", "See devices.deny in /etc/cni/podnic.json.");
}

function refuse(link: Link, why: string): never {
  const name = `add "${link.name}" to devices.allow in /etc/cni/podnic.json on this node`;
  const cure = `Use another device. If the node does not need this one, ${name}. The node cannot use it while a pod has it.`;
  throw refusal(link, why, cure);
}

function refusal({ name }: { name: string }, why: string, cure: string): Failure {
  return new Failure("invalid config", `device "${name}" ${why}`, cure);
}
