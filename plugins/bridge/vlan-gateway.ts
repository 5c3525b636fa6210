// The host's interface BRIDGE.VID in a VLAN of a bridge. It is a VLAN device on the bridge, or a veth pair if the bridge itself is untagged in the VLAN,
// if the kernel does not support VLAN devices, or if the Go plugin created it first. podnic deletes its own interface together with the last port in
// the VLAN.
import { Failure, shellWord } from "../../src/errors.ts";
import {
  addPairHere,
  addVlanDevice,
  type Bridge,
  beginDeleteVlans,
  beginJoinVlan,
  beginLeaveVlan,
  beginSetPort,
  listVlans,
  type VlanRange,
} from "../../src/link/bridge.ts";
import { beginDeleteLink, beginSetLink, getLink, IFF_UP, type Link, listLinksOfKind } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { ignoreAdvertisements } from "./advertisements.ts";
import { NAME_MAX } from "./config.ts";
import { randomMac } from "./find.ts";
import { HIGH_MAC, hash } from "./port.ts";
import { refuseReserved } from "./reserved.ts";

/** The alias of one that ADD made. */
export const VLAN_ALIAS = "podnic:gateway";

/** As the Go plugin calls it; what would be too long for the kernel is shortened at the bridge's name. */
export function vlanInterfaceName(bridge: string, vlan: number): string {
  const suffix = `.${vlan}`;
  if (bridge.length + suffix.length <= NAME_MAX) return bridge + suffix;
  const mark = hash(bridge).slice(0, 4);
  return `${bridge.slice(0, NAME_MAX - suffix.length - mark.length)}${mark}${suffix}`;
}

/** Throws Failure when another device has its name, or when one that ADD did not make would be no gateway. */
export function findVlanInterface(bridge: Bridge, vlan: number): Link | undefined {
  const name = vlanInterfaceName(bridge.name, vlan);
  const found = getLink(ownNamespace().route, name);
  if (found === undefined) {
    refuseReserved(name);
    return undefined;
  }
  const elsewhere = placeFault(bridge, vlan, found);
  if (elsewhere !== undefined) {
    // Earlier versions gave their interface 802.1Q on every bridge.
    const cure =
      found.alias === VLAN_ALIAS
        ? `podnic created the interface. Run \`ip link del ${shellWord(name)}\`. The next ADD creates it again.`
        : "ADD gives the gateway's interface this name. Rename the device, or use another bridge or VLAN.";
    throw new Failure("invalid config", elsewhere, cure);
  }
  const { what, cure } = (found.alias !== VLAN_ALIAS && vlanFault(bridge, vlan, found)) || {};
  if (what === undefined) return found;
  throw new Failure("failed", what, `podnic repairs only interfaces that it created. ${cure}`);
}

/** Why a link is not the one that ADD would use. */
function placeFault(bridge: Bridge, vlan: number, { name, kind, parent, linkNetnsid, ...link }: Link) {
  const what = `"${name}" already exists, but is not in VLAN ${vlan} of bridge "${bridge.name}"`;
  if (linkNetnsid !== undefined) return what;
  if (kind === "veth") return getLink(ownNamespace().route, parent)?.master === bridge.index ? undefined : what;
  if (kind !== "vlan" || parent !== bridge.index || link.vlan?.id !== vlan) return what;
  if (link.vlan.protocol === protocolOf(bridge)) return undefined;
  return `"${name}" already exists, but its VLAN protocol is not that of bridge "${bridge.name}"`;
}

const ETH_P_8021Q = 0x8100;
const protocolOf = ({ bridge }: Bridge): number => bridge.vlanProtocol ?? ETH_P_8021Q;

/** Why no frame of the VLAN reaches its interface. */
export function vlanFault(bridge: Bridge, vlan: number, link: Link): { what: string; cure: string } | undefined {
  const { name, flags, kind, parent } = link;
  const elsewhere = placeFault(bridge, vlan, link);
  if (elsewhere !== undefined) return { what: elsewhere, cure: "Delete or rename it." };
  if ((flags & IFF_UP) === 0)
    return { what: `the gateway's interface ${name} is down`, cure: `Run \`ip link set ${shellWord(name)} up\`.` };
  const own = membership(parent, vlan);
  if (kind === "vlan" && own?.untagged) return untaggedFault(bridge, vlan, name);
  if (own !== undefined) return undefined;
  // Of a veth pair, the other end is the bridge's port.
  const [dev, end] =
    kind === "vlan" ? [bridge.name, " self"] : [getLink(ownNamespace().route, parent)?.name, " pvid untagged"];
  return {
    what: `the gateway's interface ${name} gets no frames, because ${dev} is not in VLAN ${vlan}`,
    cure: `Run \`bridge vlan add dev ${shellWord(dev ?? "")} vid ${vlan}${end}\`.`,
  };
}

function untaggedFault(bridge: Bridge, vlan: number, name: string) {
  return {
    what: `the gateway's interface ${name} gets no frames, because bridge "${bridge.name}" itself is untagged in VLAN ${vlan}`,
    cure: `Run \`ip link del ${shellWord(name)}\`. The next ADD creates it again, as a veth.`,
  };
}

/**
 * Called while the bridge's lock is held. It has its alias from its first moment (addPair), so that DEL finds what an ADD that was killed has left,
 * and the next ADD completes it.
 */
export function makeVlanInterface(bridge: Bridge, vlan: number): Link {
  const { route } = ownNamespace();
  const name = vlanInterfaceName(bridge.name, vlan);
  // A VLAN device gets tagged frames only. To make the bridge itself tagged would take the VLAN from what the host has on the bridge.
  if (membership(bridge.index, vlan)?.untagged) makePair(bridge, name);
  else makeDevice(bridge, vlan, name);
  const made = getLink(route, name)!;
  completeVlanInterface(bridge, vlan, made);
  return made;
}

