// DEL: the pod's namespace does not have the interface. The pod may have moved it to a namespace that only a process keeps, or the path of the
// pod's namespace belongs to another pod by now, while a process still uses the old namespace.
import type { Call } from "../../cni/plugin.ts";
import { askLink } from "../../link/link.ts";
import { openNamespace } from "../../link/namespace.ts";
import { keptSince } from "../results.ts";
import { isRecorded } from "./lender.ts";

/**
 * The attachment has a device, of whichever plugin (former.ts), or libcni keeps an ADD of it (a Go plugin's), and it is not there by its name. To read
 * the record is a sixth of a DEL, so that it is done only then.
 */
export function isElsewhere({ attachment, netns }: Call): boolean {
  const pod = openNamespace(netns, "ok");
  if (pod === undefined || askLink(pod.route, attachment.ifName, () => true) === true) return false;
  return isRecorded(attachment) || keptSince(attachment) > 0;
}
