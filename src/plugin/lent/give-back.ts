// Returns a device to the host. DEL, GC, the undo of ADD, stale records and the operator's commands all use this code, so the result is the
// same wherever an earlier call was interrupted.
import { Failure } from "../../errors.ts";
import { SystemError } from "../../host/host.ts";
import { findDevice, isPhysical, viewOf } from "../../link/identity.ts";
import { IFF_UP, type Link } from "../../link/link.ts";
import { type NetNs, ownNamespace } from "../../link/namespace.ts";
import {
  type DeviceLocation,
  isNamed,
  type Lent,
  locate,
  mayHaveUppers,
  moveBack,
  type NamedNamespace,
  podIfThere,
  recordedNamespace,
  removeUppers,
  search,
} from "../../link/return.ts";
import { relevantRoutes } from "../../link/route.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { usedByNode } from "../../link/uplink.ts";
import { log } from "../../log.ts";
import { isSameKey, RECORD_VERSION, type RecordKey } from "../../state/record.ts";
import { type Fate, seek } from "./astray.ts";
import { FIRST_NAMESPACE, fateOfHome, ofAnotherHome } from "./home.ts";
import {
  ageOf,
  type Lender,
  type LoanData,
  type LoanRecord,
  lendersBeside,
  listLoans,
  type Returned,
  readLoan,
} from "./lender.ts";
import { whileReturningCard } from "./lock.ts";
import { freeName, underSpareName } from "./name.ts";
import { keepsMoving, leavingLocks, outside, unseen, wasOutside } from "./outside.ts";
import { waitForTeardown } from "./wait.ts";

/**
 * What became of a device that was to be given back. In all but the first two cases the record is gone and nothing is left to be done.
 * "none": there is no record of the attachment.
 * "unreadable": there is one, and what it says is lost; it stays, and so does what it is about (see unreadable.ts).
 * "hidden": it is in a namespace that cannot be seen, and may come back; the record stays.
 * "home": it is on the host, as it was.
 * "lost": there is no such device any more, or it can never come back to us; what could be restored without it is.
 * "past": the record is of an earlier boot or of another namespace of the host, whose own rules have set up what is here now.
 * "another's": another attachment has it by now; it was not touched.
 */
export type Outcome = "none" | "unreadable" | "hidden" | "home" | "lost" | "past" | "another's";

/**
 * Gives the device of an attachment back and forgets the attachment; can be repeated after a kill at any point. The caller holds the lock.
 * `patient`: who waits calls again; who does not ("hidden" at last) lets a device go that cannot come back here. `isUnderOtherKey` is asked
 * when there is no record: whether there is one that the caller takes next. Throws Failure when the device cannot be told from another, or
 * when something could not be restored; the record stays then.
 */
export function giveBack<D extends LoanData>(
  lender: Lender<D>,
  key: RecordKey,
  netnsPath: string,
  patient = false,
  { isUnderOtherKey = () => false, isOthers }: Pick<InTime, "isUnderOtherKey" | "isOthers"> = {},
): Outcome {
  const record = readLoan(lender, key);
  if (record === undefined) {
    if (isUnderOtherKey()) return "none";
    if ((lender.store().unreadable(key) ?? lender.foreign?.unreadable(key)) !== undefined) return "unreadable";
    // What an ADD left that was killed while it wrote.
    forgetRest(lender, key, netnsPath);
    return "none";
  }
  const { version = 1 } = record;
  if (version > RECORD_VERSION) log("warning", "a later version of podnic wrote the device's record", { version });
  const { pci, name, saved } = lender.loanOf(record.data);
  // Another plugin's ADD, which has the card's lock only, gives it back as well (function.ts). One with an interface is found in the next pod then.
  const isDone = (): boolean => saved === undefined && readLoan(lender, key) === undefined;
  const attempt = (): Outcome | "back" =>
    isDone() ? "none" : giveBackRecorded(lender, record, netnsPath, patient, isOthers);
  const outcome = whileReturningCard(pci, () => {
    const first = attempt();
    return first === "back" ? attempt() : first;
  });
  if (outcome === "back") throw keepsMoving(name);
  if (outcome === "hidden" || outcome === "none") return outcome;
  // Who has the device now has what belongs to it, too.
  forget(lender, key, outcome === "another's" ? undefined : record.data, netnsPath);
  if (outcome === "lost") {
    log("warning", "the attachment's device no longer exists, so it cannot be returned", {
      device: name,
      container: key.containerId,
    });
  }
  return outcome;
}

