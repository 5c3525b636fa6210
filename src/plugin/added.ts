// Determines for DEL whether an ADD of this attachment succeeded. An interface without podnic's mark can belong to a Go plugin's ADD, or it
// can be the reason why podnic's ADD failed. The Go plugins delete any interface with the name.
import { holdsAddress } from "../cni/ipam.ts";
import type { Call } from "../cni/plugin.ts";
import { hasResult } from "./results.ts";

/** What wasAdded has said of a call. */
const answers = new WeakMap<Call, boolean>();

/** The call that has a lock for which others wait. */
let locked: Call | undefined;

class Unasked extends Error {}

/**
 * By the prevResult, by its lease, or by what libcni keeps for every version of the specification. False: nothing says so. Throws when that cannot
 * be told.
 */
export function wasAdded(call: Call): boolean {
  // The undo of an ADD: what it made has our marks, and the lease is its own.
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
 * Runs `body`, which takes a lock for which others wait. When it needs wasAdded, it is run again, with the answer: a tenant names the pool, and
 * whoever keeps that busy must not keep others waiting. Until then `body` changes nothing.
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
