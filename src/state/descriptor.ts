// Small helpers for errors and descriptors, which the files of this folder share.
import { type Fd, host, SystemError } from "../host/host.ts";

/** True if the error is a SystemError with one of these codes, such as "ENOENT". */
export function hasErrno(error: unknown, a: string, b?: string, c?: string, d?: string, e?: string): boolean {
  if (!(error instanceof SystemError)) return false;
  const { code } = error;
  return code === a || code === b || code === c || code === d || code === e;
}

/** The path of an open descriptor, for messages. */
export function pathOf(fd: Fd): string {
  try {
    return host.readlink(`/proc/self/fd/${fd}`);
  } catch {
    return `descriptor ${fd}`;
  }
}