interface InTime {
  /** See giveBack. */
  isUnderOtherKey?: () => boolean;
  /** The container of another attachment that has the device by now: in the pod under another name than the record's, or elsewhere. undefined: none. */
  isOthers?: ((pod: NetNs, link: Link, isAway?: boolean) => string | undefined) | undefined;
  /** Until when (teardownEnd): who gives many back waits once for all. */
  end?: number;
  /** Runs under the lock before each attempt; what it throws is thrown. */
  check?: () => void;
}

/**
 * The same under the plugin's lock, and again while the pod's namespace is being torn down. Throws Failure("try again") when the device
 * stays hidden.
 */
export function giveBackInTime<D extends LoanData>(
  lender: Lender<D>,
  key: RecordKey,
  netnsPath: string,
  { end, check, ...asked }: InTime = {},
): Exclude<Outcome, "hidden"> {
  const attempt = (patient: boolean): Exclude<Outcome, "hidden"> | undefined => {
    const outcome = leavingLocks(() =>
      lender.whileReturning(key, () => {
        check?.();
        return giveBack(lender, key, netnsPath, patient, asked);
      }),
    );
    return outcome === "hidden" ? undefined : outcome;
  };
  const outcome = waitForTeardown(() => attempt(true), end) ?? attempt(false);
  if (outcome === undefined) throw hidden(lender, key);
  return outcome;
}

export function hidden<D extends LoanData>(lender: Lender<D>, key: RecordKey): Failure {
  const record = readLoan(lender, key);
  const name = record === undefined ? "the device" : lender.loanOf(record.data).name;
  return new Failure(
    "try again",
    `${name} is in a namespace that podnic cannot see`,
    "The kernel is still tearing down the pod's namespace, or the pod moved the device to another namespace. The device returns when that namespace is deleted. Repeat the DEL.",
  );
}

/** Where the device of a record is; undefined when it has no interface. Not for records of an earlier boot. */
export function whereIs<D extends LoanData>(
  lender: Lender<D>,
  record: LoanRecord<D>,
  netnsPath: string,
): DeviceLocation | undefined {
  const { saved } = lender.loanOf(record.data);
  const { netns } = record.data;
  if (saved === undefined) return undefined;
  // Of a record of version 1 nothing says that it is of another host's namespace.
  const home = ageOf(record) === "now" ? ownNamespace() : undefined;
  const lent: Lent = { saved, netns, ifName: record.key.ifName, home };
  return locate(lent, netnsPath);
}

/** "back": it was on its way, and is in the pod or on the host by now. */
function giveBackRecorded<D extends LoanData>(
  lender: Lender<D>,
  record: LoanRecord<D>,
  netnsPath: string,
  patient: boolean,
  isOthers: InTime["isOthers"],
): Outcome | "back" {
  const age = ageOf(record);
  if (age === "past") return "past";
  const loan = lender.loanOf(record.data);
  const owner = lender.newOwner?.(record, netnsPath);
  if (owner !== undefined) return anothers(loan.name, owner);
  let found = whereIs(lender, record, netnsPath);
  if (age === "elsewhere") {
    // Its home is the namespace that the record names, and not the one that we run in.
    if (found?.place === "pod" || fateOfHome(record.home) === "alive") throw ofAnotherHome(loan.name);
    // What is here now was set up by whoever started the node anew, and may only look like it.
    log("warning", "removing the record of a device that came from a network namespace that podnic cannot find", {
      device: loan.name,
    });
    return "past";
  }
  if (found?.place === "pod" && found.link.name !== record.key.ifName) {
    const other = isOthers?.(found.pod, found.link);
    if (other !== undefined) return anothers(loan.name, other);
  }
  if (found?.place === "unclear") throw unclear(loan.name, found.link, found.path);
  // What this call has brought here itself is restored: it left the lock after the move, and until now a daemon could set up the device.
  const isBrought = found?.place === "host" && wasOutside(uppersId(found.link, lender, record));
  if (found?.place === "host" && !isBrought && isNodeUsing(found.link, loan.saved)) {
    log("warning", "the node is now using the device; leaving it unchanged", {
      device: loan.name,
      name: found.link.name,
    });
    return "home";
  }
  if (found?.place === "hidden" && patient) return "hidden";
  if (found?.place === "hidden" || found?.place === "lost") {
    const followed = follow(lender, record, netnsPath, found, patient, isOthers);
    if (typeof followed === "string") return followed;
    found = followed;
  }
  if (found?.place === "hidden" && mayComeBack(record.data.netns, netnsPath)) return "hidden";
  const returned =
    found?.place === "pod" || found?.place === "host"
      ? fetchIfThere(lender, record, found, netnsPath, patient)
      : undefined;
  if (returned === "busy") return "hidden";
  lender.restore(record.data, returned);
  return found === undefined || returned !== undefined ? "home" : "lost";
}

