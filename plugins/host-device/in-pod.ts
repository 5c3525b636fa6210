// DEL without a record of the attachment: which interface of the pod is its device. A pod can set an alias, and can create links that have one. By
// its alias, podnic therefore returns a device only if it is a physical device, or if another record proves which it is. It returns any other
// virtual device only under the name in the configuration, and only if the device is not connected to a pod. libcni must have kept the result of an
// ADD that lent the device, or a prevResult or lease must show such an ADD, and the device must be idle: a pod's macvlan or CNI veth would
// otherwise become an interface of the host.

import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { isPhysical, isSameDevice, type View, viewOf } from "../../src/link/identity.ts";
import { getLink, type Link, listLinks } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { isNamed } from "../../src/link/return.ts";
import { devicesOf, relevantRoutes } from "../../src/link/route.ts";
import { log } from "../../src/log.ts";
import { RTN_UNICAST, RTPROT_KERNEL } from "../../src/netlink/constants.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { whereIs } from "../../src/plugin/lent/give-back.ts";
import { type LoanRecord, listLoans } from "../../src/plugin/lent/lender.ts";
import { isAnothers, leaveTo, otherAttachmentOf } from "../../src/plugin/owner.ts";
import { isProgramsName } from "../../src/plugin/reserved-names.ts";
import { hasResult, isKeptAs, type KeptConfig } from "../../src/plugin/results.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { contradicts, describe, isMeant, isNamedBy, isOnHost, type Selection } from "./find.ts";
import { type HeldDevice, hostDeviceLender } from "./record.ts";

/** What is asked for. */
interface Wanted {
  call: Call<HostDeviceConfig>;
  selection: Selection;
  pod: NetNs;
  hostNs: NetNs;
  view: View;
  /** Of all attachments. */
  records: LoanRecord<HeldDevice>[];
}

/** `was`: the device's name on the host, if a record proves which device it is. Its settings are not restored. */
export interface InPod {
  link: Link;
  was?: string;
}

/** Throws Failure when the interface with the attachment's name may be the device, or the pod's own. */
export function findInPod(
  pod: NetNs,
  hostNs: NetNs,
  call: Call<HostDeviceConfig>,
  selection: Selection,
): InPod | undefined {
  const records = listLoans(hostDeviceLender);
  const wanted: Wanted = { call, selection, pod, hostNs, view: viewOf(pod, hostNs), records };
  const link = candidate(wanted);
  if (link === undefined || isAnothers(call, pod, link)) return undefined;
  if (!isPhysical(link)) return virtualDevice(wanted, link);
  // What another network gave the pod under this name may be the reason why our ADD failed.
  return isNamedNow(wanted, link) || wasAdded(call) ? { link } : undefined;
}

/** What may be the device: the interface with the attachment's name, or what the configuration names for certain. */
function candidate(wanted: Wanted): Link | undefined {
  const { call, selection, pod, view, records } = wanted;
  const { ifName } = call.attachment;
  const held = records.filter(({ data }) => isNamed(pod, data.netns));
  // A DEL of the Go plugin leaves our record of an attachment, and its next ADD may have lent the device to this one.
  const isLeft = (key: Attachment, link: Link): boolean =>
    link.name === ifName && key.ifName !== ifName && !hasResult(key) && wasAdded(call);
  // Other networks of the pod have links as well: those of a record or with the mark of macvlan and ipvlan are theirs.
  const fits = (link: Link): boolean =>
    !link.alias.startsWith(aliasPrefix) &&
    !contradicts(view, link, call.config, selection) &&
    !held.some(({ key, data }) => isSameDevice(view, link, data.was, key.ifName) && !isLeft(key, link));
  const named = getLink(pod.route, ifName);
  if (named !== undefined && fits(named) && (named.alias !== "" || wasAdded(call))) return named;
  // Renamed in the pod.
  return listLinks(pod.route).find(
    (link) => link.alias !== "" && fits(link) && isNamedBy(view, link, call.config, selection),
  );
}

