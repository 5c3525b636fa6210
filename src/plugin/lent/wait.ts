// Waits until the kernel has deleted a network namespace. The kernel returns the physical devices in it a moment later.
import { host } from "../../host/host.ts";

/** Milliseconds that this takes at most. */
export const TEARDOWN = 1000;
const PAUSE = 20;

/** When it is over that begins now. */
export const teardownEnd = (): number => host.monotonic() + TEARDOWN;

/** Looks again and again, at last after the time is over. undefined: it never came. Who waits for many has one `end` for all. */
export function waitForTeardown<T>(look: () => T | undefined, end = teardownEnd()): T | undefined {
  for (;;) {
    const found = look();
    if (found !== undefined || host.monotonic() > end) return found;
    host.sleep(PAUSE);
  }
}
