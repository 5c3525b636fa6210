// The visible state that the Go plugin tuning leaves. tuning changes an interface after podnic, and does not report all changes in the result.

import type { Attachment } from "../cni/plugin.ts";
import { host } from "../host/host.ts";
import { readFileAt } from "../state/files.ts";

/** tuning's default `dataDir`. */
const NOTES = "/run/cni/tuning";
const LIMIT = 4096;

/**
 * True if tuning gave this interface another MTU: tuning then leaves a note for DEL with the earlier MTU. Results after tuning (1.1.1 to 1.9.1) still
 * contain the earlier MTU. Also false if the note is missing or unreadable: CHECK then compares the MTU as if tuning had not run.
 */
export function isMtuTuned({ containerId, ifName }: Attachment): boolean {
  try {
    const note = readFileAt(`${NOTES}/${containerId}_${ifName}.json`, LIMIT);
    return note !== undefined && JSON.parse(host.decode(note)).mtu !== undefined;
  } catch {
    return false;
  }
}
