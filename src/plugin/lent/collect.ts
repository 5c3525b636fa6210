// DEL and GC of the plugins that lend devices.
import type { Cleanup } from "../../cleanup.ts";
import { isValidAttachment } from "../../cni/attachments.ts";
import { ipamRun } from "../../cni/ipam.ts";
import type { Attachment, Call } from "../../cni/plugin.ts";
import { host } from "../../host/host.ts";
import type { Link } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import { log } from "../../log.ts";
import type { Record, RecordKey } from "../../state/record.ts";
import { askingUnlocked, wasAdded } from "../added.ts";
import { gcLeases } from "../lessees.ts";
import { laterAttachmentOf, otherAttachmentOf } from "../owner.ts";
import { isOfInterface } from "./claim.ts";
import { giveBackInTime, type Outcome } from "./give-back.ts";
import {
  type AnyLender,
  interfaceOf,
  type Lender,
  type LoanData,
  type LoanRecord,
  listLoans,
  readLoan,
} from "./lender.ts";
import { collectUnreadable, type Suspect } from "./unreadable.ts";
import { decide, type Piece, type Says } from "./unrecorded.ts";
import { teardownEnd } from "./wait.ts";

/**
 * DEL. `isMeant`: whether the configuration names the device of a record. A network that was renamed since ADD must not strand a card: our
 * record of the container's interface of this name is taken too, unless this DEL follows an ADD that failed.
 */
export function endLoan<D extends LoanData>(
  lender: Lender<D>,
  call: Call,
  isMeant: (data: D) => Says,
): Exclude<Outcome, "hidden"> {
  const { attachment, netns } = call;
  let other: RecordKey | undefined;
  // Asked under the lock, as for the record of the attachment itself: an ADD that still runs may be about to write the one that is meant.
  const isUnderOtherKey = (): boolean => {
    other = keyBefore(lender, attachment, isMeant);
    return other !== undefined;
  };
  const outcome = askingUnlocked(call, () =>
    giveBackInTime(lender, attachment, netns, { isUnderOtherKey, isOthers: isOthersIn(call) }),
  );
  if (other === undefined) return outcome;
  const ended = giveBackInTime(lender, other, netns);
  // Nothing but the record knew that the address was leased under that name.
  ipamRun(underNetwork(call, other.network), "DEL");
  return ended;
}

/** DEL of a plugin that lends nothing, or another device: by our own record, or sriov-cni's file, of this network. */
export function endRecorded<D extends LoanData>(lender: Lender<D>, call: Call): boolean {
  const { attachment, netns } = call;
  if (readLoan(lender, attachment) === undefined) return false;
  const outcome = askingUnlocked(call, () => giveBackInTime(lender, attachment, netns, { isOthers: isOthersIn(call) }));
  return outcome !== "none" && outcome !== "unreadable";
}

/**
 * After a DEL of the Go plugin, which leaves our record, another attachment of the pod may have the device. Nothing says then that this one is still
 * there, neither a lease nor a result, and something says whose the interface is. Not the name alone, which a pod can change. In another namespace
 * than its pod's (`isAway`), a later result of another attachment says it as well, whatever there is of this one.
 */
function isOthersIn(call: Call): (pod: NetNs, link: Link, isAway?: boolean) => string | undefined {
  return (pod, link, isAway = false) => {
    if (!wasAdded(call)) return otherAttachmentOf(call, pod, link);
    return isAway ? laterAttachmentOf(call, pod, link) : undefined;
  };
}

/** The call as it would be if the network had kept its name. */
function underNetwork(call: Call, network: string): Call {
  const raw = { ...call.raw, name: network };
  const { ipam: _, ...rest } = call;
  return {
    ...rest,
    attachment: { ...call.attachment, network },
    config: { ...call.config, name: network },
    raw,
    stdin: host.encode(JSON.stringify(raw)),
  };
}

/** The key that our record has when the network was renamed. */
function keyBefore<D extends LoanData>(
  lender: Lender<D>,
  key: Attachment,
  isMeant: (data: D) => Says,
): RecordKey | undefined {
  const isRenamed = ({ key: other, data }: Record<D>): boolean =>
    isOfInterface(other, key) && data.refused?.includes(key.network) !== true;
  const all = lender.store().list().filter(isRenamed);
  const renamed = all.find(({ data }) => isMeant(data)) ?? all[0] ?? foreignBefore(lender, key, isMeant);
  if (renamed === undefined) return undefined;
  log("warning", "the network's name has changed since ADD", {
    before: renamed.key.network,
    device: lender.loanOf(renamed.data).name,
  });
  return renamed.key;
}

/** The same of another implementation's file, for which we have no record: of ours it says no more than that. */
function foreignBefore<D extends LoanData>(
  lender: Lender<D>,
  key: Attachment,
  isMeant: (data: D) => Says,
): Record<D> | undefined {
  const isOurs = ({ key: { network }, data }: Record<D>): boolean => {
    const says: Partial<{ [P in Piece]: Says }> = {
      refused: data.refused?.includes(key.network),
      state: ["", key.network].includes(network),
      bus: isMeant(data),
    };
    return decide({ of: "state", isInPod: true, says: (piece) => says[piece] }).verdict === "ours";
  };
  const foreign = lender.foreign === undefined ? [] : listLoans(lender).filter(({ by }) => by !== lender.plugin);
  return foreign.find((record) => interfaceOf(record.key) === interfaceOf(key) && isOurs(record));
}

/**
 * GC: what attachments of this network have that are not valid any more. One that cannot be seen stays for a later GC, and `cleanup` has
 * the error that says so (C-112). The leases of those whose device may still be in a pod stay.
 */
export function collectLoans(
  loans: readonly (readonly [lender: AnyLender, device: Suspect])[],
  call: Call,
  cleanup: Cleanup,
): void {
  const found = loans.map(([lender, device]) => collectFrom(lender, call, cleanup, device));
  if (found.every(({ all }) => !all))
    cleanup.attempt(() =>
      gcLeases(
        call,
        found.flatMap(({ kept }) => kept),
      ),
    );
}

/** Returns those that stay; `all`: nobody knows whose one of them is. */
function collectFrom<D extends LoanData>(
  lender: Lender<D>,
  call: Call,
  cleanup: Cleanup,
  device: Suspect,
): { kept: Pick<RecordKey, "containerId" | "ifName">[]; all: boolean } {
  const { attachment, validAttachments } = call;
  const isValid = ({ key, by }: Pick<LoanRecord<D>, "key" | "by">): boolean =>
    by === lender.plugin
      ? isValidAttachment(call, key)
      : validAttachments.some((valid) => interfaceOf(valid) === interfaceOf(key));
  const unreadable = collectUnreadable(lender, call, device, (run) => cleanup.attempt(run));
  const kept: Pick<RecordKey, "containerId" | "ifName">[] = unreadable.kept;
  // Of whichever network they are.
  for (const key of lender.foreign?.damaged() ?? []) {
    if (!validAttachments.some((valid) => interfaceOf(valid) === interfaceOf(key))) kept.push(key);
  }
  const end = teardownEnd();
  for (const record of listLoans(lender)) {
    const { key } = record;
    if (key.network !== attachment.network || isValid(record)) continue;
    kept.push(key);
    cleanup.attempt(() => {
      const { ipam: _, ...rest } = call;
      const own = { ...rest, attachment: key };
      askingUnlocked(own, () => giveBackInTime(lender, key, "", { end, isOthers: isOthersIn(own) }));
      kept.pop();
    });
  }
  return { kept, all: unreadable.all };
}
