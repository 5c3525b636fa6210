// What a pod can make last: the search for its device in all namespaces, and the removal of what it has stacked on the device. Other attachments wait
// for the locks of those who take or return devices. So who has such a lock leaves it for that, and then begins anew with the outcome: what is known
// by then must hold as long as the record is the same, or be looked at again.
import { Failure } from "../../errors.ts";

/** Each device of an earlier attachment takes two. */
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

/** Of the work that was done; undefined: nobody would leave a lock for it. */
let outcomes: Map<string, Outcome> | undefined;

/**
 * Runs `body`, which takes a lock for which others wait, and again after each work that it leaves the lock for. What `body` has changed until then
 * (fetchHome has moved the device), another call may find as well, and `body` goes on from it.
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
 * The outcome of `work`, which may take long, or what it has thrown. `id` says what is known by it. Leaves the lock when there is one to leave, and no
 * outcome, or an old one (`isNew`). Otherwise does it here.
 */
export function outside<T>(id: string, device: string, work: () => T, isNew = false): T {
  if (outcomes === undefined) return work();
  const known = isNew ? undefined : outcomes.get(id);
  if (known === undefined) throw new Outside(id, device, work);
  if ("error" in known) throw known.error;
  return known.value as T;
}

/** Does `work` under the lock, whatever a pod makes it last: who has changed something cannot begin anew. */
export function staying<T>(work: () => T): T {
  const left = outcomes;
  outcomes = undefined;
  try {
    return work();
  } finally {
    outcomes = left;
  }
}

/** It was done before the lock was taken again. */
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