/** One of ours is up and in its VLAN, whatever has happened since. */
export function completeVlanInterface(bridge: Bridge, vlan: number, link: Link): void {
  const { route } = ownNamespace();
  // One that an earlier version made listens.
  ignoreAdvertisements(link.name);
  if (vlanFault(bridge, vlan, link) === undefined) return;
  if (link.kind === "vlan" && membership(bridge.index, vlan)?.untagged) {
    const { what, cure } = untaggedFault(bridge, vlan, link.name);
    throw new Failure("failed", what, cure);
  }
  if (link.kind === "vlan") beginJoinVlan(route, bridge.index, vlan);
  else completePort(bridge, vlan, link.parent);
  beginSetLink(route, link.index, { up: true });
  route.run();
}

function makeDevice(bridge: Bridge, vlan: number, name: string): void {
  try {
    const id = { id: vlan, protocol: protocolOf(bridge) };
    addVlanDevice(ownNamespace().route, bridge.index, name, id, VLAN_ALIAS);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EOPNOTSUPP") throw error;
    makePair(bridge, name);
  }
}

function makePair(bridge: Bridge, name: string): void {
  const port = `veth${randomMac().replaceAll(":", "").slice(4)}`;
  const end = { mac: randomMac(), mtu: bridge.mtu };
  const near = { ...end, mac: randomMac(HIGH_MAC), name: port, master: bridge.index };
  addPairHere(ownNamespace().route, near, { ...end, name }, VLAN_ALIAS);
}

function completePort({ bridge }: Bridge, vlan: number, port: number): void {
  const { route } = ownNamespace();
  const pvid = bridge.defaultPvid ?? 0;
  if (pvid !== 0 && pvid !== vlan)
    beginDeleteVlans(route, port, [{ first: pvid, last: pvid, pvid: false, untagged: false }]);
  beginSetPort(route, port, {}, [{ first: vlan, last: vlan, pvid: true, untagged: true }]);
  beginSetLink(route, port, { up: true });
}

/** The bridge and the VLAN of an interface that ADD made as a gateway; undefined for any other link. */
export function gatewayOf(link: Link): { bridge: string; vlan: number } | undefined {
  if (link.alias !== VLAN_ALIAS || link.linkNetnsid !== undefined) return undefined;
  const { route } = ownNamespace();
  const below = getLink(route, link.parent);
  // Of a veth pair, the other end is the bridge's port, and untagged in the VLAN.
  const isPair = link.kind === "veth" && below !== undefined && below.master !== 0;
  const bridge = isPair ? getLink(route, below.master) : below;
  const vlan = isPair ? listVlans(route, below.index).find(({ pvid }) => pvid)?.first : link.vlan?.id;
  if (bridge === undefined || vlan === undefined || link.name !== vlanInterfaceName(bridge.name, vlan))
    return undefined;
  return { bridge: bridge.name, vlan };
}

/** The VLAN has no pod any more: no veth, whoever's, but those of gateways. */
export function isUnused(bridgeName: string, vlan: number): boolean {
  const { route } = ownNamespace();
  const bridge = getLink(route, bridgeName);
  const isUser = ({ index, master, alias }: Link) =>
    master === bridge?.index && alias !== VLAN_ALIAS && isIn(index, vlan);
  return bridge === undefined || !listLinksOfKind(route, "veth").some(isUser);
}

/** Of these (vlansOf), those in which ADD has made an interface. A pair in a VLAN of a trunk is not looked for: that would be a look at all ports. */
export function vlansWithGateway(bridge: string, ranges: VlanRange[]): number[] {
  const { route } = ownNamespace();
  const isAsked = (vid: number) => ranges.some(({ first, last }) => first <= vid && vid <= last);
  const native = ranges.at(-1)?.first ?? 0;
  const found = native === 0 ? undefined : getLink(route, vlanInterfaceName(bridge, native));
  const isIt = ({ name, alias, vlan }: Link) =>
    alias === VLAN_ALIAS && vlan !== undefined && isAsked(vlan.id) && name === vlanInterfaceName(bridge, vlan.id);
  const others = ranges.length > 1 ? listLinksOfKind(route, "vlan").filter(isIt) : [];
  return [...(found?.alias === VLAN_ALIAS ? [native] : []), ...others.map(({ vlan }) => vlan!.id)];
}

/** Removes it when it is ours and unused. Called while the bridge's lock is held. */
export function removeUnused(bridgeName: string, vlan: number): void {
  const { route } = ownNamespace();
  const link = getLink(route, vlanInterfaceName(bridgeName, vlan));
  const bridge = getLink(route, bridgeName);
  if (link?.alias !== VLAN_ALIAS || !isUnused(bridgeName, vlan)) return;
  const leaves = bridge !== undefined && link.kind === "vlan" && !isHosts(bridge, vlan);
  // In one send: who is killed has done both, or neither.
  beginDeleteLink(route, link.index);
  if (leaves) beginLeaveVlan(route, bridge.index, vlan);
  const [refusal] = route.runEach();
  if (refusal !== undefined && refusal.code !== "ENODEV") throw refusal;
}

export const isIn = (port: number, vlan: number): boolean => membership(port, vlan) !== undefined;

/** The host itself has put the bridge into the VLAN since: ADD makes it a tagged member. */
function isHosts({ index }: Link, vlan: number): boolean {
  const own = membership(index, vlan);
  return own?.untagged === true || own?.pvid === true;
}

function membership(port: number, vlan: number): VlanRange | undefined {
  return listVlans(ownNamespace().route, port).find(({ first, last }) => first <= vlan && vlan <= last);
}
