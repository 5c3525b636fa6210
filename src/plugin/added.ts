// Determines for DEL whether an ADD of this attachment succeeded. An interface without podnic's mark can belong to a Go plugin's ADD, or it
// can be the reason why podnic's ADD failed. The Go plugins delete any interface with the name.
import { holdsAddress } from "../cni/ipam.ts";
import type { Call } from "../cni/plugin.ts";
import { host, SystemError } from "../host/host.ts";

/** Where libcni keeps the result of each ADD that succeeded, until its DEL: its own, that of Multus, and the one of before 2019. */
export const RESULTS = ["/var/lib/cni/results", "/var/lib/cni/multus/results", "/var/lib/cni/cache/results"];

/**
 * By the prevResult, by its lease, or by what libcni keeps for every version of the specification. False: nothing says so. Throws when that cannot
 * be told.
 */
export function wasAdded(call: Call): boolean {
  // The undo of an ADD: what it made has our marks, and the lease is its own.
  if (call.command === "ADD") return false;
  return call.prevResult !== undefined || holdsAddress(call) || RESULTS.some((directory) => isKept(directory, call));
}

function isKept(directory: string, { attachment: { network, containerId, ifName } }: Call): boolean {
  try {
    host.stat(`${directory}/${network}-${containerId}-${ifName}`);
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(error.code)) return false;
    throw error;
  }
}
