// Waiting for the kernel to end a network namespace: it hands the hardware in it back a moment later.
import { host } from "../../host/host.ts";

/** Milliseconds that this takes at most. */
export const TEARDOWN = 1000;
const PAUSE = 20;

/** Looks again and again, at last after the time is over. undefined: it never came. */
export function waitForTeardown<T>(look: () => T | undefined): T | undefined {
  const deadline = host.monotonic() + TEARDOWN;
  for (;;) {
    const found = look();
    if (found !== undefined || host.monotonic() > deadline) return found;
    host.sleep(PAUSE);
  }
}
