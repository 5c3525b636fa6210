// A mount of our own that no path leads to, on kernels before 5.2, whose mount(2) needs a path.
import { O_CLOEXEC, O_DIRECTORY, O_PATH } from "./constants.ts";
import type { Fd, Host } from "./host.ts";
import type { Argument, Syscall } from "./syscalls.ts";

const SIGCHLD = 17;
/** struct sigaction. */
const DEFAULT_ACTION = new Uint8Array(32);
const CLONE_FILES = 0x400;
const CLONE_NEWNS = 0x20000;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
/** Any directory that is there: only the child sees what is mounted on it. */
const PLACE = "/proc";
/** A child ends with the descriptor's number, of 8 bits. */
const MOST = 255;

interface MountHost extends Pick<Host, "open" | "exit"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
  clone(shared: number): number;
  waitpid(pid: number): number;
}

/**
 * Mounts in a child with mounts of its own and our descriptors, so that our own mounts, root and current directory stay as they are. The
 * mount lives as long as its descriptor. undefined: it cannot be had.
 */
export function mountInChild(host: MountHost, type: string, attributes: number): Fd | undefined {
  // Who started us may have the kernel forget children, and with them how they ended.
  host.call("rt_sigaction", "", SIGCHLD, DEFAULT_ACTION, null, 8);
  const pid = host.clone(CLONE_FILES);
  if (pid !== 0) {
    const status = host.waitpid(pid);
    return (status & 0x7f) === 0 && status !== 0 ? status >> 8 : undefined;
  }
  // Nothing may be thrown in the child: it would go on in its caller's place.
  try {
    host.call("unshare", "", CLONE_NEWNS);
    // Or the others' mounts would get it as well. EINVAL: the root is no mount (chroot).
    host.call("mount", "", null, "/", null, MS_REC | MS_PRIVATE, null);
    host.call("mount", type, type, PLACE, type, attributes, null);
    const fd = host.open(PLACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
    host.exit(fd <= MOST ? fd : 0);
  } catch {}
  host.exit(0);
}
