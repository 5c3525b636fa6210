// A mount of our own that no path leads to, on kernels before 5.2, whose mount(2) needs a path.
import { O_CLOEXEC, O_DIRECTORY, O_PATH, PR_SET_PDEATHSIG, SIGKILL } from "./constants.ts";
import type { Fd, Host } from "./host.ts";
import type { Argument, Syscall } from "./syscalls.ts";

const SIGSTOP = 19;
const CLONE_NEWNS = 0x20000;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
/** wait4(2): also when the child has stopped; its status is then 0x7f in the low byte. */
const WUNTRACED = 2;
const STOPPED = 0x7f;
/** Any directory that is there: only the child sees what is mounted on it. */
const PLACE = "/proc";

interface MountHost extends Pick<Host, "open" | "exit" | "getpid"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
  clone(): number;
  waitpid(pid: number, options?: number): number;
}

/**
 * Mounts in a child with mounts of its own, so that our own mounts, root and current directory stay as they are, and opens the mount
 * through the child, which stops for that long. The mount lives as long as its descriptor. undefined: it cannot be had.
 */
export function mountInChild(host: MountHost, type: string, attributes: number): Fd | undefined {
  const parent = host.getpid();
  const pid = host.clone();
  if (pid === 0) mountAndStop(host, parent, type, attributes);
  if ((host.waitpid(pid, WUNTRACED) & 0xff) !== STOPPED) return undefined;
  try {
    return host.open(`/proc/${pid}/root${PLACE}`, O_PATH | O_DIRECTORY | O_CLOEXEC);
  } finally {
    host.call("kill", "", pid, SIGKILL);
    host.waitpid(pid);
  }
}

/** In the child. Nothing may be thrown here: it would go on in its caller's place. */
function mountAndStop(host: MountHost, parent: number, type: string, attributes: number): never {
  try {
    host.call("prctl", "", PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    // The parent may have died before the line above.
    if (host.call("getppid", "") === parent) {
      host.call("unshare", "", CLONE_NEWNS);
      // Or the others' mounts would get it as well. EINVAL: the root is no mount (chroot).
      host.call("mount", "", null, "/", null, MS_REC | MS_PRIVATE, null);
      host.call("mount", type, type, PLACE, type, attributes, null);
      host.call("kill", "", host.getpid(), SIGSTOP);
    }
  } catch {}
  host.exit(0);
}
