// macspoofchk: only frames with the pod's MAC address pass. Either the bridge checks them (with a locked port and a pinned address), or
// nftables rules do.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { parseMac } from "../../src/ip/mac.ts";
import {
  type Bridge,
  beginSetPort,
  listMacsBehind,
  listVlans,
  type NewPort,
  type Port,
  stopLinkLocalLearning,
} from "../../src/link/bridge.ts";
import { getLink, type Link } from "../../src/link/link.ts";
import { openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { log } from "../../src/log.ts";
import type { PortAttributes } from "../../src/netlink/bridge.ts";
import type { NetlinkError } from "../../src/netlink/errors.ts";
import { openIfAny } from "../../src/nftables/attempt.ts";
import type { Made } from "../../src/nftables/made.ts";
import { spoofId } from "../../src/nftables/names.ts";
import { NftSocket } from "../../src/nftables/socket.ts";
import {
  addSpoofCheck,
  checkSpoofCheck,
  portOfSpoofCheck,
  removeNewSpoofCheck,
  removeSpoofCheck,
} from "../../src/nftables/spoof-check.ts";
import { checkFailure } from "../../src/plugin/check.ts";
import { wantedMac } from "../../src/plugin/mac.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { pinAgain } from "./mac.ts";

/**
 * Whether the bridge does it: since Linux 5.18 the kernel tells of each port whether it is locked. Throws Failure when it must and
 * cannot.
 */
export function locksPort({ config }: Call<BridgeConfig>, { port }: Pick<Port, "port">): boolean {
  if (config.macspoofchk !== true || config.macspoofchkBackend === "nftables") return false;
  if (port.locked !== undefined) return true;
  if (config.macspoofchkBackend !== "bridge") return false;
  throw new Failure(
    "invalid config",
    "this kernel cannot lock bridge ports",
    '"macspoofchkBackend": "bridge" requires Linux 5.18. Use "nftables", or remove the key to let podnic choose.',
  );
}

/** A locked port learns no address, and drops frames from addresses that the bridge does not know on this port. */
const LOCKED: PortAttributes = { learning: 0, locked: 1 };
const UNLOCKED: PortAttributes = { learning: 1, locked: 0 };

/**
 * Decides who checks the frames of a port. `lock`: the bridge does, and the port gets these attributes. `jump`: nftables do, by rules with
 * this handle. A MAC address that somebody asked for may belong to a host that the bridge has not heard from for a while. If the address were
 * pinned to this port, the bridge would never learn where that host is, and would send all its frames here. nftables therefore check such a
 * port, unless the kernel has none or the configuration demands the bridge.
 */
export function checkSource(
  call: Call<BridgeConfig>,
  on: Bridge,
  port: NewPort,
  mac: string,
): { lock?: PortAttributes; jump?: number } {
  if (call.config.macspoofchk !== true) return {};
  const locks = locksPort(call, port);
  const mayPin = wantedMac(call) === "" || call.config.macspoofchkBackend === "bridge";
  if (locks && mayPin) return { lock: LOCKED };
  try {
    return { jump: checkByRules(call, on, port.name, mac) };
  } catch (cause) {
    if (!locks || !(cause instanceof Failure)) throw cause;
    return { lock: LOCKED };
  }
}

/**
 * The kernel refused to pin the address of a locked port. EEXIST: the bridge has seen it on another port, as that of a virtual machine
 * that is about to migrate here: until it does, frames to it belong there, and nftables check the port. If only the bridge can or shall check, the
 * ADD is refused.
 */
export function pinnedElsewhere(
  call: Call<BridgeConfig>,
  on: Bridge,
  port: NewPort,
  mac: string,
  error: NetlinkError,
): void {
  const { route } = ownNamespace();
  if (error.code !== "EEXIST") throw error;
  if (call.config.macspoofchkBackend === "bridge") {
    pinAgain(call, on, port, mac);
    return;
  }
  try {
    checkByRules(call, on, port.name, mac);
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    pinAgain(call, on, port, mac);
    return;
  }
  beginSetPort(route, port.index, UNLOCKED, []);
  route.run();
}

/**
 * By nftables. Removed again when the transaction is rolled back, but for what the bridge does not learn any more, which others rely on by then.
 * Returns a handle for forgetSpoofRules.
 */
function checkByRules(call: Call<BridgeConfig>, on: Bridge, port: string, mac: string): number {
  const nft = NftSocket.open();
  if (!stopLinkLocalLearning(ownNamespace().route, on))
    log(
      "warning",
      "macspoofchk: before Linux 5.0, bridges learn addresses from link-local frames, which nftables does not see, so the pod can receive frames for other addresses",
      { bridge: on.name },
    );
  let made: Made | undefined;
  call.transaction.onRollback("remove the rules of macspoofchk", () => {
    removeSpoofCheck(nft, spoofId(call.attachment), undefined, call.attachment);
    if (made !== undefined) removeNewSpoofCheck(nft, made);
  });
  return addSpoofCheck(nft, call.attachment, port, parseMac(mac)!, (now) => {
    made = now;
  });
}

/** CHECK. Throws Failure unless one of the two is in place. */
export function checkSpoofing({ attachment, config }: Call<BridgeConfig>, on: Bridge, port: Port, mac: string): void {
  if (port.port.locked === 1) {
    checkLocked(on, port, mac);
    return;
  }
  if (config.macspoofchkBackend === "bridge")
    throw checkFailure(`macspoofchk: port ${port.name}: the port is not locked`);
  const nft = NftSocket.open();
  try {
    checkSpoofCheck(nft, spoofId(attachment), port.name, parseMac(mac)!);
  } finally {
    nft.close();
  }
}

/** Frames pass whose address the bridge knows on this port, in their VLAN: that of the pod, in each, and no other. */
function checkLocked({ bridge }: Bridge, { name, index, port }: Port, mac: string): void {
  const { route } = ownNamespace();
  const known = listMacsBehind(route, index);
  const pinned = new Set(known.filter((one) => one.mac === mac && one.sticky).map(({ vlan }) => vlan));
  const vlans = bridge.vlanFiltering === 1 ? listVlans(route, index) : [];
  const none = { first: 0, last: 0 };
  for (const { first, last } of vlans.length === 0 ? [none] : vlans)
    for (let vlan = first; vlan <= last; vlan++) {
      if (pinned.has(vlan)) continue;
      const where = vlan === 0 ? "" : ` in VLAN ${vlan}`;
      throw checkFailure(`macspoofchk: port ${name}: the bridge has no pinned entry for ${mac} on this port${where}`);
    }
  if (port.learning === 1)
    throw checkFailure(`macspoofchk: port ${name} has learning turned on, so it also accepts addresses that it learns`);
  const other = known.find((one) => one.mac !== mac);
  if (other !== undefined) throw checkFailure(`macspoofchk: port ${name} also lets frames from ${other.mac} pass`);
}

/** DEL: the Go plugin's rules, and ours. What the bridge checks with goes with the port. True: there was something. */
export function forgetSpoofRules(nft: NftSocket, { attachment }: Call, jump?: number): boolean {
  return removeSpoofCheck(nft, spoofId(attachment), jump, attachment);
}

/**
 * The Go plugin's port, when no path leads to the pod's namespace: the one that the rules name, if it is on a bridge, and its other end in another
 * namespace, where nobody can see what becomes of it. Rules are the plugins' to write, and their names are the attachment's alone.
 */
export function checkedPort({ attachment, config, netns }: Call<BridgeConfig>): Link | undefined {
  if (config.macspoofchk === false || (netns !== "" && openNamespace(netns, "ok") !== undefined)) return undefined;
  const nft = openIfAny();
  if (nft === undefined) return undefined;
  try {
    const name = portOfSpoofCheck(nft, attachment);
    const link = name === "" ? undefined : getLink(ownNamespace().route, name);
    const isIt = link?.kind === "veth" && link.slaveKind === "bridge" && link.linkNetnsid !== undefined;
    return isIt && !link.alias.startsWith(aliasPrefix) ? link : undefined;
  } finally {
    nft.close();
  }
}
