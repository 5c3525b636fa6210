// Links on a master: macvlan and ipvlan. `ip link add link MASTER name NAME netns POD type KIND`. One request creates the link in the pod's
// namespace under its final name. If it were created on the host and then moved, this would take an RCU barrier (12 to 16 ms, measured), and a
// second name would be visible.
import { Failure, shellWord } from "../errors.ts";
import { formatMac } from "../ip/mac.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { readMade } from "../netlink/link.ts";
import { isNumberOf } from "../netlink/nsid.ts";
import { addLink, askLink, getLink, IFF_LOOPBACK, IFF_UP, type Link, type NewLink, toLink } from "./link.ts";
import { type NetNs, ownNamespace, sameNamespace } from "./namespace.ts";
import { defaultRouteDevice } from "./route.ts";
import { nameTaken } from "./taken.ts";

/** Kinds that are made on a device and may be moved away from it. */
export const UPPERS = ["macvlan", "macvtap", "ipvlan", "ipvtap"];

export type UpperLink = NewLink["kind"];

/** The device that virtual links are made on, and where it is. */
export interface Master {
  link: Link;
  namespace: NetNs;
}

/** `name` may be an alternative name; "" is the device of the default route. Throws Failure. */
export function findMaster(namespace: NetNs, name: string): Master {
  if (name === "") {
    const index = defaultRouteDevice(namespace.route);
    const link = index === undefined ? undefined : getLink(namespace.route, index);
    if (link !== undefined) return { link, namespace };
    throw new Failure(
      "failed",
      "no default route interface found",
      `The configuration does not set "master", and there is no default route through a device ${where(namespace)}. Set "master".`,
    );
  }
  const link = getLink(namespace.route, name);
  if (link !== undefined) return { link, namespace };
  throw new Failure(
    "failed",
    `failed to lookup master "${name}": Link not found`,
    `There is no device with this name or alternative name ${where(namespace)}. Compare \`ip link\` with "master" in the configuration.`,
  );
}

function where(namespace: NetNs): string {
  return namespace.path === "" ? "on the host" : `in ${namespace.path}`;
}

/** Refuses what the kernel would refuse in worse words, or would accept and not carry: a link on a master that is down. Throws Failure. */
export function checkMaster({ link }: Master, kind: UpperLink, mtu: number): void {
  if ((link.flags & IFF_LOOPBACK) !== 0) {
    throw new Failure(
      "invalid config",
      `master "${link.name}" is a loopback device`,
      `${kind} needs an Ethernet device. Set "master".`,
    );
  }
  if ((link.flags & IFF_UP) === 0) {
    throw new Failure(
      "failed",
      `master "${link.name}" is down: network is down`,
      `A ${kind} interface carries no traffic while its master is down. Run \`ip link set ${shellWord(link.name)} up\`.`,
    );
  }
  if (mtu > link.mtu) {
    throw new Failure(
      "invalid config",
      `invalid MTU ${mtu}, must be [0, master MTU(${link.mtu})]`,
      `Lower "mtu", or run \`ip link set ${shellWord(link.name)} mtu ${mtu}\` if the network supports it.`,
    );
  }
}

/** What ADD wants to know of a link that it has made. To read all that the kernel says of it would be 5 % of a macvlan ADD's instructions. */
export type Made = Pick<Link, "index" | "mac" | "mtu" | "bcqueuelen">;

function toMade(...answer: Parameters<typeof readMade>): Made {
  const { index, address, mtu = 0 } = readMade(...answer);
  return { index, mtu, mac: address === undefined ? "" : formatMac(address), bcqueuelen: undefined };
}

/** The request or its answer got lost: the kernel has not said no. */
export const lost = ["ENOBUFS", "ENOMEM", "ETIMEDOUT", "EMSGSIZE", "EINTR"];

/**
 * Creates the link, down, in the namespace `pod` and returns it. `link` is completed. Throws Failure; any other error leaves open
 * whether the link exists. `explainRefusal` words a refusal of the kernel that only the kind understands.
 */
