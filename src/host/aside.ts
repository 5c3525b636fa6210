// System calls that may take long, in a child process: the call itself goes on, or waits for it later.
import { SO_RCVTIMEO, SOL_SOCKET } from "./constants.ts";
import { LITTLE_ENDIAN, LOW } from "./endian.ts";
import type { Fd, Host } from "./host.ts";
import { view } from "./layout.ts";
import { rememberChildren } from "./signals.ts";
import type { Argument, Syscall } from "./syscalls.ts";

const NOTHING = new Uint8Array();
/** Microseconds that leaveAside's process stays, so that it is the last to close: we end earlier. */
const LEAVE_TIME = 20_000;

interface AsideHost extends Pick<Host, "fsync" | "setsockopt"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
  errand(name: Syscall, fd: Fd, data: Uint8Array, alone: boolean): number;
}

/** See Host.leaveAside. */
export function leaveAside(host: AsideHost, fd: Fd): number {
  try {
    // struct timeval. It waits for what does not come.
    const time = new Uint8Array(16);
    view(time).setUint32(8 + 4 * LOW, LEAVE_TIME, LITTLE_ENDIAN);
    host.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, time);
    return host.errand("recvfrom", fd, NOTHING, true);
  } catch {
    return 0;
  }
}

/** See Host.syncAside. `canAside`: the host has such processes. */
export function syncAside(host: AsideHost, canAside: boolean, fd: Fd): number {
  if (canAside) {
    try {
      rememberChildren(host);
      return host.errand("fsync", fd, NOTHING, false);
    } catch {
      // No more processes.
    }
  }
  host.fsync(fd);
  return 0;
}
