// The port: everything that podnic needs from the operating system. It has two implementations: host/quickjs (the released executable) and
// host/node (development, unit tests and the pkg package). Tests may install a scripted one. Every call is synchronous, and throws SystemError
// if the kernel refuses it.

import { Refusal } from "../errors.ts";
import { errnoName, errnoText } from "./errno.ts";

export { errnoName, errnoText };

/** A system call that failed. Decisions are made on `code` or `errno`, never on the text. */
export class SystemError extends Refusal {
  override readonly name = "SystemError";
  /** The call, as in the man page: "openat2", "sendto". */
  readonly syscall: string;
  /** Positive errno. */
  readonly errno: number;
  /** Symbolic errno: "ENOENT". */
  readonly code: string;
  /** What the call was about: a path, a device. Empty when there is nothing to name. */
  readonly subject: string;

  constructor(syscall: string, errno: number, code: string, text: string, subject = "") {
    super(subject === "" ? `${syscall}: ${text}` : `${syscall} ${subject}: ${text}`);
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
    this.subject = subject;
  }
}

/** An open file descriptor. */
export type Fd = number;

/** `dir` argument of the *at calls: paths are relative to the current directory (ours are absolute). */
export const AT_FDCWD = -100;

/** statx(2), the fields we use. */
export interface Stat {
  /** Device number of the file system, major * 2^32 + minor: with `ino` it identifies a file or a namespace. */
  dev: number;
  ino: number;
  /** File type and permission bits, as st_mode. */
  mode: number;
  uid: number;
  nlink: number;
  size: number;
  /**
   * Modification time, seconds since the epoch, and the nanoseconds within. Never compared by order (the clock may jump), only for
   * equality.
   */
  mtime: number;
  mtimeNsec: number;
  /** When the file itself, its times or its owner were last changed. Nobody can set it. */
  ctime: number;
  ctimeNsec: number;
}

export interface Received {
  /** Bytes received: so many at the beginning of the buffer given. */
  size: number;
  /** The datagram was larger than the buffer (MSG_TRUNC). */
  truncated: boolean;
  /** For netlink: port id of the sender; 0 is the kernel. */
  sender: number;
}

export interface PollFd {
  fd: Fd;
  events: number;
}

/** What a confined process may still write; see Host.confine. Descriptors, O_PATH is enough. */
export interface Grants {
  /** Directories below which it makes, writes and removes files and directories. */
  trees: readonly Fd[];
  /** Directories below which it writes files that exist. */
  files: readonly Fd[];
}

/** A program to run to its end; see Host.run. */
export interface Command {
  /** Open descriptor of the executable (O_PATH is enough): what was checked is what runs. */
  file: Fd;
  /** argv[0] and what error messages call it. */
  path: string;
  /** Variables to set on top of our own environment, which is passed on byte for byte. */
  env: Record<string, string>;
  stdin: Uint8Array;
  /** Bytes of stdout kept at most; more kills the program. */
  maxOutput: number;
  /** Milliseconds; then its process group is killed. */
  timeout: number;
}

export interface Outcome {
  /** Exit status, or -1 when a signal ended it. */
  status: number;
  /** Signal number, or 0. */
  signal: number;
  stdout: Uint8Array;
  /** Killed because of `timeout`, because of `maxOutput`, or because we were asked to end (SIGTERM, SIGINT), which we ignore from then on. */
  killed: "" | "timeout" | "output" | "signal";
}

export interface Host {
  /** The command line; args[0] is the name we were called by. */
  args(): string[];
  getenv(name: string): string | undefined;

  /** Opens a path. `resolve` are RESOLVE_* bits of openat2(2); with any set the kernel refuses to step outside `dir`. */
  open(path: string, flags: number, mode?: number, dir?: Fd, resolve?: number): Fd;
  close(fd: Fd): void;
  /** Reads once, at most `max` bytes; an empty array is the end of the file. */
  read(fd: Fd, max: number): Uint8Array;
  /** Writes once; returns how many bytes were taken. */
  write(fd: Fd, data: Uint8Array): number;
  fsync(fd: Fd): void;
  fchmod(fd: Fd, mode: number): void;
  /** futimens(2): sets the modification time and leaves the access time. Works on an open directory. */
  futimens(fd: Fd, seconds: number, nanoseconds: number): void;
  fstat(fd: Fd): Stat;
  /** stat(2); `follow` false is lstat(2). */
  stat(path: string, follow?: boolean, dir?: Fd): Stat;
  /**
   * A file system of this type, mounted read-only and attached nowhere: its root. Nobody else sees it, and it ends with the descriptor. Before
   * Linux 5.2, it is writable: the flag would be that of everybody's sysfs of the namespace.
   * sysfs shows the network namespace this process is in. Before Linux 5.2 a child process mounts it (mount.ts), where there are such processes.
   */
  mountDetached(type: string): Fd;
  /** statfs f_type of the file system a descriptor is on (NSFS_MAGIC 0x6e736673, …). */
  fstatfs(fd: Fd): number;
  /** Names in an open directory, without "." and "..", in the order the kernel gives. Goes on where an earlier call for the descriptor ended. */
  readdir(dir: Fd): string[];
  /**
   * The entries of an open directory that `select` has something to say of, with what is in them and when they were written (seconds
   * since the epoch). `text` undefined: to be read by name; it may be anything. Each is looked at before it is opened, if only by what the
   * directory says of it: `sure` when nobody but root can change that. Takes a fraction of what the same takes call by call.
   */
  readEach<T>(
    dir: Fd,
    sure: boolean,
    select: (name: string) => T | undefined,
    each: (selected: T, name: string, text: string | undefined, written: number) => void,
  ): void;
  /** Contents of files below a directory that only root can change; undefined: it cannot be read, or is large. */
  readAll(dir: Fd, files: readonly string[]): (string | undefined)[];
  readlink(path: string, dir?: Fd): string;
  mkdir(path: string, mode: number, dir?: Fd): void;
  unlink(path: string, dir?: Fd): void;
  rmdir(path: string, dir?: Fd): void;
  /** link(2): fails with EEXIST when `to` exists, which makes it our atomic exclusive create. */
  link(from: string, to: string, fromDir?: Fd, toDir?: Fd): void;
  rename(from: string, to: string, fromDir?: Fd, toDir?: Fd): void;
  symlink(target: string, path: string, dir?: Fd): void;
  /** flock(2) with LOCK_* bits; LOCK_NB makes it throw EAGAIN instead of waiting. */
  flock(fd: Fd, operation: number): void;
  /**
   * flock(2) LOCK_EX in the kernel's queue, for at most so many milliseconds. Says whether we have it. undefined: this host cannot end such a
   * wait (Node).
   */
  flockWithin(fd: Fd, milliseconds: number): boolean | undefined;

