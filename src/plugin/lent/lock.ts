// The lock of those who give back.
import { SystemError } from "../../host/host.ts";
import { log } from "../../log.ts";
import { withDirectory } from "../../state/files.ts";
import { withLock } from "../../state/lock.ts";

/**
 * Runs `body` under the lock, when the directory is there; a full or read-only disk must not keep a device in a dead pod. Whatever `body`
 * throws is thrown.
 */
export function lockOrGoOn<T>(directory: string, file: string, timeout: number, body: () => T): T {
  let outcome: { value: T } | undefined;
  let started = false;
  const run = (): { value: T } => {
    started = true;
    return { value: body() };
  };
  try {
    outcome = withDirectory(directory, undefined, (dir) => withLock(dir, file, timeout, run));
  } catch (error) {
    if (started || !(error instanceof SystemError)) throw error;
    log("warning", "going on without a lock", { error: error.message });
  }
  return (outcome ?? run()).value;
}
