// What a driver does not take back: it is said, and holds nobody up. The next ADD sets its own values.
import { CniError } from "../../src/errors.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";

/** Runs it; a refusal is logged, and its name added to `left`. Everything else is thrown. */
export function attempt(left: string[], pci: string, what: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NetlinkError) && !(error instanceof CniError)) throw error;
    leave(left, pci, what, error.message);
  }
}

export function leave(left: string[], pci: string, what: string, error: string): void {
  log("warning", "not restored: the driver does not take it back", { device: pci, what, error });
  left.push(what);
}