  socket(domain: number, type: number, protocol: number): Fd;
  bind(fd: Fd, address: Uint8Array): void;
  setsockopt(fd: Fd, level: number, option: number, value: Uint8Array): void;
  /** getsockopt(2): `size` bytes at most. */
  getsockopt(fd: Fd, level: number, option: number, size: number): Uint8Array;
  /** sendto(2); without `address` the socket's peer (for netlink: the kernel). */
  send(fd: Fd, data: Uint8Array, address?: Uint8Array): number;
  recv(fd: Fd, buffer: Uint8Array): Received;
  /** poll(2): the descriptors that are ready; empty after `timeout` milliseconds. */
  poll(fds: PollFd[], timeout: number): Fd[];
  /** ioctl(2) with a buffer that the kernel may change. */
  ioctl(fd: Fd, request: number, data: Uint8Array): number;

  /** bpf(2) with its attributes, to which the kernel may write. */
  bpf(command: number, attributes: Uint8Array): number;
  /** Copies at most a page of bytes to where structures of system calls can point to: the address, the same each time. */
  pin(data: Uint8Array): number;
  /** What is there now: `size` bytes. */
  pinned(size: number): Uint8Array;

  /** setns(2): moves this process (single-threaded) into the namespace. */
  setns(fd: Fd, type: number): void;
  /** unshare(2). */
  unshare(flags: number): void;
  run(command: Command): Outcome;
  /**
   * Gives up for good what the rest of this process does not need: it writes nowhere but where `grants` says, runs no program, mounts
   * nothing, and keeps no capability but those for links, packets, namespaces and files. Reading is not limited. Without `grants`, and
   * where the kernel has no Landlock, it only loses capabilities, and on Node nothing.
   */
  confine(grants?: () => Grants): void;
  /**
   * fork(2): 0 in the child, which is then in a session of its own (setsid) and has every descriptor but those of `keep` closed
   * (0, 1 and 2 too: the caller waits for their end). Throws ENOSYS on hosts that cannot (Node).
   */
  fork(keep: Fd[]): number;
  /**
   * sendto(2) by a child process, which goes on when we end: what the kernel answers comes to our socket. Its process id. Throws ENOSYS
   * on hosts that have no such processes (Node).
   */
  sendAside(fd: Fd, data: Uint8Array): number;
  /**
   * For a socket on which nothing is expected any more, and that stays open until we end: the kernel makes the last one who closes it wait. A
   * child process has it a little longer than we. Its process id, or 0 where there are none.
   */
  leaveAside(fd: Fd): number;
  /**
   * fsync(2) by a child process, for waitpid: its exit status is the errno, or 0. The descriptor stays open until then. Returns 0 when it
   * is synced already, as on hosts that have no such processes.
   */
  syncAside(fd: Fd): number;
  /** waitpid(2) that does not wait: whether this child of ours has ended. */
  hasEnded(pid: number): boolean;
  /** pipe2(2) with O_CLOEXEC: [end to read, end to write]. */
  pipe(): [Fd, Fd];
  /** waitpid(2): wait status; blocks. */
  waitpid(pid: number): number;
  /** Ignores a signal from now on (a broken pipe must end in an undo, not in death). */
  ignoreSignal(signal: number): void;
  /**
   * Waits until one of these signals comes, or the time is over (below 0: never). Its number, or 0. From then on they are kept for the
   * next wait and end nothing. Process 1 of a container gets them in no other way: the kernel drops what it has no handler for.
   */
  waitSignal(signals: number[], milliseconds: number): number;
  geteuid(): number;
  getpid(): number;
  /** Ends the process at once, without flushing or unwinding. */
  exit(status: number): never;

  /** Milliseconds on CLOCK_MONOTONIC; for deadlines. */
  monotonic(): number;
  /** Milliseconds since the epoch; for log lines only. */
  now(): number;
  sleep(milliseconds: number): void;
  random(bytes: number): Uint8Array;

  encode(text: string): Uint8Array;
  /** UTF-8 to text; what is not UTF-8 becomes U+FFFD. */
  decode(data: Uint8Array): string;
}

/** The host in force. Set once by the entry point, before anything else runs. */
export let host: Host;

export function installHost(implementation: Host): void {
  host = implementation;
}
