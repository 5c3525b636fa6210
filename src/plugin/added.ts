// Determines for DEL whether an ADD of this attachment succeeded. An interface without podnic's mark can belong to a Go plugin's ADD, or it
// can be the reason why podnic's ADD failed. The Go plugins delete any interface with the name.
import { holdsAddress } from "../cni/ipam.ts";
import type { Call } from "../cni/plugin.ts";
import { hasResult } from "./results.ts";

/** The answers of wasAdded. */
const answers = new WeakMap<Call, boolean>();

/** The call that holds a lock for which other calls wait. */
let locked: Call | undefined;

class Unasked extends Error {}

/**
 * True if the prevResult, a lease, or the result that libcni keeps (for every version of the specification) shows that the ADD of this attachment
 * succeeded. False if nothing shows it. Throws if podnic cannot tell.
 */
export function wasAdded(call: Call): boolean {
  // This ADD is being undone: the interface that it made has podnic's marks, and the lease is its own.
  if (call.command === "ADD") return false;
  if (call.prevResult !== undefined) return true;
  const known = answers.get(call);
  if (known !== undefined) return known;
  if (locked === call) throw new Unasked("wasAdded");
  const answer = holdsAddress(call) || hasResult(call.attachment);
  answers.set(call, answer);
  return answer;
}

/**
 * Runs `body`, which takes a lock for which other calls wait. If `body` asks wasAdded, `body` ends and releases its lock. Then wasAdded runs without
 * the lock, and `body` runs again. The reason: a tenant can choose the pool that wasAdded reads, and must not make other calls wait by keeping that
 * pool busy. `body` must change nothing before it asks wasAdded.
 */
export function askingUnlocked<T>(call: Call, body: () => T): T {
  locked = call;
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Unasked)) throw error;
  } finally {
    locked = undefined;
  }
  wasAdded(call);
  return body();
}
