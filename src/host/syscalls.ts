// Numbers of the system calls that we make, as [x86-64, arm64, s390x, ppc64le], from asm/unistd_64.h and asm-generic/unistd.h (a test compares them).

export const NUMBERS = {
  read: [0, 63, 3, 3],
  write: [1, 64, 4, 4],
  close: [3, 57, 6, 6],
  openat: [257, 56, 288, 286],
  openat2: [437, 437, 437, 437],
  fsync: [74, 82, 118, 118],
  fchmod: [91, 52, 94, 94],
  statx: [332, 291, 379, 383],
  fstatfs: [138, 44, 100, 100],
  getdents64: [217, 61, 220, 202],
  readlinkat: [267, 78, 298, 296],
  mkdirat: [258, 34, 289, 287],
  unlinkat: [263, 35, 294, 292],
  linkat: [265, 37, 296, 294],
  renameat2: [316, 276, 347, 357],
  symlinkat: [266, 36, 297, 295],
  flock: [73, 32, 143, 143],
  socket: [41, 198, 359, 326],
  bind: [49, 200, 361, 327],
  setsockopt: [54, 208, 366, 339],
  getsockopt: [55, 209, 365, 340],
  sendto: [44, 206, 369, 335],
  recvfrom: [45, 207, 371, 337],
  ppoll: [271, 73, 302, 281],
  ioctl: [16, 29, 54, 54],
  setns: [308, 268, 339, 350],
  unshare: [272, 97, 303, 282],
  clone: [56, 220, 120, 120],
  execve: [59, 221, 11, 11],
  execveat: [322, 281, 354, 362],
  wait4: [61, 260, 114, 114],
  pidfd_open: [434, 434, 434, 434],
  pipe2: [293, 59, 325, 317],
  dup3: [292, 24, 326, 316],
  fcntl: [72, 25, 55, 55],
  kill: [62, 129, 37, 37],
  setpgid: [109, 154, 57, 57],
  prctl: [157, 167, 172, 171],
  prlimit64: [302, 261, 334, 325],
  rt_sigaction: [13, 134, 174, 173],
  rt_sigprocmask: [14, 135, 175, 174],
  rt_sigtimedwait: [128, 137, 177, 176],
  signalfd4: [289, 74, 322, 313],
  setsid: [112, 157, 66, 66],
  close_range: [436, 436, 436, 436],
  mount: [165, 40, 21, 21],
  fsopen: [430, 430, 430, 430],
  fsconfig: [431, 431, 431, 431],
  fsmount: [432, 432, 432, 432],
  utimensat: [280, 88, 315, 304],
  geteuid: [107, 175, 201, 49],
  getpid: [39, 172, 20, 20],
  getppid: [110, 173, 64, 64],
  exit_group: [231, 94, 248, 234],
  clock_gettime: [228, 113, 260, 246],
  clock_nanosleep: [230, 115, 262, 248],
  getrandom: [318, 278, 349, 359],
  landlock_create_ruleset: [444, 444, 444, 444],
  landlock_add_rule: [445, 445, 445, 445],
  landlock_restrict_self: [446, 446, 446, 446],
  bpf: [321, 280, 351, 361],
  mmap: [9, 222, 90, 90],
  capget: [125, 90, 184, 183],
  capset: [126, 91, 185, 184],
} as const satisfies Record<string, readonly [x64: number, arm64: number, s390x: number, ppc64le: number]>;

export type Syscall = keyof typeof NUMBERS;
export type Machine = "x64" | "arm64" | "s390x" | "riscv64" | "ppc64le";
/** riscv64 has the numbers of arm64. */
export const COLUMNS: { readonly [machine in Machine]: 0 | 1 | 2 | 3 } = {
  x64: 0,
  arm64: 1,
  s390x: 2,
  riscv64: 1,
  ppc64le: 3,
};

export function numbersOf(machine: Machine): { readonly [name in Syscall]: number } {
  const column = COLUMNS[machine];
  const numbers = Object.entries(NUMBERS).map(([name, columns]) => [name, columns[column]]);
  return Object.fromEntries(numbers) as { [name in Syscall]: number };
}

/** Text is passed NUL-terminated (text with a NUL in it is refused with EINVAL), bytes by address, an array as char *[] (items end in NUL). */
export type Argument = number | string | Uint8Array | readonly Uint8Array[] | null;

/** What a host has to bring along; linux.ts makes the port of it. */
export interface Kernel {
  readonly machine: Machine;
  /** The kernel's answer, or -errno. What is undefined is 0. */
  syscall(nr: number, ...args: (Argument | undefined)[]): number;
  /**
   * The system call nr(fd, data, length, MSG_NOSIGNAL) by a child process, which shares our memory and descriptors: its id, or -errno.
   * `alone`: in a session of its own and with no descriptor but `fd`. Its exit status is the errno, or 0. Absent: the host has no such processes.
   */
  errand?(nr: number, fd: number, data: Uint8Array, alone: boolean): number;
  /** flock(2) LOCK_EX in the kernel's queue, for at most so many milliseconds: 0 or -errno. Absent: the host cannot end a wait. */
  lock?(fd: number, milliseconds: number): number;
  /** UTF-8; lone surrogates become U+FFFD. */
  encode(text: string): Uint8Array;
  /** null when it is not UTF-8. */
  decode(data: Uint8Array): string | null;
  /** 0: argv, 1: the environment; each item ends in NUL. */
  strings(which: 0 | 1): Uint8Array[];
  /** undefined: there is none; null: it is not UTF-8. */
  getenv(name: string): string | null | undefined;
  /** struct rlimit of the stack as we got it, when the host raised it for itself: programs we run get it back. */
  stackLimit?(): Uint8Array;
  /** See Host.readEach: contents and time of each of these regular files, one after the other; null: to be read by itself. `sure` 1: without the times. */
  readFiles?(dir: number, count: number, names: readonly string[], sure: boolean | 1): (string | number | null)[];
}
