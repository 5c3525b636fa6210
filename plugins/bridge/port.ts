// The veth pair of an attachment: one end is a port of the bridge, and the other end is the pod's interface. The port's alias and name
// identify its owner. podnic therefore needs no file, and the kernel removes all of it together with the port.
import type { Attachment, Call } from "../../src/cni/plugin.ts";
import type { Interface } from "../../src/cni/result.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { HEX } from "../../src/ip/hex.ts";
import { addPair, type Bridge, getWholePort, type NewPort, type WholePort } from "../../src/link/bridge.ts";
import { deleteWithoutWaiting } from "../../src/link/delete.ts";
import { deleteLink, getLink, IFF_UP, type Link, listLinksOfKind } from "../../src/link/link.ts";
import { lost } from "../../src/link/master.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { requireFreeName } from "../../src/link/taken.ts";
import { lookOrDoubt, seeNamespaces } from "../../src/link/visible.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { isNumberOf } from "../../src/netlink/nsid.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { removeFormer, removeLeased } from "../../src/plugin/former.ts";
import { hash32, idInAlias, isCut } from "../../src/plugin/hash.ts";
import { isLent, isLentDevice, isRecorded } from "../../src/plugin/lent/lender.ts";
import { waitForTeardown } from "../../src/plugin/lent/wait.ts";
import { wantedMac } from "../../src/plugin/mac.ts";
import { hasOwnMac, isAnothers, leaveTo, otherAttachmentOf, otherOwnerOf } from "../../src/plugin/owner.ts";
import { interfacesGiven } from "../../src/plugin/results.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";
import { ignoreAdvertisements } from "./advertisements.ts";
import { hadNoAlias, isAliasOf, isPromiscuous, type Marks, ownerOf, portAlias, type Rules, rulesOf } from "./alias.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { bridgeName } from "./config.ts";
import { randomMac } from "./find.ts";
import { settlePromiscuity } from "./promiscuity.ts";

/** Names tried for a port: another link may have one by chance, and an attachment that was added twice has two. */
const NAMES = 4;
const NAME = /^veth[0-9a-f]{8}$/;
/** The kernel takes the lowest MAC of its ports for a bridge without one of its own: ours shall never be that. */
export const HIGH_MAC = 0xfe;

/** Names of ports of this attachment. udev, NetworkManager and networkd know links called veth… and leave them alone. */
export function portNames(attachment: Attachment): string[] {
  return Array.from({ length: NAMES }, (_, n) => portName(attachment, n));
}

function portName({ network, containerId, ifName }: Attachment, n: number): string {
  return `veth${hash(`${n}:${network}:${containerId}:${ifName}`)}`;
}

/** 8 hex digits. A name that two attachments share costs a second try, no more. */
export function hash(text: string): string {
  return hash32(text).toString(16).padStart(8, "0");
}

/** Begins the MAC address of a port: its name again. A port whose alias is missing is known by it. */
export function macMark(name: string): string {
  const pair = (from: number): string => name.slice(from, from + 2 || undefined);
  return `${HIGH_MAC.toString(16)}:${pair(-8)}:${pair(-6)}:${pair(-4)}:${pair(-2)}:`;
}

export interface Pair {
  port: NewPort;
  /** MAC of the pod's end. */
  mac: string;
}

/**
 * Makes the pair, both ends down, with an alias from its first moment. It is gone again when the transaction is rolled back. undefined: the
 * bridge has just been removed, and nothing was made.
 */
