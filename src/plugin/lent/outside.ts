// Slow work, whose duration a pod can influence: the search for the pod's device in all namespaces, and the removal of interfaces that the pod has
// put on the device. Other attachments wait for the locks that podnic holds while it lends or takes back a device. So a call that holds such a lock
// releases it for slow work, and then begins again with the outcome. An outcome must stay valid as long as the record is the same, or podnic must
// look again.
import { Failure } from "../../errors.ts";

/** How many times a call releases its lock at most. Each device of an earlier attachment takes two. */
const LEAVES = 20;

class Outside extends Error {
  constructor(
    readonly id: string,
    readonly device: string,
    readonly work: () => unknown,
  ) {
    super(id);
  }
}

type Outcome = { value: unknown } | { error: unknown };

/** The outcomes of the work that was done without the lock. undefined: there is no lock to release, so that work is done at once. */
let outcomes: Map<string, Outcome> | undefined;

/**
 * Runs `body`, which takes a lock for which other calls wait. Each time `body` leaves the lock for slow work, does this work and runs `body` again.
 * By then `body` may have changed something (fetchHome has moved the device). Another call may find this state, too, and `body` continues from it.
 * Throws Failure("try again") if there is always more work.
 */
export function leavingLocks<T>(body: () => T): T {
  const own = new Map<string, Outcome>();
  try {
    for (let left = 0; ; left++) {
      outcomes = own;
      try {
        return body();
      } catch (error) {
        if (!(error instanceof Outside)) throw error;
        if (left === LEAVES) throw keepsMoving(error.device);
        outcomes = undefined;
        own.set(error.id, outcomeOf(error.work));
      }
    }
  } finally {
    outcomes = undefined;
  }
}

function outcomeOf(work: () => unknown): Outcome {
  try {
    return { value: work() };
  } catch (error) {
    return { error };
  }
}

/**
 * Returns what `work` returns, or throws what it throws. `work` may take long, and `id` identifies its outcome. If there is a lock to release and the
 * outcome is not known, this function leaves the lock for the work. `isNew`: a known outcome is too old to count. If there is no lock to release, it
 * does the work here.
 */
export function outside<T>(id: string, device: string, work: () => T, isNew = false): T {
  if (outcomes === undefined) return work();
  const known = isNew ? undefined : outcomes.get(id);
  if (known === undefined) throw new Outside(id, device, work);
  if ("error" in known) throw known.error;
  return known.value as T;
}

/** Does `work` without releasing the lock, however long a pod makes it take: a call that has changed something cannot begin again. */
export function staying<T>(work: () => T): T {
  const left = outcomes;
  outcomes = undefined;
  try {
    return work();
  } finally {
    outcomes = left;
  }
}

/** True if this work was done before the lock was taken again. */
export const wasOutside = (id: string): boolean => outcomes?.has(id) === true;

export function keepsMoving(device: string): Failure {
  return unseen(device, "a process is moving it from one namespace to another");
}

export function unseen(device: string, why: string): Failure {
  return new Failure(
    "try again",
    `cannot tell whether ${device} still exists: ${why}`,
    "Its record is kept (podnic devices shows it). DEL succeeds when the device is back on the host, or when the device's namespace is deleted.",
  );
}
