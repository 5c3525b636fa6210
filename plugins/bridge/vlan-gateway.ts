// The host's interface BRIDGE.VID in a VLAN of a bridge. It is a VLAN device on the bridge, or a veth pair if the kernel does not support VLAN
// devices or if the Go plugin created it first. podnic deletes its own interface together with the last port in the VLAN.
import { Failure } from "../../src/errors.ts";
import {
  addPairHere,
  addVlanDevice,
  type Bridge,
  beginDeleteVlans,
  beginJoinVlan,
  beginLeaveVlan,
  beginSetPort,
  listVlans,
} from "../../src/link/bridge.ts";
import { beginSetLink, deleteLink, getLink, type Link, listLinksOfKind, setLink } from "../../src/link/link.ts";
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

/** Throws Failure when another device has its name. */
export function findVlanInterface(bridge: Bridge, vlan: number): Link | undefined {
  const { route } = ownNamespace();
  const name = vlanInterfaceName(bridge.name, vlan);
  const found = getLink(route, name);
  if (found === undefined) {
    refuseReserved(name);
    return undefined;
  }
  const port = found.kind === "veth" ? getLink(route, found.parent)?.master : found.kind === "vlan" ? found.parent : 0;
  if (port === bridge.index && found.linkNetnsid === undefined) return found;
  throw new Failure(
    "invalid config",
    `"${found.name}" already exists, but is not in VLAN ${vlan} of bridge "${bridge.name}"`,
    "ADD gives the gateway's interface this name. Rename the device, or use another bridge or VLAN.",
  );
}

/** Called while the bridge's lock is held. */
export function makeVlanInterface(bridge: Bridge, vlan: number): Link {
  const { route } = ownNamespace();
  const name = vlanInterfaceName(bridge.name, vlan);
  try {
    addVlanDevice(route, bridge.index, name, vlan);
    ignoreAdvertisements(name);
    beginJoinVlan(route, bridge.index, vlan);
    route.run();
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EOPNOTSUPP") throw error;
    makePair(bridge, vlan, name);
  }
  const made = getLink(route, name)!;
  setLink(route, made.index, { alias: VLAN_ALIAS, up: true });
  return made;
}

function makePair(bridge: Bridge, vlan: number, name: string): void {
  const { route } = ownNamespace();
  const port = `veth${randomMac().replaceAll(":", "").slice(4)}`;
  const end = { mac: randomMac(), mtu: bridge.mtu };
  addPairHere(route, { ...end, mac: randomMac(HIGH_MAC), name: port, master: bridge.index }, { ...end, name });
  const { index } = getLink(route, port)!;
  const pvid = bridge.bridge.defaultPvid ?? 0;
  if (pvid !== 0 && pvid !== vlan)
    beginDeleteVlans(route, index, [{ first: pvid, last: pvid, pvid: false, untagged: false }]);
  beginSetPort(route, index, {}, [{ first: vlan, last: vlan, pvid: true, untagged: true }]);
  beginSetLink(route, index, { alias: VLAN_ALIAS, up: true });
  ignoreAdvertisements(name);
  route.run();
}

/** The VLAN has no pod any more: no veth, whoever's, but those of gateways. */
export function isUnused(bridgeName: string, vlan: number): boolean {
  const { route } = ownNamespace();
  const bridge = getLink(route, bridgeName);
  const isUser = ({ index, master, alias }: Link) =>
    master === bridge?.index && alias !== VLAN_ALIAS && isIn(index, vlan);
  return bridge === undefined || !listLinksOfKind(route, "veth").some(isUser);
}

/** Removes it when it is ours and unused. Called while the bridge's lock is held. */
export function removeUnused(bridgeName: string, vlan: number): void {
  const { route } = ownNamespace();
  const link = getLink(route, vlanInterfaceName(bridgeName, vlan));
  const bridge = getLink(route, bridgeName);
  if (link?.alias !== VLAN_ALIAS || !isUnused(bridgeName, vlan)) return;
  deleteLink(route, link.index);
  if (bridge === undefined || link.kind !== "vlan") return;
  beginLeaveVlan(route, bridge.index, vlan);
  route.runEach();
}

export function isIn(port: number, vlan: number): boolean {
  return listVlans(ownNamespace().route, port).some(({ first, last }) => first <= vlan && vlan <= last);
}