export function makePair(call: Call<BridgeConfig>, pod: NetNs, bridge: Bridge, marks: Marks): Pair | undefined {
  const { route } = ownNamespace();
  const mac = wantedMac(call) || randomMac();
  const mtu = call.config.mtu || bridge.mtu;
  const far = { name: call.attachment.ifName, mac, mtu, netns: pod.fd };
  const alias = portAlias(call.attachment, marks);
  for (let n = 0; n < NAMES; n++) {
    const name = portName(call.attachment, n);
    // The request for the alias names the link, and must not find another's.
    if (getLink(route, name) !== undefined) continue;
    let made: () => NewPort | undefined;
    try {
      made = addPair(
        route,
        { name, mac: macMark(name) + HEX[host.random(1)[0]!], mtu, master: bridge.index, alias },
        far,
      );
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      if (lost.includes(error.code)) call.transaction.onRollback(`delete ${name}`, () => void deletePorts(call));
      if (error.code === "EEXIST") {
        requireFreeName(pod, far.name);
        continue;
      }
      if (isBridgeGone(error, bridge)) return undefined;
      throw refusal(error, bridge, mtu);
    }
    call.transaction.onRollback(`delete ${name}`, () => deleteByName(name));
    const port = made();
    if (port === undefined) throw disappeared(name);
    // The bridge takes its frames; but a bridge may be removed, and its ports stay up.
    ignoreAdvertisements(name);
    return { port, mac };
  }
  throw new Failure(
    "failed",
    `cannot name the port of ${far.name}: file exists`,
    `The host already has links called ${portNames(call.attachment).join(", ")}. Either they belong to another program, or the ` +
      "attachment already has these ports and must be removed with DEL first.",
  );
}

export function disappeared(name: string): Failure {
  return new Failure(
    "try again",
    `"${name}" disappeared while it was being created`,
    "Another program removed or renamed it, or removed the pod's namespace. Try again.",
  );
}

function isBridgeGone(error: NetlinkError, { index }: Bridge): boolean {
  if (error.code !== "EINVAL" && error.code !== "ENODEV" && error.code !== "EBUSY") return false;
  return getLink(ownNamespace().route, index) === undefined;
}

function refusal(error: NetlinkError, bridge: Bridge, mtu: number): Failure {
  const causes: { [code: string]: string } = {
    EXFULL: `Bridge "${bridge.name}" is full: a bridge has at most 1023 ports. Use a second bridge, or macvlan, which has no such limit.`,
    EOPNOTSUPP: "The kernel does not support veth. Run `modprobe veth`, or use a kernel that has veth support.",
    EPERM: "Creating links requires CAP_NET_ADMIN in the namespaces of the host and the pod.",
    EADDRNOTAVAIL: "An interface cannot have this MAC address.",
    EINVAL: `The kernel does not create a veth with an MTU of ${mtu} on this bridge.`,
    EBUSY: `Bridge "${bridge.name}" does not accept another port at the moment.`,
  };
  return new Failure("failed", `failed to create veth: ${error.message}`, causes[error.code] ?? "");
}

function deleteByName(name: string): void {
  const { route } = ownNamespace();
  const link = getLink(route, name);
  if (link?.name !== name) return;
  deleteLink(route, link.index);
  if (isPromiscuous(link.alias)) settlePromiscuity(link.master);
}

/**
 * A port whose alias says so; or one with our name, a MAC address as ADD gives, and no alias, which nobody has seen up: earlier versions wrote the
 * alias later, and an ADD may have ended before that; or not at all when it was too long.
 */
function isOwn(link: Link, attachment: Attachment): boolean {
  if (link.kind !== "veth") return false;
  if (isAliasOf(link.alias, attachment)) return true;
  if (!portNames(attachment).includes(link.name) || link.alias !== "") return false;
  if (!link.mac.startsWith(macMark(link.name))) return false;
  return hadNoAlias(attachment) || (link.flags & IFF_UP) === 0;
}

/** By its MAC address, a port that ADD gave an alias. */
export function isMade({ mac }: Link, attachment: Attachment): boolean {
  return !hadNoAlias(attachment) && portNames(attachment).some((name) => mac.startsWith(macMark(name)));
}

/** What isElsewhere has seen, for the DEL that follows. */
let seen: { of: Attachment; ports: Link[] } | undefined;

/** DEL, before it is confined: there is no port, but a record, so that another plugin has to return a device (former.ts). */
export function isElsewhere({ attachment }: Call): boolean {
  const ports = ownPorts(attachment);
  seen = { of: attachment, ports };
  return ports.length === 0 && isRecorded(attachment);
}

