// Finds the existing bridge and checks whether a network may use it, or creates a new bridge.
import type { Call } from "../../src/cni/plugin.ts";
import { policy } from "../../src/config/policy.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { formatMac } from "../../src/ip/mac.ts";
import { addBridge, type Bridge, filterVlans, getBridge, type NewBridge } from "../../src/link/bridge.ts";
import { beginSetLink, IFF_UP, listLinks, setLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { isListed } from "../../src/plugin/device-list.ts";
import { hash32 } from "../../src/plugin/hash.ts";
import {
  refuseDenied,
  refuseDeniedName,
  refuseUnlistedBridge,
  refuseUnlistedBridgeName,
} from "../../src/plugin/node-device.ts";
import { ignoreAdvertisements } from "./advertisements.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { bridgeName } from "./config.ts";
import { refuseReserved } from "./reserved.ts";
import { vlansOf } from "./vlans.ts";

const MAX_MTU = 65535;
/** The alias of a bridge that ADD made. */
const BRIDGE_ALIAS = "podnic:bridge";

/** By its alias; or by its MAC address as long as it has none: the kernel takes no alias with the request that makes a link. */
export function isOurs({ alias, name, mac }: Bridge): boolean {
  return alias === BRIDGE_ALIAS || (alias === "" && mac.startsWith(macMarkOf(name)));
}

/** Begins the MAC address of a bridge of ours: the name that it was made with. The rest is chance, for other nodes have such bridges too. */
function macMarkOf(name: string): string {
  return `02:${hash32(name).toString(16).padStart(8, "0").slice(-4).replace(/../g, "$&:")}`;
}

/** A MAC address of nobody's: locally administered, unicast. `first`: its first byte. */
export function randomMac(first = 0x02): string {
  const bytes = new Uint8Array(6);
  bytes[0] = first;
  bytes.set(host.random(5), 1);
  return formatMac(bytes);
}

/** The bridge if it is there. Throws Failure when it cannot serve. */
export function existingBridge(call: Call<BridgeConfig>): Bridge | undefined {
  const name = bridgeName(call);
  const found = getBridge(ownNamespace().route, name);
  if (found === undefined) {
    refuseDeniedName(name);
    refuseUnlistedBridgeName(name);
    refuseReserved(name);
    return undefined;
  }
  // What the policy says by now is nothing about a pod that is there.
  if (call.command !== "CHECK") {
    refuseDenied(found);
    refuseUnlistedBridge(found);
  }
  if (found.kind !== "bridge") {
    const what = found.kind === "" ? "The device is a physical device." : `The device is of type ${found.kind}.`;
    throw new Failure(
      "invalid config",
      `"${name}" already exists but is not a bridge`,
      `${what} "bridge" must be the name of a Linux bridge, or an unused name. If the name is unused, ADD creates the bridge.`,
    );
  }
  checkState(found, call);
  checkFiltering(found, call);
  // Later it says nothing of this attachment: its port is as it was.
  if (call.command !== "CHECK") checkMtu(found, call);
  return found;
}

/** ADD brings a bridge that podnic created up again. podnic does not change the state of other programs' bridges. */
function checkState(bridge: Bridge, { command }: Call): void {
  const ours = isOurs(bridge);
  if ((bridge.flags & IFF_UP) !== 0 || (ours && command !== "CHECK")) return;
  const whose = ours ? "" : " podnic brings up only bridges that it created.";
  throw new Failure(
    "failed",
    `bridge "${bridge.name}" is down: network is down`,
    `A bridge that is down carries no traffic.${whose} Run \`ip link set ${shellWord(bridge.name)} up\`.`,
  );
}

function checkFiltering(found: Bridge, { config, command }: Call<BridgeConfig>): void {
  const { name, bridge } = found;
  if (bridge.vlanFiltering !== 0 || vlansOf(config) === undefined) return;
  if (command !== "CHECK" && isListed(found, policy().bridges.filterVlans)) return;
  throw new Failure(
    "invalid config",
    `bridge "${name}" does not filter VLANs`,
    `"vlan" and "vlanTrunk" would have no effect. Run \`ip link set ${shellWord(name)} type bridge vlan_filtering 1\` ` +
      "(nmstate: bridge.options.vlan-default-pvid and port.vlan), let ADD enable VLAN filtering (bridges.filterVlans in /etc/cni/podnic.json), or remove the keys.",
  );
}

/** A bridge drops what is longer than the port that it leaves by. One without ports takes the MTU of the first. */
function checkMtu({ name, index, mtu }: Bridge, { config }: Call<BridgeConfig>): void {
  const wanted = config.mtu ?? 0;
  if (wanted > mtu && listLinks(ownNamespace().route).some(({ master }) => master === index))
    throw mtuRefusal(name, mtu, wanted);
}

/** With the first port on it: one whose MTU somebody has set keeps that, and the next pod would be refused. */
export function checkMtuAgain({ config }: Call<BridgeConfig>, { name, index, mtu }: Bridge): void {
  const wanted = config.mtu ?? 0;
  const now = wanted > mtu ? getBridge(ownNamespace().route, index)?.mtu : undefined;
  if (now !== undefined && now < wanted) throw mtuRefusal(name, now, wanted);
}

function mtuRefusal(name: string, mtu: number, wanted: number): Failure {
  return new Failure(
    "invalid config",
    `invalid MTU ${wanted}, must be [0, MTU of bridge "${name}"(${mtu})]`,
    `The other ports of the bridge would silently drop longer frames. Lower "mtu", or raise the MTU of the bridge and its ports.`,
  );
}

/**
 * The one that was `known` a moment ago; else finds it, or makes it. It stays when the ADD fails: others may use it by then. undefined: it was
 * removed in between.
 */
export function bridgeFor(call: Call<BridgeConfig>, known?: Bridge): Bridge | undefined {
  let found = known ?? existingBridge(call);
  if (found === undefined) {
    make(call, bridgeName(call));
    found = existingBridge(call);
  }
  return found && prepared(found, call);
}

function make({ config }: Call<BridgeConfig>, name: string): void {
  const { route } = ownNamespace();
  const request: NewBridge = { name, mac: macMarkOf(name) + randomMac().slice(-8) };
  if (config.mtu) request.mtu = config.mtu;
  if (vlansOf(config) !== undefined) request.vlanFiltering = true;
  try {
    addBridge(route, request);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    // Another ADD was faster.
    if (error.code === "EEXIST") return;
    throw refusal(error, request);
  }
}

function refusal(error: NetlinkError, { name, vlanFiltering, mtu }: NewBridge): Failure {
  const unsupported =
    vlanFiltering === true
      ? "The kernel does not support bridges, or VLAN filtering on bridges (CONFIG_BRIDGE, CONFIG_BRIDGE_VLAN_FILTERING)."
      : "The kernel does not support bridges. Run `modprobe bridge`, or use a kernel that has bridge support.";
  const causes: { [code: string]: string } = {
    EOPNOTSUPP: unsupported,
    EPERM: "Creating links requires CAP_NET_ADMIN.",
    EINVAL: mtu === undefined ? "" : `The kernel does not accept the MTU ${mtu} or this name.`,
  };
  return new Failure("failed", `could not add "${name}": ${error.message}`, causes[error.code] ?? "");
}

/**
 * A bridge whose MTU nobody has set has that of its smallest port: all others get less, and below 1280 it loses its IPv6 addresses for good. One
 * that a new port would make smaller keeps its MTU. Setting it to what it is would change nothing for the kernel, and then not last; less, for a
 * moment, would reach the VLANs on the bridge.
 */
function keepMtu({ index, mtu }: Bridge, wanted: number): void {
  const { route } = ownNamespace();
  if (wanted === 0 || wanted >= mtu || mtu >= MAX_MTU) return;
  const ports = listLinks(route).filter(({ master }) => master === index);
  // It differs from the ports' MTU, so another program has set it.
  if (ports.length > 0 && Math.min(...ports.map((port) => port.mtu)) !== mtu) return;
  beginSetLink(route, index, { mtu: mtu + 1 });
  beginSetLink(route, index, { mtu });
  route.run();
}

/**
 * What the configuration asks of the bridge itself; the node's policy has allowed the filtering (checkFiltering). And what all of ours are, also one
 * that an earlier version or an ADD that was killed has left halfway.
 */
function prepared(bridge: Bridge, { config }: Call<BridgeConfig>): Bridge {
  const ours = isOurs(bridge);
  if (ours && bridge.acceptRa !== undefined && bridge.acceptRa !== 0) ignoreAdvertisements(bridge.name);
  keepMtu(bridge, config.mtu ?? 0);
  if (bridge.bridge.vlanFiltering === 0 && vlansOf(config) !== undefined)
    filterVlans(ownNamespace().route, bridge.index);
  const up = (bridge.flags & IFF_UP) === 0;
  const nameless = ours && bridge.alias === "";
  if (!up && !nameless) return bridge;
  const alias = nameless ? { alias: BRIDGE_ALIAS } : {};
  setLink(ownNamespace().route, bridge.index, { ...alias, ...(up ? { up } : {}) });
  return bridge;
}