function anothers(device: string, owner: string): "another's" {
  log("warning", "the device now belongs to another attachment; leaving it unchanged", { device, owner });
  return "another's";
}

/** The same as fetchHome; a pod can move a virtual device onwards at the last moment. */
function fetchIfThere<D extends LoanData>(
  lender: Lender<D>,
  record: LoanRecord<D>,
  found: DeviceLocation & { place: "pod" | "host" },
  netnsPath: string,
  patient: boolean,
): Returned | "busy" {
  try {
    return fetchHome(lender, record, found, netnsPath, patient);
  } catch (error) {
    const { name, saved } = lender.loanOf(record.data);
    if (found.place !== "pod" || saved === undefined || isPhysical(saved)) throw error;
    const home = ownNamespace();
    if (search(saved, record.key.ifName, viewOf(found.pod, home), viewOf(home, home)).link !== undefined) throw error;
    throw keepsMoving(name);
  }
}

/**
 * The device, on the host; under a spare name when its own is another's. "busy", for who is patient: another call is about to free the name,
 * and may wait for our lock.
 */
function fetchHome<D extends LoanData>(
  lender: Lender<D>,
  record: LoanRecord<D>,
  found: DeviceLocation & { place: "pod" | "host" },
  netnsPath: string,
  patient: boolean,
): Returned | "busy" {
  const hostNs = ownNamespace();
  const { link } = found;
  const own = lender.complete?.(record, link) ?? lender.loanOf(record.data).saved!;
  const here = found.place === "pod" ? undefined : link;
  const name = here?.name === own.name ? "free" : freeName(lender, record.key, hostNs, own.name, here);
  if (name === "busy" && patient) return name;
  const saved = name === "free" ? own : underSpareName(hostNs, link, own, here);
  const back = found.place === "pod" ? moveBack(found.pod, hostNs, link, saved) : link;
  const pods = found.place === "pod" && mayHaveUppers(found.pod, hostNs, back, true) ? [found.pod] : [];
  const beside = podBeside(found, record.data.netns, netnsPath);
  if (beside !== undefined) pods.push(beside);
  // Once there are none, the pod can make none: the device is not with it any more.
  const id = pods.length > 0 || here !== undefined ? uppersId(back, lender, record) : "";
  if (pods.length > 0 || wasOutside(id)) {
    outside(id, own.name, () => pods.forEach((pod) => void removeUppers(pod, hostNs, back)), here === undefined);
  }
  return { link: back, saved };
}

const uppersId = <D extends LoanData>({ index }: Link, lender: Lender<D>, record: LoanRecord<D>): string =>
  `uppers ${index} ${idOf(lender, record)}`;

/** Of the record as it is now. */
function idOf<D extends LoanData>({ plugin }: Lender<D>, { key, data }: LoanRecord<D>): string {
  return JSON.stringify([plugin, key, data]);
}

/**
 * The pod, when the device returns from elsewhere: what the pod had stacked on it stays when the pod moves it on. Also when it is back on the host
 * already: a DEL was killed right after the move, or is removing what stands on it and has left the lock for that.
 */
function podBeside(
  found: DeviceLocation & { place: "pod" | "host" },
  netns: NamedNamespace,
  netnsPath: string,
): NetNs | undefined {
  if (found.place === "pod") return isNamed(found.pod, netns) ? undefined : podIfThere(netns, netnsPath);
  const pod = podIfThere(netns, netnsPath);
  return pod !== undefined && mayHaveUppers(pod, ownNamespace(), found.link, false) ? pod : undefined;
}

/**
 * Back on the host and set up by somebody since: the state of before would take the node's own route down. restoreLink brings a device up when all
 * else is as it was, so that one which is up and differs was changed by others.
 */
function isNodeUsing(link: Link, saved: LinkSnapshot | undefined): boolean {
  if (saved === undefined || (link.flags & IFF_UP) === 0) return false;
  const isAsItWas = (["name", "mac", "mtu", "alias"] as const).every((property) => link[property] === saved[property]);
  if (saved.up && isAsItWas) return false;
  const { route } = ownNamespace();
  return usedByNode(route, link, relevantRoutes(route, link.index)) !== undefined;
}

