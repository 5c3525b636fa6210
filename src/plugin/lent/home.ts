// The namespace from which devices were lent. A record applies only to the host network namespace in which it was written.
import { Failure } from "../../errors.ts";
import { lookInto } from "../../link/namespace.ts";
import { seeNamespaces, withThreads } from "../../link/visible.ts";
import type { HomeNamespace } from "../../state/record.ts";
import { ageOf, isHomeOfLoans, type Lender, type LoanData, type LoanRecord } from "./lender.ts";

/** The cookie of the first namespace of a machine, to which the kernel hands the hardware of those that end. */
export const FIRST_NAMESPACE = "0000000000000001";

/**
 * What became of the home of a record that is not ours ("elsewhere"). "alive": we run in the wrong place, say a container. "gone": the node is a
 * container that was started again with its state kept. "unknown": not all processes can be seen from here.
 */
export function fateOfHome(home: HomeNamespace | undefined): "alive" | "gone" | "unknown" {
  if (home === undefined) return "unknown";
  if (home.cookie === FIRST_NAMESPACE) return "alive";
  const seen = seeNamespaces();
  for (const { path, dev, ino } of withThreads(seen)) {
    if (dev === home.dev && ino === home.ino && (home.cookie === "" || hasCookie(path, home.cookie))) return "alive";
  }
  return seen.processesOfMachine && seen.denied === 0 ? "gone" : "unknown";
}

/** Inodes are given again. */
function hasCookie(path: string, wanted: string): boolean {
  try {
    return lookInto(path, ({ cookie }) => cookie === "" || cookie === wanted) === true;
  } catch {
    return true;
  }
}

/**
 * For who may not run where the runtime does: throws Failure when the record is of another namespace that is not proven to be gone. A node that
 * is a container does not see all processes. It is proof enough there that the runtime lends devices in our namespace now.
 */
export function requireOwnHome<D extends LoanData>(lender: Lender<D>, record: LoanRecord<D>): void {
  if (ageOf(record) !== "elsewhere") return;
  const fate = fateOfHome(record.home);
  if (fate === "alive" || (fate === "unknown" && !isHomeOfLoans()))
    throw ofAnotherHome(lender.loanOf(record.data).name, fate);
}

export function ofAnotherHome(name: string, fate: "alive" | "unknown" = "alive"): Failure {
  const restarted =
    "If podnic already runs there, this node is a container that was restarted. In that case, the pod's DEL removes the record. podnic gc also removes it when a new pod has a device.";
  return new Failure(
    "failed",
    `${name} was moved to its pod from a different network namespace, not from the one that podnic runs in`,
    `Nothing was changed. Run podnic in the network namespace of the node's runtime.${fate === "unknown" ? ` ${restarted}` : ""}`,
  );
}