export function createUpper(
  master: Master,
  pod: NetNs,
  link: Omit<NewLink, "parent" | "netns">,
  explainRefusal: (error: NetlinkError) => Failure | undefined,
): Made {
  const request: NewLink = Object.assign(link, { parent: master.link.index });
  if (!sameNamespace(master.namespace, pod)) request.netns = pod.fd;
  try {
    addLink(master.namespace.route, request);
  } catch (error) {
    if (!(error instanceof NetlinkError) || lost.includes(error.code)) throw error;
    refuseTakenIndex(error, link, pod);
    if (error.code === "EEXIST") throw nameTaken(link.name, pod);
    throw explainRefusal(error) ?? refusal(error, master.link, link.kind);
  }
  const read = link.bcqueuelen === undefined ? toMade : toLink;
  const created: Made | undefined = askLink(pod.route, link.name, read);
  if (created === undefined)
    throw new Failure("failed", `${link.kind} "${link.name}" disappeared while it was being created`);
  return created;
}

/** EEXIST or EBUSY, depending on the kernel. */
function refuseTakenIndex({ code }: NetlinkError, { index, name }: Pick<NewLink, "index" | "name">, pod: NetNs): void {
  if (index === undefined || (code !== "EEXIST" && code !== "EBUSY")) return;
  const other = getLink(pod.route, index);
  if (other === undefined || other.name === name) return;
  throw new Failure(
    "failed",
    `failed to create ${name}: the pod already has the interface of this attachment, under the name "${other.name}"`,
    "An earlier ADD was not followed by DEL, and the pod renamed the interface. Run DEL first.",
  );
}

/** The kernel's refusal with cause and cure, by errno. */
function refusal(error: NetlinkError, master: Link, kind: UpperLink): Failure {
  const other = kind === "macvlan" ? "ipvlan" : "macvlan";
  const causes: { [code: string]: string } = {
    EBUSY:
      master.slaveKind === ""
        ? `master "${master.name}" already has ${other} interfaces, and a device cannot have both kinds. Use another master, or ${other} for this network as well.`
        : `master "${master.name}" is a port of a ${master.slaveKind}, which takes every packet that "${master.name}" receives. Use the ${master.slaveKind} as the master instead.`,
    ENODEV: `master "${master.name}" has just been removed.`,
    EOPNOTSUPP: `The kernel does not support ${kind}. Run \`modprobe ${kind}\`, or use a kernel that has ${kind} support.`,
    EPERM: "Creating links requires CAP_NET_ADMIN in the namespaces of the master and the pod.",
    EADDRNOTAVAIL: "An interface cannot have this MAC address.",
    EINVAL: `The kernel does not accept ${kind} with these properties on master "${master.name}".`,
  };
  return new Failure("failed", `failed to create ${kind}: ${error.message}`, causes[error.code] ?? "");
}

/**
 * True when `link`, seen in the namespace `pod`, is made on `master`. A link made on a macvlan is by the kernel's will one on that macvlan's own
 * master (but a VLAN on a VLAN stands on that VLAN). An index means something in its namespace alone: a pod has devices with the indices of the host's.
 */
export function isMadeOn(link: Link, master: Master, pod: NetNs): boolean {
  const isSameKind = withoutTap(master.link.kind) === withoutTap(link.kind);
  const isStacked = isSameKind && UPPERS.includes(link.kind) && master.link.parent !== 0;
  if (link.parent !== (isStacked ? master.link.parent : master.link.index)) return false;
  const { namespace } = master;
  const number = link.linkNetnsid;
  const isHere = sameNamespace(namespace, pod);
  const lower = isStacked ? master.link.linkNetnsid : undefined;
  if (lower === undefined) return isHere ? number === undefined : isNumberOf(pod.route, number, namespace.fd);
  // The device is in a third namespace, which has other numbers elsewhere, or in the pod.
  if (isHere) return number === lower;
  return number === undefined
    ? isNumberOf(namespace.route, lower, pod.fd)
    : !isNumberOf(pod.route, number, namespace.fd);
}

/** A macvtap is a macvlan, whose frames go to a file. */
function withoutTap(kind: string): string {
  return kind.replace("vtap", "vlan");
}

/**
 * The device of the host that the kernel makes an interface on when it is told to make it on `link`, which is in a pod: below a macvlan or ipvlan
 * of the host's device. undefined: it stays with the pod.
 */
export function hostDeviceBelow(pod: NetNs, link: Link): Link | undefined {
  const host = ownNamespace();
  let lower = link;
  while (UPPERS.includes(lower.kind) && lower.parent !== 0) {
    const { linkNetnsid: number, parent } = lower;
    if (number !== undefined) return isNumberOf(pod.route, number, host.fd) ? getLink(host.route, parent) : undefined;
    const next = getLink(pod.route, parent);
    if (next === undefined) return undefined;
    lower = next;
  }
  return undefined;
}
