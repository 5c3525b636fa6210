// Numbers of the system calls we make: [x86-64, arm64], from asm/unistd_64.h and asm-generic/unistd.h (a test compares them).

export const NUMBERS = {
  read: [0, 63],
  write: [1, 64],
  close: [3, 57],
  openat: [257, 56],
  openat2: [437, 437],
  fsync: [74, 82],
  fchmod: [91, 52],
  statx: [332, 291],
  fstatfs: [138, 44],
  getdents64: [217, 61],
  readlinkat: [267, 78],
  mkdirat: [258, 34],
  unlinkat: [263, 35],
  linkat: [265, 37],
  renameat2: [316, 276],
  symlinkat: [266, 36],
  flock: [73, 32],
  socket: [41, 198],
  bind: [49, 200],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  sendto: [44, 206],
  recvfrom: [45, 207],
  ppoll: [271, 73],
  ioctl: [16, 29],
  setns: [308, 268],
  unshare: [272, 97],
  clone: [56, 220],
  execve: [59, 221],
  execveat: [322, 281],
  wait4: [61, 260],
  pidfd_open: [434, 434],
  pipe2: [293, 59],
  dup3: [292, 24],
  fcntl: [72, 25],
  kill: [62, 129],
  setpgid: [109, 154],
  prctl: [157, 167],
  prlimit64: [302, 261],
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  rt_sigtimedwait: [128, 137],
  signalfd4: [289, 74],
  setsid: [112, 157],
  close_range: [436, 436],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  utimensat: [280, 88],
  geteuid: [107, 175],
  getpid: [39, 172],
  getppid: [110, 173],
  exit_group: [231, 94],
  clock_gettime: [228, 113],
  clock_nanosleep: [230, 115],
  getrandom: [318, 278],
  landlock_create_ruleset: [444, 444],
  landlock_add_rule: [445, 445],
  landlock_restrict_self: [446, 446],
  capget: [125, 90],
  capset: [126, 91],
} as const satisfies Record<string, readonly [x64: number, arm64: number]>;

export type Syscall = keyof typeof NUMBERS;
export type Machine = "x64" | "arm64";

/** Text is passed NUL-terminated (text with a NUL in it is refused with EINVAL), bytes by address, an array as char *[] (items end in NUL). */
export type Argument = number | string | Uint8Array | readonly Uint8Array[] | null;

/** What a host has to bring along; linux.ts makes the port of it. */
export interface Kernel {
  readonly machine: Machine;
  /** The kernel's answer, or -errno. What is undefined is 0. */
  syscall(nr: number, ...args: (Argument | undefined)[]): number;
  /**
   * The system call nr(fd, data, length, MSG_NOSIGNAL) by a process beside us, which shares our memory and descriptors: its id, or -errno.
   * `alone`: in a session of its own and with no descriptor but `fd`. Absent: the host has no such processes.
   */
  errand?(nr: number, fd: number, data: Uint8Array, alone: boolean): number;
  /** UTF-8; lone surrogates become U+FFFD. */
  encode(text: string): Uint8Array;
  /** null when it is not UTF-8. */
  decode(data: Uint8Array): string | null;
  /** 0: argv, 1: the environment; each item ends in NUL. */
  strings(which: 0 | 1): Uint8Array[];
  getenv(name: string): Uint8Array | undefined;
  /** struct rlimit of the stack as we got it, when the host raised it for itself: programs we run get it back. */
  stackLimit?(): Uint8Array;
  /** See Host.readEach: contents and time of each of these regular files, one after the other; null: to be read by itself. */
  readFiles?(dir: number, count: number, names: readonly string[], sure: boolean): (string | number | null)[];
}
