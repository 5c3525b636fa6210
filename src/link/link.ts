// Links: `ip link show`, `ip link set`, `ip link add`, `ip link del`. One GET per question, never a dump of all links,
// but for findLinkByAddress (5,000 links: 22 ms, and interrupted most of the time).
import type { RouteSocket } from "../netlink/socket.ts";

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
export const IFF_PROMISC = 0x100;
export const IFF_ALLMULTI = 0x200;

export interface Link {
  index: number;
  name: string;
  altnames: string[];
  /** IFLA_IFALIAS, or "". */
  alias: string;
  /** IFF_* bits. */
  flags: number;
  mtu: number;
  minMtu: number;
  maxMtu: number;
  txqlen: number;
  /** Lower-case colon form, or "". */
  mac: string;
  /** IFLA_PERM_ADDRESS, or "". */
  permanentMac: string;
  /** IFLA_OPERSTATE: 6 is up. */
  operstate: number;
  /** IFLA_LINK: index of the device below, in `linkNetnsid` when that is not undefined. 0: none. */
  parent: number;
  linkNetnsid: number | undefined;
  /** IFLA_MASTER: index of the bridge, bond or VRF it belongs to. 0: none. */
  master: number;
  /** IFLA_INFO_KIND: "veth", "ipvlan"; "" for a physical device. */
  kind: string;
  /** IFLA_INFO_SLAVE_KIND: "bridge", "bond", "vrf", or "". */
  slaveKind: string;
  /** Kind-specific data that we know: macvlan and ipvlan. */
  mode: number | undefined;
  /** ipvlan/macvlan flags. */
  modeFlags: number | undefined;
  bcqueuelen: number | undefined;
  /** IFLA_PARENT_DEV_NAME: e.g. the PCI address; "" when there is none. */
  parentDevice: string;
}

/** By index or by name (alternative names too). undefined when there is none. */
export function getLink(_route: RouteSocket, _which: number | string): Link | undefined {
  throw new Error("not built yet");
}

/** All links; survives interrupted dumps (at most five tries). */
export function listLinks(_route: RouteSocket): Link[] {
  throw new Error("not built yet");
}

export interface LinkChange {
  name?: string;
  /** "" clears it. */
  alias?: string;
  /** Descriptor of the namespace to move to. */
  netns?: number;
  up?: boolean;
  mtu?: number;
  txqlen?: number;
  /** Colon form. */
  mac?: string;
  promisc?: boolean;
  allmulti?: boolean;
}

/** One RTM_NEWLINK with all changes. It is not atomic: after an error look at the link again. */
export function setLink(_route: RouteSocket, _index: number, _change: LinkChange): void {
  throw new Error("not built yet");
}

export function addAltnames(_route: RouteSocket, _index: number, _names: string[]): void {
  throw new Error("not built yet");
}

export function deleteAltnames(_route: RouteSocket, _index: number, _names: string[]): void {
  throw new Error("not built yet");
}

export interface NewLink {
  kind: "macvlan" | "ipvlan";
  name: string;
  /** Index of the master, in the namespace of `route`. */
  parent: number;
  /** Descriptor of the namespace it is created in; absent: that of `route`. */
  netns?: number;
  mtu?: number;
  mac?: string;
  mode?: number;
  modeFlags?: number;
  bcqueuelen?: number;
  up?: boolean;
}

/** Creates a link under its final name in its final namespace. EEXIST is a NetlinkError with code "EEXIST". */
export function addLink(_route: RouteSocket, _link: NewLink): void {
  throw new Error("not built yet");
}

/** No error when it is gone already (ENODEV). */
export function deleteLink(_route: RouteSocket, _index: number): void {
  throw new Error("not built yet");
}

/** First link with this MAC, in the order of a dump. Falls back to sysfs when every dump was interrupted. */
export function findLinkByAddress(_route: RouteSocket, _mac: string): Link | undefined {
  throw new Error("not built yet");
}
