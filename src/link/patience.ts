// Waits for a driver that is busy for a short time, for example while a VF is reset or while a card applies a value.
import { host } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";

/** Milliseconds, as sriov-cni has it (20 tries, 100 ms apart). */
const PATIENCE = 2000;
const PAUSE = 20;

/** Refusals that pass by themselves: i40e and octeontx2 say EAGAIN, ice and iavf EBUSY, while a VF is being reset. */
export function isPassing(error: unknown): boolean {
  return error instanceof NetlinkError && (error.code === "EAGAIN" || error.code === "EBUSY");
}

/** Repeats what is refused in a way that may pass, up to the limit; then throws the last refusal. */
export function patiently<T>(run: () => T): T {
  const deadline = host.monotonic() + PATIENCE;
  for (;;) {
    try {
      return run();
    } catch (error) {
      if (!isPassing(error) || host.monotonic() >= deadline) throw error;
    }
    host.sleep(PAUSE);
  }
}

/** False when the condition does not come true within the limit. */
export function waitFor(condition: () => boolean): boolean {
  const deadline = host.monotonic() + PATIENCE;
  while (!condition()) {
    if (host.monotonic() >= deadline) return false;
    host.sleep(PAUSE);
  }
  return true;
}