/** Looks for a device that is in neither place: `missing` says what is known without that. Throws Failure when it is not ours to fetch. */
function follow<D extends LoanData>(
  lender: Lender<D>,
  record: LoanRecord<D>,
  netnsPath: string,
  missing: DeviceLocation,
  patient: boolean,
  isOthers: InTime["isOthers"],
): DeviceLocation | "another's" | "hidden" | "back" {
  const { name } = lender.loanOf(record.data);
  const fate = fateOf(lender, record, netnsPath);
  if (fate.place === "back") return "back";
  if (fate.place === "nowhere") return missing;
  if (fate.place === "astray") {
    const owner = ownerIn(lender, record, fate.in) ?? isOthers?.(fate.in, fate.link, true);
    if (owner !== undefined) return anothers(name, owner);
    if (!fate.isFromPod) throw elsewhere(name, fate.link, fate.in.path);
    log("warning", "the device has left its pod; returning it from its current namespace", {
      device: name,
      interface: fate.link.name,
      netns: fate.in.path,
    });
    return { place: "pod", pod: fate.in, link: fate.link };
  }
  // A namespace without a name is about to be deleted.
  if (patient) return "hidden";
  throw unseen(name, fate.why);
}

/**
 * The container that has the card there by a record of its own, of whichever plugin: an ADD that was killed leaves a record, and another plugin may
 * have given the card to a pod since, from which it must not be taken.
 */
function ownerIn<D extends LoanData>(
  lender: Lender<D>,
  { key, data }: LoanRecord<D>,
  namespace: NetNs,
): string | undefined {
  const { pci, saved } = lender.loanOf(data);
  const mark = pci === "" ? saved?.mark : undefined;
  if (pci === "" && mark === undefined) return undefined;
  for (const each of lendersBeside(lender)) {
    const isOwn = (other: RecordKey): boolean => each.plugin === lender.plugin && isSameKey(other, key);
    for (const loan of listLoans(each)) {
      const other = each.loanOf(loan.data);
      if (isOwn(loan.key) || ageOf(loan) !== "now" || other.pci !== pci) continue;
      if (mark !== undefined && other.saved?.mark !== mark) continue;
      if (isNamed(namespace, loan.data.netns)) return loan.key.containerId;
    }
  }
  return undefined;
}

/** Of a device with an interface, of this boot and this host. */
export function fateOf<D extends LoanData>(lender: Lender<D>, record: LoanRecord<D>, netnsPath: string): Fate {
  const home = ownNamespace();
  const { ifName } = record.key;
  const { netns } = record.data;
  const { name, saved } = lender.loanOf(record.data);
  const look = (): Fate =>
    seek({
      saved: saved!,
      ifName,
      netns,
      pod: recordedNamespace(netns, netnsPath, home),
      home,
      pods: lendersBeside(lender).flatMap((each) => listLoans(each).map((loan) => loan.data.netns)),
    });
  const id = `fate ${idOf(lender, record)}`;
  const isOld = wasOutside(id);
  const fate = outside(id, name, look);
  if (fate.place !== "astray" || !isOld) return fate;
  // Another link may have its index by now.
  const link = findDevice(viewOf(fate.in, home), saved!, ifName)?.link;
  return link === undefined ? { place: "back", at: "pod" } : { ...fate, link };
}

function elsewhere(name: string, link: Link, path: string): Failure {
  return new Failure(
    "try again",
    `${name} is in ${path} as "${link.name}", and podnic cannot tell whether its pod moved it there`,
    "podnic left the device unchanged, because it might belong to another pod now. DEL succeeds when the device is back on the host, or when that namespace is deleted.",
  );
}

/** On a node that is a container itself, the hardware of a namespace that has ended goes to the machine and not to us. */
function mayComeBack(netns: Lent["netns"], netnsPath: string): boolean {
  const hostNs: NetNs = ownNamespace();
  if (hostNs.cookie === "" || hostNs.cookie === FIRST_NAMESPACE) return true;
  return recordedNamespace(netns, netnsPath, hostNs) !== undefined;
}

function unclear(name: string, link: Link, path: string): Failure {
  const where = path === "" ? "on the host" : `in ${path}`;
  return new Failure(
    "failed",
    `cannot tell whether "${link.name}" ${where} is ${name}`,
    "The interface has the same properties, but a pod can fake these properties. podnic left the interface unchanged. Remove it, or move it back by hand (ip link set dev NAME netns …) and remove the record. A virtual device disappears with its pod, and then DEL succeeds.",
  );
}

/**
 * Throws when the record cannot be removed, as on a disk that went read-only: the runtime repeats the DEL. The next ADD of the device would restore
 * it once more, over what the administrator has set since.
 */
function forget<D extends LoanData>(lender: Lender<D>, key: RecordKey, data: D | undefined, netnsPath: string): void {
  lender.forget?.(key, data, netnsPath);
  lender.store().remove(key);
}

/** Of an attachment without a record that can be read: nothing can be restored from what stays on a read-only disk. */
export function forgetRest<D extends LoanData>(lender: Lender<D>, key: RecordKey, netnsPath: string): void {
  try {
    forget(lender, key, undefined, netnsPath);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "EROFS") throw error;
    log("warning", "cannot remove the device's record", { error: error.message, container: key.containerId });
  }
}