/**
 * Ports of this attachment that ADD of podnic made. Looked up by name; a port that was renamed is found by its alias, in a dump, which
 * is left out when one was found.
 */
export function ownPorts(attachment: Attachment): Link[] {
  const { route } = ownNamespace();
  const known = seen?.of === attachment ? seen.ports : [];
  seen = undefined;
  if (known.length > 0) return known;
  const named = portNames(attachment)
    .map((name) => getLink(route, name))
    .filter((link) => link !== undefined && isOwn(link, attachment)) as Link[];
  if (named.length > 0) return named;
  return listLinksOfKind(route, "veth").filter((link) => isOwn(link, attachment));
}

/**
 * The port of an attachment that the Go plugin made: the one that the prevResult names, else the other end of the pod's interface. KubeVirt
 * renames that (podNAME to NAME-nic) and puts a dummy in its place. The author of a network can write a prevResult, so the other end of the
 * named port must be in the pod too. Throws when the pod's namespace may be there and cannot be looked into.
 */
function foreignPort(call: Call<BridgeConfig>): Link | undefined {
  if (!wasAdded(call)) return undefined;
  const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
  if (pod === undefined) return undefined;
  const { route } = ownNamespace();
  const { ifName } = call.attachment;
  const bridge = getLink(route, bridgeName(call));
  const told = toldPort(call);
  if (told !== undefined) {
    const [first, { name, mac }, inPod] = told;
    const link = getLink(route, name);
    // The network may name another bridge by now.
    const isIt = link?.kind === "veth" && link.mac === mac && isOtherEnd(pod, link, ifName, inPod.mac);
    if (isIt && [bridge, getLink(route, first.name)].some((each) => isForeign(link, each))) return link;
  }
  const found = foreignIn(call, pod, bridge);
  return found === undefined || isAnothers(call, pod, found.near) ? undefined : found.port;
}

interface Ends {
  port: Link;
  /** In the pod. */
  near: Link;
}

/** A port as the Go plugin makes it, by its other end in the pod; nothing says that it is that of this attachment. */
function foreignIn(call: Call<BridgeConfig>, pod: NetNs, bridge: Link | undefined): Ends | undefined {
  const { route } = ownNamespace();
  const { ifName } = call.attachment;
  for (const name of [ifName, kubevirtName(ifName)]) {
    const near = getLink(pod.route, name);
    if (near?.kind !== "veth" || near.parent === 0 || isOtherMac(call, near) || isLent(pod, near)) continue;
    // Its other end is on the host: a pod can have one elsewhere, with the index of another pod's port.
    if (!isNumberOf(pod.route, near.linkNetnsid, ownNamespace().fd)) continue;
    const port = getLink(route, near.parent);
    // One that is on no bridge may be another plugin's (ptp, Calico): the pod's own eth0.
    const isOnBridge = bridge !== undefined && port?.master === bridge.index;
    if (port?.kind === "veth" && port.parent === near.index && isOnBridge && isForeign(port, bridge))
      return { port, near };
  }
  return undefined;
}

/**
 * The bridge, its port and the pod's interface in the prevResult. The Go plugin's order is this; other plugins of a chain have host's ends in it
 * too.
 */
export function toldPort(
  { prevResult, attachment }: Call,
  all = prevResult?.interfaces ?? [],
): [Interface, Interface, Interface] | undefined {
  const at = all.findIndex(({ name, sandbox }) => sandbox && name === attachment.ifName);
  const [first, port] = [all[at - 2], all[at - 1]];
  if (at < 2 || !first || !port?.mac || first.sandbox || port.sandbox) return undefined;
  return [first, port, all[at]!];
}

