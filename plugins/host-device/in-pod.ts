// DEL without a record of the attachment: which interface of the pod is its device. This file collects the evidence; src/plugin/lent/unrecorded.ts
// decides. A pod can set an alias, and can create links that have one: its macvlan or CNI veth must not become an interface of the host.

import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { isPhysical, isSameDevice, type View } from "../../src/link/identity.ts";
import { getLink, type Link, listLinks } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { isNamed } from "../../src/link/return.ts";
import { devicesOf, relevantRoutes } from "../../src/link/route.ts";
import { log } from "../../src/log.ts";
import { RTN_UNICAST, RTPROT_KERNEL } from "../../src/netlink/constants.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { whereIs } from "../../src/plugin/lent/give-back.ts";
import { ageOf, isLent, type LoanRecord, listAllLoans, listLoans } from "../../src/plugin/lent/lender.ts";
import { decide, type Piece, type Says, type Subject } from "../../src/plugin/lent/unrecorded.ts";
import { leaveTo, otherAttachmentOf, otherKeptFor, otherOwnerOf } from "../../src/plugin/owner.ts";
import { isProgramsName } from "../../src/plugin/reserved-names.ts";
import { hasResult, isKeptAs, macKept } from "../../src/plugin/results.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";
import { isPciAddress } from "../../src/sysfs/device.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { contradicts, describe, isMeant, isNamedBy, isOnHost, placeOf, type Selection } from "./find.ts";
import { type HeldDevice, hostDeviceLender } from "./record.ts";

/** What is asked for. */
export interface Wanted {
  call: Call<HostDeviceConfig>;
  selection: Selection;
  /** Where it is looked for. */
  pod: NetNs;
  hostNs: NetNs;
  view: View;
  /** Of all attachments. */
  records: LoanRecord<HeldDevice>[];
  /** The MAC address that libcni's result names. */
  given: string | undefined;
}

/** `was`: the device's name on the host, if a record proves which device it is. Its settings are not restored. */
export interface InPod {
  link: Link;
  was?: string;
}

export function wantedOf(call: Call<HostDeviceConfig>, selection: Selection): Omit<Wanted, "pod" | "hostNs" | "view"> {
  return { call, selection, records: listLoans(hostDeviceLender), given: macKept(call.attachment) };
}

/** Throws Failure when the interface with the attachment's name may be the device, or the pod's own. */
export function findInPod(wanted: Wanted): InPod | undefined {
  const { call, pod } = wanted;
  const link = candidate(wanted);
  if (link === undefined) return undefined;
  const { verdict } = decide(subjectOf(wanted, link, true));
  if (verdict === "ours") {
    const was = isPhysical(link) ? undefined : recordOf(wanted, link)?.data.was.name;
    return was === undefined ? { link } : { link, was };
  }
  if (verdict === "doubt") throw inDoubt(wanted, link);
  if (verdict === "another's") leaveTo(otherOwnerOf(call, pod, link) ?? otherAttachmentOf(call, pod, link) ?? "", link);
  else if (!isPhysical(link))
    log("warning", "leaving this link in the pod: the pod might have created it, and podnic has no record of it", {
      interface: link.name,
      kind: link.kind,
    });
  return undefined;
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
  if (named !== undefined && fits(named) && (named.alias !== "" || isOwnCard(wanted, named) || wasAdded(call)))
    return named;
  // Renamed in the pod.
  return listLinks(pod.route).find(
    (link) => link.alias !== "" && fits(link) && isNamedBy(view, link, call.config, selection),
  );
}

/** The pod has removed its alias, and no other attachment has it. */
function isOwnCard({ call: { config }, selection, view }: Wanted, link: Link): boolean {
  const place = placeOf(config, selection);
  return place !== "" && view.place(link) === place && !isOnLoan(place);
}

/** By a record, or a file of sriov-cni. (There is none of this attachment.) */
function isOnLoan(place: string): boolean {
  return listAllLoans().some(
    ({ lender, record }) => lender.loanOf(record.data).pci === place && ageOf(record) === "now",
  );
}

/** A record that proves which device the link is. */
function recordOf(
  { call: { config }, selection, view, records }: Wanted,
  link: Link,
): LoanRecord<HeldDevice> | undefined {
  return records.find(
    ({ key, data }) => isMeant(data.was, config, selection) && isSameDevice(view, link, data.was, key.ifName),
  );
}

/** In another namespace, which is that of an attachment if a record or libcni says so. */
function isOfOthers({ call, pod, view }: Wanted, link: Link): boolean {
  const place = view.place(link);
  return isLent(pod, link) || (place !== "" && isOnLoan(place)) || otherKeptFor(call, pod, link) !== undefined;
}

/** What there is about a link, for the rules. */
export function subjectOf(wanted: Wanted, link: Link, isInPod: boolean): Subject {
  const { call, selection, pod, hostNs, view } = wanted;
  const { config, attachment } = call;
  const { device = "", hwaddr } = config;
  const isGiven = (mac: string): Says => (wanted.given === undefined || mac === "" ? undefined : wanted.given === mac);
  const place = placeOf(config, selection);
  const says: Partial<Record<Piece, () => Says>> = {
    record: () => {
      if (recordOf(wanted, link) !== undefined) return true;
      const meant = wanted.records.filter(({ data }) => isMeant(data.was, config, selection));
      return meant.some(isInItsPod) ? false : undefined;
    },
    damaged: () => hostDeviceLender.store().unreadable(attachment) !== undefined,
    bus: () => {
      const found = place === "" ? "" : view.place(link);
      if (found === "" || found === place) return found === "" ? undefined : true;
      return isPciAddress(found) && isPciAddress(place) ? false : undefined;
    },
    permanent: () => isGiven(link.permanentMac),
    stored: () =>
      device !== "" && isKeptAs(attachment, link.mac, (one) => one.type === config.type && one.device === device),
    owner: () => (!isInPod && isOfOthers(wanted, link)) || otherOwnerOf(call, pod, link) !== undefined,
    onHost: () => isOnHost(config, selection),
    tied: () => link.kind === "dummy" || view.isMadeAtHome(link),
    idle: () => isIdle(hostNs, link),
    byName: () => device !== "",
    programs: () => isProgramsName(device),
    lent: () => wasAdded(call),
    address: () => (device === "" && hwaddr ? isNamedBy(view, link, config, selection) : undefined),
    mac: () => isGiven(link.mac),
    alias: () => (device === "" || link.alias === "" ? undefined : link.alias === device),
    altname: () => device !== "" && link.altnames.includes(device),
    name: () => link.name === attachment.ifName,
    others: () => !wasAdded(call) && otherAttachmentOf(call, pod, link) !== undefined,
  };
  return { of: isPhysical(link) ? "card" : "virtual", isInPod, says: (piece) => says[piece]?.() };
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
