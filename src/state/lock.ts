import type { Fd } from "../host/host.ts";

/** Runs `body` under flock(2) LOCK_EX on `name` in `dir` (created 0600 when missing). Waits at most `timeout` ms, then CniError(tryAgain) naming the file. */
export function withLock<T>(_dir: Fd, _name: string, _timeout: number, _body: () => T): T {
  throw new Error("not built yet");
}
