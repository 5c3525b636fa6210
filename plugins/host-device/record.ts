// What host-device writes down about a device before it touches it.
import { policy } from "../../src/config/policy.ts";
import { SystemError } from "../../src/host/host.ts";
import type { CapturedNetwork } from "../../src/link/capture.ts";
import type { NamedNamespace } from "../../src/link/return.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { log } from "../../src/log.ts";
import { withDirectory } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { type RecordStore, recordStore, STATE_ROOT } from "../../src/state/record.ts";

export interface HeldDevice {
  was: LinkSnapshot;
  /** What the move makes the host forget. */
  network: CapturedNetwork;
  netns: NamedNamespace;
}

export function records(): RecordStore<HeldDevice> {
  return recordStore<HeldDevice>("host-device");
}

/**
 * ADD: one at a time from the look at the records to the move, so that a record whose device is on the host belongs to nobody.
 * (Moves wait for each other anyway, for the kernel's RTNL.)
 */
export function whileTaking<T>(body: () => T): T {
  return withDirectory(directory(), { mode: 0o700 }, (dir) => withLock(dir, "lock", policy().lockTimeout, body)) as T;
}

/** DEL, GC and undo: the same lock, but creates nothing, and goes on without it when the disk is full or read-only. */
export function whileReturning<T>(body: () => T): T {
  let result: { value: T } | undefined;
  let started = false;
  const run = (): void => {
    started = true;
    result = { value: body() };
  };
  try {
    withDirectory(directory(), undefined, (dir) => withLock(dir, "lock", policy().lockTimeout, run));
  } catch (error) {
    if (started || !(error instanceof SystemError)) throw error;
    log("warning", "going on without a lock", { error: error.message });
  }
  if (result === undefined) run();
  return (result as unknown as { value: T }).value;
}

function directory(): string {
  return `${STATE_ROOT}/host-device`;
}