function isNamedNow({ call: { config }, selection, view }: Wanted, link: Link): boolean {
  return isNamedBy(view, link, config, selection) || link.altnames.includes(config.device || "/");
}

function virtualDevice(wanted: Wanted, link: Link): InPod | undefined {
  const { call, selection, view, records } = wanted;
  const { config, attachment } = call;
  // The device is here: the link in the pod is another one.
  if (isOnHost(config, selection)) return undefined;
  const meant = records.filter(({ data }) => isMeant(data.was, config, selection));
  const record = meant.find(({ key, data }) => isSameDevice(view, link, data.was, key.ifName));
  if (record !== undefined) return { link, was: record.data.was.name };
  // The same when another pod has the device.
  if (meant.some(isInItsPod)) return undefined;
  // Its name and its alias are the pod's to choose: neither proves more than the other. Both together, of a link that leads to the host, are what the
  // Go plugin leaves, and may be all that is left of its ADD.
  const isLeft = (): boolean => isNamedNow(wanted, link) && isHarmless(view, link);
  const isHere = link.name === attachment.ifName && (wasAdded(call) || isLeft());
  if (config.device) {
    const isWanted = isHere || link.alias === config.device || link.altnames.includes(config.device);
    if (isWanted && isHarmless(view, link) && isProven(wanted, link, config.device)) return { link };
  }
  if (isHere) {
    // The path of a late DEL may be another pod's by now.
    const owner = wasAdded(call) ? undefined : otherAttachmentOf(call, wanted.pod, link);
    if (owner !== undefined) {
      leaveTo(owner, link);
      return undefined;
    }
    throw inDoubt(wanted, link);
  }
  log("warning", "leaving this link in the pod: the pod might have created it, and podnic has no record of it", {
    interface: link.name,
    kind: link.kind,
  });
  return undefined;
}

/** An ADD lent the pod a device of this name, and the link is it, or one that does no harm on the host. */
function isProven({ call, hostNs }: Wanted, link: Link, device: string): boolean {
  const isIt = ({ type, device: named }: KeptConfig): boolean => type === call.config.type && named === device;
  return (
    hostDeviceLender.store().unreadable(call.attachment) !== undefined ||
    isKeptAs(call.attachment, link.mac, isIt) ||
    (wasAdded(call) && isIdle(hostNs, link) && !isProgramsName(device))
  );
}

/** A virtual device that cannot bring a wire out of a pod: what it is made on, or its peer, is the host's. */
function isHarmless(view: View, link: Link): boolean {
  return link.kind === "dummy" || view.isMadeAtHome(link);
}

/**
 * No interface that connects the pod: none on top of a device of the host, and no veth whose other end carries anything. Whoever is both the author
 * of a network and root in the pod can contrive a prevResult and a lease, and gets such an interface to the host, where it stays down.
 */
function isIdle(hostNs: NetNs, link: Link): boolean {
  if (link.kind !== "veth") return link.parent === 0;
  const far = getLink(hostNs.route, link.parent);
  if (far?.parent !== link.index || far.master !== 0) return false;
  return relevantRoutes(hostNs.route, far.index).every(
    (found) =>
      found.type !== RTN_UNICAST ||
      found.protocol === RTPROT_KERNEL ||
      !devicesOf(hostNs.route, found).includes(far.index),
  );
}

/** A record's device, and nothing says that it might not be there. */
function isInItsPod(record: LoanRecord<HeldDevice>): boolean {
  try {
    return whereIs(hostDeviceLender, record, "")?.place === "pod";
  } catch (error) {
    if (error instanceof Failure || error instanceof SystemError || error instanceof NetlinkError) return false;
    throw error;
  }
}

function inDoubt({ call: { config }, selection, pod: { path } }: Wanted, { name }: Link): Failure {
  return new Failure(
    "try again",
    `cannot tell whether "${name}" in ${path} is the device ${describe(config, selection)}`,
    `podnic has no record of the device, and the pod might have created the interface. Nothing was released. Move the interface to the host (ip link set dev ${shellWord(name)} netns …) or delete it. When the pod's namespace is gone, DEL succeeds.`,
  );
}
