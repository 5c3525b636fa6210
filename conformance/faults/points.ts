// The points of a call: one for each syscall it makes, named the way strace can find it again.

export interface Point {
  readonly syscall: string;
  /** Which one of its kind, from 1, in the process or thread that makes most of them. */
  readonly nth: number;
  /** Its arguments in the recorded run, for the report. */
  readonly seen: string;
}

/** Reads `strace -f -o`. execve, the first call, belongs to strace; a restarted call is the same call. */
export function parsePoints(trace: string): Point[] {
  const points = new Map<string, Point>();
  const counts = new Map<string, number>();
  let first = true;
  for (const line of trace.split("\n")) {
    const match = /^(\d+) +([a-z0-9_]+)\((.*)$/.exec(line);
    if (match === null) continue;
    const [, pid, syscall, rest] = match as unknown as [string, string, string, string];
    if (first && syscall === "execve") {
      first = false;
      continue;
    }
    if (syscall === "restart_syscall") continue;
    const key = `${pid} ${syscall}`;
    const nth = (counts.get(key) ?? 0) + 1;
    counts.set(key, nth);
    const name = `${syscall} ${nth}`;
    if (!points.has(name)) points.set(name, { syscall, nth, seen: `${syscall}(${rest.slice(0, 120)}` });
  }
  return [...points.values()];
}

/** Without memory or before main a process cannot say anything; it may end, but not in success and not leaving anything. */
const MEMORY = new Set(["brk", "mmap", "mremap", "mprotect", "munmap", "madvise"]);
/** Their failure cannot be injected, or libc makes them before main and cannot do without. */
const NO_ERROR = new Set(["exit", "exit_group", "rt_sigreturn", "execve", "vfork", "fork", "clone", "clone3"]);
const STARTUP = new Set(["arch_prctl", "set_tid_address", "set_robust_list", "rseq"]);

export function mayStayMute(point: Point): boolean {
  return MEMORY.has(point.syscall) || (point.syscall === "write" && /^write\(1[,<]/.test(point.seen));
}

/** What to let fail at a point: an interruption, and the error that is likeliest of such a call. */
export function likelyErrors(point: Point): string[] {
  const { syscall } = point;
  if (NO_ERROR.has(syscall) || STARTUP.has(syscall)) return [];
  if (MEMORY.has(syscall)) return ["ENOMEM"];
  // A query of a device's programs neither allocates nor waits.
  if (syscall === "bpf") return ["EPERM"];
  if (/^(send|recv)/.test(syscall)) return ["ENOBUFS", "ENOMEM", "EINTR"];
  if (/^(write|pwrite|open|mkdir|link|rename|symlink|fallocate|ftruncate)/.test(syscall))
    return ["ENOSPC", "EIO", "EINTR"];
  if (/^(socket|dup|pipe|epoll_create|eventfd|memfd)/.test(syscall)) return ["EMFILE", "EINTR"];
  return ["EIO", "EINTR"];
}

/**
 * Arguments of strace that do it. With --seccomp-bpf only the one kind of syscall is stopped at and the rest runs at full speed,
 * but strace 6.1 then loses the signal.
 */
export function injection(point: Point, what: string): string {
  const filter = what.startsWith("signal") ? "" : "--seccomp-bpf ";
  return `${filter}-e trace=${point.syscall} -e inject=${point.syscall}:${what}:when=${point.nth}`;
}

/** Whether the trace of an injected run shows that the injection happened. */
export function happened(trace: string, what: string): boolean {
  return what.startsWith("signal") ? trace.includes("+++ killed by SIGKILL +++") : trace.includes("(INJECTED)");
}
