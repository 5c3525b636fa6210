// The path of a pod's namespace may belong to another pod by now, while a process still uses the old namespace.
import type { Call } from "../../cni/plugin.ts";
import { askLink } from "../../link/link.ts";
import { openNamespace } from "../../link/namespace.ts";
import { isNamed } from "../../link/return.ts";
import type { Lender, LoanData } from "./lender.ts";

/**
 * DEL: CNI_NETNS leads to another namespace than the one that the device went to. To read the record is a sixth of a DEL, so that it is done
 * only where the interface is missing.
 */
export function isElsewhere<D extends LoanData>(lender: Lender<D>, { attachment, netns }: Call): boolean {
  const pod = openNamespace(netns, "ok");
  if (pod === undefined || askLink(pod.route, attachment.ifName, () => true) === true) return false;
  const record = lender.store().read(attachment);
  return record !== undefined && !isNamed(pod, record.data.netns);
}
