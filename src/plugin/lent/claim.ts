// ADD: determines who has the device. It first cleans up after an earlier attachment (a killed ADD, a deleted namespace, or a DEL that was
// never called).
import { Failure } from "../../errors.ts";
import { SystemError } from "../../host/host.ts";
import { isDoubt, ownNamespace } from "../../link/namespace.ts";
import { recordedNamespace } from "../../link/return.ts";
import { log } from "../../log.ts";
import { isSameKey, type Record, type RecordKey } from "../../state/record.ts";
import { isUserspaceDriver, pciDriver } from "../../sysfs/device.ts";
import { fateOf, giveBack, hidden, type Outcome, whereIs } from "./give-back.ts";
import {
  ageOf,
  attachmentInWords,
  interfaceOf,
  type Lender,
  type LoanData,
  type LoanRecord,
  listLoans,
} from "./lender.ts";

/** Whether the attachment still has the device: it is in its pod, or may be; without interface, its pod lives, or may. */
export function isInUse<D extends LoanData>(lender: Lender<D>, record: LoanRecord<D>, netnsPath = ""): boolean {
  if (ageOf(record) === "past") return false;
  try {
    return hasDevice(lender, record, netnsPath);
  } catch (error) {
    // It is not on the host, and its pod is not known to be gone.
    if (isDoubt(error)) return true;
    throw error;
  }
}

function hasDevice<D extends LoanData>(lender: Lender<D>, record: LoanRecord<D>, netnsPath: string): boolean {
  const found = whereIs(lender, record, netnsPath);
  if (found?.place === "pod" || found?.place === "unclear") return true;
  if (found?.place === "host") return false;
  const isAlive = recordedNamespace(record.data.netns, netnsPath, ownNamespace()) !== undefined;
  // Kata Containers binds the function to vfio-pci after ADD: the pod has it, and there is no interface.
  if (isAlive && isUserspaceDriver(pciDriver(lender.loanOf(record.data).pci) ?? "")) return true;
  if (found === undefined || !isAlive || ageOf(record) !== "now") return found === undefined && isAlive;
  // A living pod that moved its device into another namespace still has it.
  const fate = fateOf(lender, record, netnsPath);
  return (fate.place === "astray" && fate.isFromPod) || (fate.place === "back" && fate.at === "pod");
}

/**
 * Ends what earlier attachments have of the device that `key` is about to get, and what an earlier ADD of `key` itself left, perhaps of
 * another device: its record is about to be written anew. `concerns`: whether a record is about the device. `release` gives one back, the
 * default under the caller's lock. True when there was something to end: devices are not where they were. Throws Failure naming who holds
 * the device.
 */
export function endClaims<D extends LoanData>(
  lender: Lender<D>,
  key: RecordKey,
  netnsPath: string,
  concerns: (record: LoanRecord<D>) => boolean,
  release: (key: RecordKey, data: D) => Outcome = (one) =>
    giveBack(lender, one, isSameKey(one, key) ? netnsPath : "", true),
): boolean {
  const records = listLoans(lender);
  const own = records.find((record) => isSameKey(record.key, key));
  let ended = own !== undefined;
  if (own !== undefined) {
    if (isInUse(lender, own, netnsPath)) throw cameTwice(lender, own);
    if (release(own.key, own.data) === "hidden") throw hidden(lender, key);
  }
  for (const record of records) {
    if (record === own || !concerns(record)) continue;
    endOther(lender, record, () => release(record.key, record.data) === "hidden");
    ended = true;
  }
  return ended;
}

/** Ends what another attachment had. `release` gives it back; true: it cannot be seen. Throws Failure then, and when the attachment still has it. */
export function endOther<D extends LoanData>(lender: Lender<D>, record: LoanRecord<D>, release: () => boolean): void {
  if (isInUse(lender, record)) throw heldBy(lender, record);
  log("info", "cleaning up after an earlier attachment", {
    device: lender.loanOf(record.data).name,
    container: record.key.containerId,
  });
  if (release()) throw hidden(lender, record.key);
}

/**
 * After an ADD that failed. The runtime's DEL comes next, and must not take the device from the container's other attachment, as that of a renamed
 * network does (see collect.ts).
 */
export function noteFailedAdd<D extends LoanData>(lender: Lender<D>, key: RecordKey): void {
  const store = lender.store();
  const isOther = ({ key: other, data: { refused = [] } }: Record<D>): boolean =>
    isOfInterface(other, key) && other.network !== key.network && !refused.includes(key.network);
  const note = (other: RecordKey): void => {
    const record = store.read(other);
    if (record === undefined || !isOther(record)) return;
    const { data, home } = record;
    store.write(other, { ...data, refused: [...(data.refused ?? []), key.network] }, home);
  };
  try {
    for (const { key: other } of store.list().filter(isOther)) lender.whileReturning(other, () => note(other));
    const isForeign = ({ key: other, by }: LoanRecord<D>): boolean =>
      by !== lender.plugin && interfaceOf(other) === interfaceOf(key) && !["", key.network].includes(other.network);
    for (const record of lender.foreign === undefined ? [] : listLoans(lender)) {
      if (!isForeign(record) || ageOf(record) !== "now" || record.data.refused?.includes(key.network)) continue;
      lender.whileReturning(record.key, () => lender.foreign?.refuse(record.key, key.network));
    }
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
    log("warning", "cannot note in the device's record that an ADD failed", { cause: error.message });
  }
}

/** The same interface of the same container, of whichever network. */
export function isOfInterface(one: RecordKey, other: RecordKey): boolean {
  return one.containerId === other.containerId && one.ifName === other.ifName;
}

/** Spec: ADD of an attachment that exists is an error, and must not harm it. */
function cameTwice<D extends LoanData>(lender: Lender<D>, { key, data }: LoanRecord<D>): Failure {
  return new Failure(
    "failed",
    `${key.ifName} in this container is already on network ${key.network}: ${lender.loanOf(data).name}`,
    "There were two ADDs for one attachment. Run DEL first. The existing device was left unchanged.",
  );
}

export function heldBy<D extends LoanData>(lender: Lender<D>, { key, data }: LoanRecord<D>): Failure {
  const { held } = lender.loanOf(data);
  return new Failure(
    "failed",
    `${held} ${attachmentInWords(key)}`,
    `The device stays in ${data.netns.path || "a pod"} until DEL is called for that attachment.`,
  );
}