/** Whether the other end of a port is in the pod, as the interface of the attachment: by its name, or by its MAC address if it was renamed. */
function isOtherEnd(
  pod: NetNs,
  { index, linkNetnsid, parent }: Link,
  ifName: string,
  mac: string | undefined,
): boolean {
  if (!isNumberOf(ownNamespace().route, linkNetnsid, pod.fd)) return false;
  const near = getLink(pod.route, parent);
  return near?.parent === index && (near.name === ifName || near.name === kubevirtName(ifName) || near.mac === mac);
}

export function kubevirtName(ifName: string): string {
  return `${ifName.replace(/^pod/, "")}-nic`;
}

/** KubeVirt gives the interface that it renames another address. */
function isOtherMac({ prevResult, attachment }: Call, near: Link): boolean {
  const known = prevResult?.interfaces.filter((each) => each.name === attachment.ifName && each.sandbox).at(-1);
  return known?.mac !== undefined && near.name === attachment.ifName && known.mac !== near.mac;
}

/** No attachment of ours; and on our bridge, or on none any more. */
function isForeign(link: Link, bridge: Link | undefined): boolean {
  if (link.alias.startsWith(aliasPrefix)) return false;
  return link.master === 0 || link.master === bridge?.index;
}

/**
 * Deletes what ADD made, whoever's: the host's end takes the pod's with it, wherever that is and whatever it is called. Returns the rules that
 * ADD made; undefined: nobody says. `beforeOthers`: runs when there is none of podnic's, which must go whatever the state of the rules is.
 */
export function deletePorts(call: Call<BridgeConfig>, beforeOthers?: () => void): Rules | undefined {
  const ports = ownPorts(call.attachment);
  if (ports.length === 0) beforeOthers?.();
  const foreign = ports.length === 0 ? (foreignPort(call) ?? portOfFormerName(call)) : undefined;
  for (const port of foreign === undefined ? ports : [foreign]) deletePort(port);
  if (ports.length === 0 && foreign === undefined && !removeFormer(call, "bridge")) {
    requireGone(call);
    removeLeased(call);
  }
  // An attachment that was added twice has the rules of its last ADD.
  return ports.length > 1 ? undefined : rulesOf((foreign ?? ports[0])?.alias ?? "");
}

/**
 * podnic's port of the same container and interface, but another network: with the MAC address in the prevResult the network has another name since.
 * Without a prevResult it may be that of a second network, whose name made our ADD fail.
 */
function portOfFormerName(call: Call): Link | undefined {
  const { containerId, ifName } = call.attachment;
  const pod = call.command !== "DEL" || call.netns === "" ? undefined : openNamespace(call.netns, "ok");
  const near = pod && getLink(pod.route, ifName);
  if (pod === undefined || near?.kind !== "veth" || near.name !== ifName || near.parent === 0) return undefined;
  const port = getLink(ownNamespace().route, near.parent);
  const owner = port?.kind === "veth" && port.parent === near.index ? ownerOf(port.alias) : undefined;
  if (port === undefined || owner?.containerId !== idInAlias(containerId) || owner.ifName !== ifName) return undefined;
  if (!isNumberOf(pod.route, near.linkNetnsid, ownNamespace().fd) || !isPortOf(port, owner)) return undefined;
  if (hasOwnMac(near, call) !== true) {
    leaveTo(`${containerId} (${owner.network})`, near);
    return undefined;
  }
  log("warning", "the network's name has changed since ADD", { before: owner.network, interface: ifName });
  return port;
}

/**
 * The Go plugin's port that the ADD reported, by the prevResult or by what libcni keeps, when no path leads to the pod's namespace: its other end is
 * in one, with the address. Whoever writes the network can write a prevResult, so nothing is deleted by it.
 */
function unseenPort(call: Call<BridgeConfig>): Link | undefined {
  const told = toldPort(call, interfacesGiven(call));
  if (told === undefined || (call.netns !== "" && openNamespace(call.netns, "ok") !== undefined)) return undefined;
  const [first, { name, mac }] = told;
  const { route } = ownNamespace();
  const link = getLink(route, name);
  const isIt = link?.kind === "veth" && link.mac === mac && link.linkNetnsid !== undefined;
  return isIt && isForeign(link, getLink(route, first.name)) ? link : undefined;
}

