// Small helpers for errors and descriptors, which the files of this folder share.
import { type Fd, host, SystemError } from "../host/host.ts";

/** True when the kernel refused with one of these symbolic errnos. */
export function hasErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof SystemError && codes.includes(error.code);
}

/** The path of an open descriptor, for messages. */
export function pathOf(fd: Fd): string {
  try {
    return host.readlink(`/proc/self/fd/${fd}`);
  } catch {
    return `descriptor ${fd}`;
  }
}
