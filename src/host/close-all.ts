// Closes the parent's descriptors in a child that continues without them.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "./constants.ts";
import { type Fd, SystemError } from "./host.ts";
import type { ProgramHost } from "./run.ts";

/** Above any descriptor a process can have (fs.nr_open is below 2^31). */
const LAST_FD = 0x7fffffff;

/** All descriptors of this process but these. */
export function closeAllBut(host: ProgramHost, keep: Fd[]): void {
  let first = 0;
  try {
    for (const fd of [...keep].sort((a, b) => a - b)) {
      if (fd > first) host.call("close_range", "", first, fd - 1, 0);
      first = fd + 1;
    }
    host.call("close_range", "", first, LAST_FD, 0);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ENOSYS") throw error;
    // Linux before 5.9.
    const dir = host.open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const name of host.readdir(dir))
      if (!keep.includes(Number(name)) && Number(name) !== dir) host.close(Number(name));
    host.close(dir);
  }
}