/** Throws Failure when the pod's end of the port is certainly somewhere. */
function requireGone(call: Call<BridgeConfig>): void {
  const port = unseenPort(call);
  // A namespace that has just ended.
  if (port === undefined || waitForTeardown(() => (unseenPort(call) ? undefined : true)) === true) return;
  const end = otherEndOf(call, port);
  if (end?.owner !== undefined) {
    leaveTo(end.owner, port);
    return;
  }
  const [what, why] =
    end === undefined
      ? [
          "but podnic cannot find its pod's network namespace",
          `The port's other end is in another namespace, and a process probably holds that namespace open. The address was not released. DEL succeeds when the namespace or the port is deleted (ip link del dev ${shellWord(port.name)}).`,
        ]
      : [
          `and its other end is in ${end.path}`,
          `CNI_NETNS does not lead to this namespace, and only the prevResult names the port. The address was not released. If the namespace belongs to this pod, delete the namespace or the port (ip link del dev ${shellWord(port.name)}). If it belongs to another pod, remove "prevResult" from the network's configuration. Then repeat the DEL.`,
        ];
  throw new Failure("try again", `port "${port.name}" still exists, ${what}`, why);
}

/** Where the port's other end is, if podnic can look into that namespace, and the container of another attachment that has it. */
function otherEndOf(call: Call, { index, linkNetnsid, parent }: Link) {
  for (const { path } of seeNamespaces().namespaces) {
    const { found } = lookOrDoubt(path, (from) => {
      if (!isNumberOf(ownNamespace().route, linkNetnsid, from.fd)) return undefined;
      const near = getLink(from.route, parent);
      return near?.parent === index ? { path, owner: otherAttachmentOf(call, from, near) } : undefined;
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Whether a link with the alias of an attachment is its port. Whoever owns a link chooses its alias: ours is on a bridge, or has the name that ADD
 * gives and is no device that is lent. Throws SystemError when the records of those cannot be read.
 */
export function isPortOf(link: Link, owner: Attachment): boolean {
  if (link.slaveKind === "bridge") return true;
  const isSomeCut = isCut(owner.containerId) || isCut(owner.network);
  const isNamed = isSomeCut ? NAME.test(link.name) : portNames(owner).includes(link.name);
  return isNamed && !isLentDevice(link);
}

/** Deletes a port and its other end, and what the bridge was given for it alone. */
export function deletePort({ index, alias, master }: Link): void {
  deleteWithoutWaiting(ownNamespace(), index);
  if (isPromiscuous(alias)) settlePromiscuity(master);
}

/** The port that DEL has left, because its pod cannot be found, or for lack of evidence that it is that of this attachment or of another one. */
export function leftPort(call: Call<BridgeConfig>): Link | undefined {
  const pod = call.netns === "" ? undefined : openNamespace(call.netns, "ok");
  if (pod === undefined) return unseenPort(call);
  const found = foreignIn(call, pod, getLink(ownNamespace().route, bridgeName(call)));
  return found === undefined || otherOwnerOf(call, pod, found.near) !== undefined ? undefined : found.port;
}

/** Of several ports of an attachment, which was added more than once, the one that leads to the pod of this call. */
function portInto({ netns }: Call, ports: Link[]): Link | undefined {
  const pod = netns === "" ? undefined : openNamespace(netns, "ok");
  const leadsToPod = ({ linkNetnsid }: Link) => isNumberOf(ownNamespace().route, linkNetnsid, pod!.fd);
  return (pod && ports.find(leadsToPod)) ?? ports[0];
}

/** The port of a running attachment. */
export function portOf(call: Call<BridgeConfig>): WholePort | undefined {
  const ports = ownPorts(call.attachment);
  const link = (ports.length > 1 ? portInto(call, ports) : ports[0]) ?? foreignPort(call);
  return link === undefined ? undefined : getWholePort(ownNamespace().route, link.index);
}
