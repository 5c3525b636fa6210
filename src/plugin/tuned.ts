// The visible state that the Go plugin tuning leaves. tuning changes an interface after podnic, and does not report all changes in the result.

import type { Attachment } from "../cni/plugin.ts";
import { host } from "../host/host.ts";
import { readFileAt } from "../state/files.ts";

/** tuning's `dataDir` when the configuration names none. */
const NOTES = "/run/cni/tuning";
const LIMIT = 4096;

/**
 * Whether tuning gave this interface another MTU: its note for DEL then holds the one before. Results after tuning (1.1.1 to 1.9.1) go on
 * naming that one. False too when there is no note, or none that can be read: CHECK then compares as without tuning.
 */
export function isMtuTuned({ containerId, ifName }: Attachment): boolean {
  try {
    const note = readFileAt(`${NOTES}/${containerId}_${ifName}.json`, LIMIT);
    return note !== undefined && JSON.parse(host.decode(note)).mtu !== undefined;
  } catch {
    return false;
  }
}
