// Defines what sriov records about a VF before changing it, and the lock that prevents two calls from using the same VF.
import type { CapturedNetwork } from "../../src/link/capture.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import type { VfState } from "../../src/link/vf.ts";
import { type LoanData, type Lock, SRIOV_STATE } from "../../src/plugin/lent/lender.ts";
import { lockOrGoOn } from "../../src/plugin/lent/lock.ts";
import { linkSnapshot, loanFields, network, vfState } from "../../src/plugin/lent/shape.ts";
import { withDirectory } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { type RecordStore, recordStore, STATE_ROOT } from "../../src/state/record.ts";
import { objectOf, optional, text } from "../../src/state/shape.ts";

export interface HeldVf extends LoanData {
  pci: string;
  /** What the VF was on its PF; absent when the PF did not say and nothing was asked of it. */
  state?: VfState;
  /** The address that was asked for; absent: none, or the record is of an older version. */
  mac?: string;
  /** What its interface was; absent for a driver of userspace. */
  link?: LinkSnapshot;
  /** Addresses and routes that the interface had. Absent in records of older versions. */
  network?: CapturedNetwork;
}

const heldVf = objectOf<HeldVf>({
  ...loanFields,
  pci: text,
  state: optional(vfState),
  mac: optional(text),
  link: optional(linkSnapshot),
  network: optional(network),
});

export function records(): RecordStore<HeldVf> {
  return recordStore<HeldVf>("sriov", STATE_ROOT, heldVf);
}

/** Directory of sriov-cni; we keep its files for it, so that a node can be switched either way with pods running. */
export const REFERENCE = SRIOV_STATE;
/** Milliseconds, as in sriov-cni. */
const LOCK_TIMEOUT = 60_000;
/** A file for each VF: the path of the namespace that it is allocated to. */
export const ALLOCATIONS = `${REFERENCE}/pci`;
const LOCKS = `${ALLOCATIONS}/vf_lock`;

/** ADD: runs `body` under the VF's lock, which is sriov-cni's. */
export function whileTaking<T>(pci: string, body: () => T): T {
  // By themselves: as parents of the other they would be readable for everybody.
  for (const dir of [REFERENCE, ALLOCATIONS]) withDirectory(dir, { mode: 0o700 }, () => {});
  return withDirectory(LOCKS, { mode: 0o700 }, (dir) => withLock(dir, `${pci}.lock`, LOCK_TIMEOUT, body)) as T;
}

export function lockOf(pci: string): Lock | undefined {
  return pci === "" ? undefined : { directory: LOCKS, file: `${pci}.lock` };
}

/** All others: the same lock, when there is one: without it (a VF nobody had) there is nothing to guard. */
export function whileReturning<T>(pci: string, body: () => T): T {
  return pci === "" ? body() : lockOrGoOn(LOCKS, `${pci}.lock`, LOCK_TIMEOUT, body);
}
