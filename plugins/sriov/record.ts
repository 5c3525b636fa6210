// What sriov writes down before it touches a VF, and the lock that keeps two calls from one VF.
import { SystemError } from "../../src/host/host.ts";
import type { CapturedNetwork } from "../../src/link/capture.ts";
import type { NamedNamespace } from "../../src/link/return.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import type { VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { withDirectory } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { type RecordStore, recordStore } from "../../src/state/record.ts";

export interface HeldVf {
  pci: string;
  /** What the VF was on its PF; absent when the PF did not say and nothing was asked of it. */
  state?: VfState;
  /** What its interface was; absent for a driver of userspace. */
  link?: LinkSnapshot;
  /** Addresses and routes that the interface had. Absent in records of older versions. */
  network?: CapturedNetwork;
  netns: NamedNamespace;
}

export function records(): RecordStore<HeldVf> {
  return recordStore<HeldVf>("sriov");
}

/** Directory of sriov-cni; we keep its files for it, so that a node can be switched either way with pods running. */
export const REFERENCE = "/var/lib/cni/sriov";
/** Milliseconds, as in sriov-cni. */
const LOCK_TIMEOUT = 60_000;
/** A file for each VF: the path of the namespace that it is allocated to. */
export const ALLOCATIONS = `${REFERENCE}/pci`;
const LOCKS = `${ALLOCATIONS}/vf_lock`;

/** Runs `body` under the VF's lock, which is sriov-cni's. ADD creates it; without it (DEL of a VF nobody had) there is nothing to guard. */
export function withVf<T>(pci: string, create: boolean, body: () => T): T {
  if (pci === "") return body();
  let result: { value: T } | undefined;
  let started = false;
  const run = (): void => {
    started = true;
    result = { value: body() };
  };
  try {
    // By themselves: as parents of the other they would be readable for everybody.
    if (create) for (const dir of [REFERENCE, ALLOCATIONS]) withDirectory(dir, { mode: 0o700 }, () => {});
    withDirectory(LOCKS, create ? { mode: 0o700 } : undefined, (dir) =>
      withLock(dir, `${pci}.lock`, LOCK_TIMEOUT, run),
    );
  } catch (error) {
    // A full or read-only disk must not keep a VF in a dead pod.
    if (started || create || !(error instanceof SystemError)) throw error;
    log("warning", "going on without a lock", { error: error.message });
  }
  if (result === undefined) run();
  return (result as unknown as { value: T }).value;
}
