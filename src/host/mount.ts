// A mount of our own that no path leads to, on kernels before 5.2, whose mount(2) needs a path.
import { O_CLOEXEC, O_DIRECTORY, O_PATH, PR_SET_PDEATHSIG, SIGKILL } from "./constants.ts";
import { type Fd, type Host, SystemError } from "./host.ts";
import type { Argument, Syscall } from "./syscalls.ts";

const SIGSTOP = 19;
const CLONE_NEWNS = 0x20000;
const MS_RDONLY = 1;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
/** wait4(2): also when the child has stopped; its status is then 0x7f in the low byte. */
const WUNTRACED = 2;
const STOPPED = 0x7f;
/** Any directory that is there: only the child sees what is mounted on it. */
const PLACE = "/proc";
/** As statfs(2) has them. */
const MAGIC: { [type: string]: number } = { sysfs: 0x62656572 };

interface MountHost extends Pick<Host, "open" | "close" | "fstatfs" | "exit" | "getpid"> {
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
    const fd = host.open(`/proc/${pid}/root${PLACE}`, O_PATH | O_DIRECTORY | O_CLOEXEC);
    // In the /proc of another pid namespace, another process has this number, or none.
    if (host.fstatfs(fd) === MAGIC[type]) return fd;
    host.close(fd);
    return undefined;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return undefined;
    throw error;
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
      // MOUNT_ATTR_* are MS_*. But MS_RDONLY is of the file system, which others of its network namespace mount as well.
      host.call("mount", type, type, PLACE, type, attributes & ~MS_RDONLY, null);
      host.call("kill", "", host.getpid(), SIGSTOP);
    }
  } catch {}
  host.exit(0);
}
