// Makes the host the pods' gateway: enables forwarding, and adds the gateway's address to the bridge or, with `vlan`, to an interface in this
// VLAN.
import type { Call } from "../../src/cni/plugin.ts";
import type { IpConfig } from "../../src/cni/result.ts";
import { ownPlace, type Place, policy } from "../../src/config/policy.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { formatPrefix, type Prefix, parsePrefix } from "../../src/ip/address.ts";
import { networkPrefix, prefixContains, samePrefix } from "../../src/ip/range.ts";
import {
  beginAddAddress,
  beginDeleteAddress,
  broadcastOf,
  type KernelAddress,
  listAddresses,
  type NewAddress,
} from "../../src/link/address.ts";
import { type Bridge, getBridge } from "../../src/link/bridge.ts";
import { type Link, listLinksOfKind, setLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { isConnected } from "../../src/link/route.ts";
import { readSysctl, writeSysctl } from "../../src/link/sysctl.ts";
import { IFA_F_NODAD, IFA_F_NOPREFIXROUTE } from "../../src/netlink/constants.ts";
import type { NetlinkError } from "../../src/netlink/errors.ts";
import { checkFailure } from "../../src/plugin/check.ts";
import { lockOrGoOn } from "../../src/plugin/lent/lock.ts";
import { withDirectory } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { isAddressSet } from "../../src/sysfs/device.ts";
import { refuseHeld } from "./addresses.ts";
import { keepAdvertisements } from "./advertisements.ts";
import { isAliasOf } from "./alias.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { bridgeName } from "./config.ts";
import { isOurs } from "./find.ts";
import { refuseTaken, refuseToRemove, refuseToTake, refuseUnlisted } from "./gateway-limits.ts";
import {
  completeVlanInterface,
  findVlanInterface,
  isIn,
  makeVlanInterface,
  VLAN_ALIAS,
  vlanInterfaceName,
} from "./vlan-gateway.ts";

const STATE = ownPlace("/run/podnic");
const LOCKS = `${STATE.path}/bridge`;
/** Where the calls of a gateway write. */
export const PLACES: readonly Place[] = [STATE];
const NO_MAC = "00:00:00:00:00:00";

/** Runs `body` while no other call changes the gateway of this bridge. */
function whileLocked<T>(bridge: string, body: () => T): T {
  return withDirectory(LOCKS, { mode: 0o700 }, (dir) =>
    withLock(dir, `${bridge}.lock`, policy().lockTimeout, body),
  ) as T;
}

/** The same for who cleans up: without the directory, as after a boot, nobody has the lock. */
export function underLockIfAny(bridge: string, body: () => void): void {
  lockOrGoOn(LOCKS, `${bridge}.lock`, policy().lockTimeout, body);
}

/**
 * Throws Failure when the host may not be the gateway, as far as that can be told before the port is made. Returns the index of the bridge that
 * has the addresses already; 0: some are missing, or it is not known yet. `ips`: the pod's, none of which the host may keep there.
 */
export function planGateway(
  call: Call<BridgeConfig>,
  bridge: Bridge | undefined,
  gateways: Prefix[],
  ips: IpConfig[] = [],
): number {
  refuseUnlisted(gateways);
  if (bridge === undefined) {
    planAddresses(call, undefined, false, gateways);
    return 0;
  }
  const { on, added, has, removed } = planOn(call, bridge, gateways);
  const kept = has.filter((one) => !removed.includes(one));
  if (on !== undefined) refuseHeld(on.name, kept, ips);
  // The interface of the VLAN goes with its last port: only under the lock it is there to stay.
  return added.length === 0 && (call.config.vlan ?? 0) === 0 ? bridge.index : 0;
}

/** Of the interface that has the gateways' addresses. */
function holderName(call: Call<BridgeConfig>): string {
  const { vlan = 0 } = call.config;
  return vlan === 0 ? bridgeName(call) : vlanInterfaceName(bridgeName(call), vlan);
}

/** Gives the host the gateways' addresses and lets it forward. `ready`: what planGateway has returned. Returns the interface that has them. */
export function makeGateway(call: Call<BridgeConfig>, bridge: Bridge, gateways: Prefix[], ready: number): Link {
  // Nearly always it has them already. An ADD that fails takes those back that it gave to a bridge of others: see takeBack.
  const isReady = ready === bridge.index && (isOurs(bridge) || missing(bridge, gateways).length === 0);
  if (isReady) pinMac(bridge);
  const link = isReady ? bridge : whileLocked(bridge.name, () => giveAddresses(call, bridge, gateways));
  forward(gateways);
  return link;
}

type Held = Parameters<typeof beginDeleteAddress>[2];

interface Changes {
  added: Prefix[];
  removed: KernelAddress[];
  /** Before them. */
  has: KernelAddress[];
}

interface Plan extends Changes {
  /** The bridge, or the interface of the VLAN; undefined: it is yet to be made. */
  on: Link | undefined;
}

/** What an ADD would do now. Throws Failure when it would be refused. */
export function planOn(call: Call<BridgeConfig>, bridge: Bridge, gateways: Prefix[]): Plan {
  try {
    return planOnce(call, bridge, gateways);
  } catch (error) {
    // The interface of a VLAN may have gone meanwhile, with the last pod in it.
    if ((call.config.vlan ?? 0) === 0) throw error;
    return planOnce(call, bridge, gateways);
  }
}

function planOnce(call: Call<BridgeConfig>, bridge: Bridge, gateways: Prefix[]): Plan {
  const { vlan = 0 } = call.config;
  const on = vlan === 0 ? bridge : findVlanInterface(bridge, vlan);
  const ours = on !== undefined && (vlan === 0 ? isOurs(bridge) : on.alias === VLAN_ALIAS);
  const changes = planAddresses(call, on, ours, gateways);
  const [first] = changes.removed;
  if (first !== undefined) refuseToTake(call, bridge, first, ({ index }) => vlan === 0 || isIn(index, vlan));
  return { on, ...changes };
}

function giveAddresses(call: Call<BridgeConfig>, bridge: Bridge, gateways: Prefix[]): Link {
  const plan = planOn(call, bridge, gateways);
  const { vlan = 0 } = call.config;
  // First: the interface of a VLAN has the bridge's MAC address, and makes its link-local address of that.
  pinMac(bridge);
  const on = plan.on ?? makeVlanInterface(bridge, vlan);
  if (on.alias === VLAN_ALIAS && plan.on !== undefined) completeVlanInterface(bridge, vlan, on);
  changeAddresses(on, plan);
  // What ADD gives its own bridge stays with that.
  if (on.index === bridge.index && !isOurs(bridge) && plan.added.length > 0)
    call.transaction.onRollback(`restore the addresses of ${bridge.name}`, () =>
      whileLocked(bridge.name, () => takeBack(call, bridge, plan)),
    );
  return on;
}

/**
 * The bridge has the addresses that it had, unless other pods may have come to rely on those of this ADD. One that comes meanwhile looks for
 * them when its port is there, and here the ports are looked at once more.
 */
function takeBack(call: Call, bridge: Bridge, { added, removed }: Changes): void {
  const hasPods = (): boolean =>
    listLinksOfKind(ownNamespace().route, "veth").some(
      ({ master, alias }) => master === bridge.index && !isAliasOf(alias, call.attachment),
    );
  if (!hasPods()) {
    tryChange(bridge, added, removed.map(again));
    if (!hasPods()) return;
    tryChange(bridge, removed, added.map(newAddress));
  }
  const kept = added.map(formatPrefix).join(", ");
  throw new Failure("failed", `${bridge.name} keeps the gateway ${kept}, because pods on its other ports might use it`);
}

function missing(link: Link, gateways: Prefix[]): Prefix[] {
  return without(listAddresses(ownNamespace().route, link.index), gateways);
}

function without(has: KernelAddress[], gateways: Prefix[]): Prefix[] {
  return gateways.filter((gateway) => !has.some((address) => samePrefix(address, gateway)));
}

/** `link` undefined: it is yet to be made. Throws Failure for what it must not have, or must not lose. */
function planAddresses(call: Call<BridgeConfig>, link: Link | undefined, ours: boolean, gateways: Prefix[]): Changes {
  // Those of another family do not matter.
  const first = gateways[0]?.address.family ?? 0;
  const family = gateways.every(({ address }) => address.family === first) ? first : 0;
  const has = link === undefined ? [] : listAddresses(ownNamespace().route, link.index, family);
  const added = without(has, gateways);
  const removed = has.filter((address) => added.some((gateway) => conflict(address, gateway)));
  const [lost] = removed;
  if (link !== undefined && lost !== undefined) {
    if (call.config.forceAddress !== true) throw refusal(link, lost, added[0]!);
    refuseToRemove(link, ours, lost);
  }
  const name = holderName(call);
  refuseTaken(link, name, added);
  refuseWithoutIpv6(name, link !== undefined, added);
  if (call.config.forceAddress !== true) refuseLinkLocal(name, added);
  return { added, removed, has };
}

/** All or nothing. */
function changeAddresses(link: Link, { added, removed }: Changes): void {
  const given = added.map(newAddress);
  const [error] = tryChange(link, removed, given);
  if (error === undefined) return;
  tryChange(link, added, removed.map(again));
  const cure = ["EACCES", "EOPNOTSUPP"].includes(error.code) ? ipv6Cure(link.name) : "";
  throw addressRefusal(link.name, error.message, cure);
}

function tryChange({ index }: Link, removed: Held[], added: NewAddress[]): NetlinkError[] {
  const { route } = ownNamespace();
  for (const address of removed) beginDeleteAddress(route, index, address);
  for (const address of added) beginAddAddress(route, index, address);
  return route.runEach().filter((error) => error !== undefined && error.code !== "EEXIST") as NetlinkError[];
}

/** No other host on the bridge has this address, and the pod must not wait for it. */
function newAddress(prefix: Prefix): NewAddress {
  return { prefix, flags: prefix.address.family === 6 ? IFA_F_NODAD : 0, broadcast: broadcastOf(prefix) };
}

/** One that the bridge had, without what the kernel says of its state. */
function again({ address, length, flags, ...rest }: KernelAddress): NewAddress {
  return { ...rest, prefix: { address, length }, flags: flags & (IFA_F_NODAD | IFA_F_NOPREFIXROUTE) };
}

function addressRefusal(name: string, why: string, cure: string): Failure {
  return new Failure("failed", `failed to set bridge addr: could not add IP address to "${name}": ${why}`, cure);
}

function ipv6Cure(name: string): string {
  return `IPv6 is disabled on the host or on ${name}. Enable it, or remove IPv6 from "ipam".`;
}

/** One that is yet to be made gets the setting of all new interfaces. */
function refuseWithoutIpv6(name: string, isThere: boolean, added: Prefix[]): void {
  if (!added.some(({ address }) => address.family === 6)) return;
  const disabled = readSysctl(`net/ipv6/conf/${isThere ? name : "default"}/disable_ipv6`);
  if (disabled === "1" || (disabled === undefined && !isThere))
    throw addressRefusal(name, "permission denied", ipv6Cure(name));
}

const LINK_LOCAL = parsePrefix("fe80::/64")!;

/** It is not there yet, but comes as soon as the link has a carrier: its first port. */
function refuseLinkLocal(name: string, added: Prefix[]): void {
  const clash = added.find((gateway) => conflict(LINK_LOCAL, gateway));
  if (clash === undefined) return;
  throw new Failure(
    "invalid config",
    `"${name}" will have an IP address different from ${formatPrefix(clash)}`,
    'The kernel gives the bridge an address in fe80::/64. Use another subnet in "ipam". "forceAddress": true replaces the address.',
  );
}

/** As the Go plugin has it: IPv4 has one subnet on a bridge, IPv6 as many as do not overlap. */
function conflict({ address, length }: Prefix, gateway: Prefix): boolean {
  if (address.family !== gateway.address.family) return false;
  if (address.family === 4) return true;
  return prefixContains({ address, length }, gateway.address) || prefixContains(gateway, address);
}

function refusal({ name }: Link, { address, length }: KernelAddress, gateway: Prefix): Failure {
  const present = formatPrefix({ address, length });
  return new Failure(
    "invalid config",
    `"${name}" already has an IP address different from ${formatPrefix(gateway)}`,
    `The bridge has ${present}, which another network uses as its gateway or the administrator has set. Use another bridge, or this address and prefix ` +
      'length as the gateway. "forceAddress": true removes the address from the bridge.',
  );
}

/**
 * A bridge that others made may have the lowest address of its ports, and none without ports: then the pods would lose their gateway's
 * address with the next port. It keeps the one it has now. Set only where it is not: the kernel forgets the neighbours then.
 */
function pinMac(bridge: Bridge): void {
  if (isOurs(bridge) || isAddressSet(bridge.name)) return;
  const { route } = ownNamespace();
  const now = bridge.mac === NO_MAC ? getBridge(route, bridge.index)?.mac : bridge.mac;
  if (now !== undefined && now !== NO_MAC) setLink(route, bridge.index, { mac: now });
}

const SWITCHES = { 4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding" } as const;

/** The host forwards packets of these families. Written only when it does not. */
function forward(gateways: Prefix[]): void {
  for (const key of switches(gateways)) {
    if (readSysctl(key) === "1") continue;
    try {
      if (key === SWITCHES[6]) keepAdvertisements();
      writeSysctl(key, "1");
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      const cure = `isGateway requires forwarding. Run \`sysctl -w ${key.replaceAll("/", ".")}=1\` on the host, or allow podnic to write to /proc/sys.`;
      throw new Failure("failed", `failed to enable forwarding: ${error.message}`, cure);
    }
  }
}

function switches(gateways: Prefix[]): string[] {
  return [...new Set(gateways.map(({ address }) => SWITCHES[address.family]))];
}

/** CHECK. Throws Failure when the host is not the gateway of these any more. */
export function checkGateway(link: Link, gateways: Prefix[]): void {
  const cure =
    "Something has changed the gateway since ADD. The next ADD restores it, unless the interface has the address of another network.";
  const { route } = ownNamespace();
  const has = listAddresses(route, link.index);
  const [lost] = without(has, gateways);
  if (lost !== undefined) throw checkFailure(`the gateway ${formatPrefix(lost)} is no longer on ${link.name}`, cure);
  // Who wants no route for an address has others.
  const isRouted = (gateway: Prefix) =>
    has.some((address) => samePrefix(address, gateway) && (address.flags & IFA_F_NOPREFIXROUTE) !== 0) ||
    isConnected(route, link.index, gateway);
  const cut = gateways.find((gateway) => !isRouted(gateway));
  if (cut !== undefined) {
    const subnet = formatPrefix(networkPrefix(cut));
    throw checkFailure(
      `the host's route to the pods' subnet ${subnet} on ${link.name} is missing`,
      `Run \`ip route add ${subnet} dev ${shellWord(link.name)}\` on the host.`,
    );
  }
  const off = switches(gateways).find((key) => readSysctl(key) !== "1");
  if (off !== undefined)
    throw checkFailure(`the host does not forward packets: ${off.replaceAll("/", ".")} is not 1`, cure);
  // The kernel asks the interface only for IPv4.
  const key = `net/ipv4/conf/${link.name}/forwarding`;
  if (gateways.some(({ address }) => address.family === 4) && readSysctl(key) === "0")
    throw checkFailure(
      `the host does not forward packets from ${link.name}: its sysctl forwarding is 0`,
      `Run \`echo 1 >/proc/sys/${shellWord(key)}\` on the host.`,
    );
}
