// The locks of calls that return devices, and the lock of a card, which host-device and sriov share.
import { policy } from "../../config/policy.ts";
import { LOCK_EX, LOCK_SH } from "../../host/constants.ts";
import { type Fd, SystemError } from "../../host/host.ts";
import { log } from "../../log.ts";
import { withDirectory } from "../../state/files.ts";
import { ifLockable, withLock } from "../../state/lock.ts";
import { STATE_ROOT } from "../../state/record.ts";
import { physicalFunction } from "../../sysfs/vf.ts";
import type { Lock } from "./lender.ts";

/**
 * Runs `body` under the lock, when the directory is there; a full or read-only disk must not keep a device in a dead pod. Whatever `body`
 * throws is thrown.
 */
export function lockOrGoOn<T>(directory: string, file: string, timeout: number, body: () => T): T {
  return orUnlocked(body, (run) => withDirectory(directory, undefined, (dir) => withLock(dir, file, timeout, run)));
}

/**
 * Runs `body` under another device's lock, beside the one that is held (`own`), or without it as lockOrGoOn does. Never waits: whoever has
 * it may want ours. undefined: somebody has it, or `body` said so.
 */
export function besides<T>(own: Lock | undefined, other: Lock | undefined, body: () => T | undefined): T | undefined {
  if (other === undefined || (own?.directory === other.directory && own.file === other.file)) return body();
  return orUnlocked(body, (run) =>
    withDirectory(
      other.directory,
      undefined,
      (dir) => ifLockable(dir, other.file, LOCK_EX, run) ?? { value: undefined },
    ),
  );
}

/** `locked` gives `run` to a lock; undefined: without the directory nobody has one. */
function orUnlocked<T>(body: () => T, locked: (run: () => { value: T }) => { value: T } | undefined): T {
  let outcome: { value: T } | undefined;
  let started = false;
  const run = (): { value: T } => {
    started = true;
    return { value: body() };
  };
  try {
    outcome = locked(run);
  } catch (error) {
    if (started || !(error instanceof SystemError)) throw error;
    log("warning", "continuing without a lock", { error: error.message });
  }
  return (outcome ?? run()).value;
}

/** A file for each card or virtual function, by its PCI address: the plugins' own locks do not keep one plugin from another's device. */
const CARDS = `${STATE_ROOT}/card`;

/** The card whose lock this process has: it does not wait for itself. */
let inHand = "";

/**
 * ADD: runs `body` while no other call, of any plugin, takes or returns the card; the innermost of all locks. `pci` "": not a card. Throws
 * Failure("try again") when another call has it for longer than the policy's lockTimeout.
 */
export function whileTakingCard<T>(pci: string, body: () => T): T {
  if (pci === "" || pci === inHand) return body();
  return withDirectory(CARDS, { mode: 0o700 }, (dir) => whileLocked(dir, pci, body)) as T;
}

/** The same for those who give back; see lockOrGoOn. */
export function whileReturningCard<T>(pci: string, body: () => T): T {
  if (pci === "" || pci === inHand) return body();
  return orUnlocked(body, (run) => withDirectory(CARDS, undefined, (dir) => whileLocked(dir, pci, run)));
}

/**
 * Who has a virtual function shares the lock of its physical one, which is locked first: the functions of a card do not wait for each other,
 * and the physical one neither comes nor goes meanwhile.
 */
function whileLocked<T>(dir: Fd, pci: string, body: () => T): T {
  const timeout = policy().lockTimeout;
  const own = (): T => withLock(dir, lockFile(pci), timeout, () => holding(pci, body));
  const physical = physicalFunction(pci);
  return physical === undefined ? own() : withLock(dir, lockFile(physical), timeout, own, LOCK_SH);
}

const lockFile = (pci: string): string => `${pci}.lock`;

function holding<T>(pci: string, body: () => T): T {
  const before = inHand;
  inHand = pci;
  try {
    return body();
  } finally {
    inHand = before;
  }
}
