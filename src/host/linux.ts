// The port on Linux, on top of one generic system call. layout.ts packs the structures.
import { leaveAside, syncAside } from "./aside.ts";
import { closeAllBut } from "./close-all.ts";
import { confineProcess } from "./confine.ts";
import { CLOCK_MONOTONIC, CLOCK_REALTIME, EINTR, ENOSYS, O_CLOEXEC, SIGCHLD, SOCK_CLOEXEC } from "./constants.ts";
import { type Each, namesIn, readAll, readEach, type Select } from "./directory.ts";
import { HIGH, LITTLE_ENDIAN, LOW } from "./endian.ts";
import type { Command, Fd, Grants, Outcome, PollFd, Received, Stat } from "./host.ts";
import { AT_FDCWD, errnoName, errnoText, SystemError } from "./host.ts";
import {
  HOW_MODE,
  HOW_RESOLVE,
  how,
  howBytes,
  ioctlNumber,
  NANOSECONDS,
  openFlags,
  pollFds,
  readyFds,
  SENDER,
  SENDER_LENGTH,
  scratch,
  scratchFields,
  scratchWords,
  sender,
  senderLength,
  socketOption,
  statOfScratch,
  timespec,
  view,
} from "./layout.ts";
import { mountInChild } from "./mount.ts";
import { pin, pinned } from "./pin.ts";
import { type ProgramHost, runCommand, spawnByClone } from "./run.ts";
import { type HeldSignals, holdSignals, ignoreSignal, rememberChildren, waitSignal } from "./signals.ts";
import { type Argument, type Kernel, numbersOf, type Syscall } from "./syscalls.ts";
import { decodeLossy, decodeName } from "./utf8.ts";

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const UTIME_OMIT = 0x3ffffffe;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
/** MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC. */
const MOUNT_ATTRIBUTES = 0xf;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
const WNOHANG = 1;
/** struct timespec of no time. (The kernel writes back what is left of it.) */
const AT_ONCE = new Uint8Array(16);

/** Of an answer below 0. A signal came between: the call is to be made once more. */
function throwUnlessCutShort(result: number, name: Syscall, subject: string): void {
  if (result === -EINTR) return;
  throw new SystemError(name, -result, errnoName(-result), errnoText(-result), subject);
}

export class LinuxHost implements ProgramHost {
  readonly #kernel: Kernel;
  readonly #numbers: { readonly [name in Syscall]: number };
  /** Flags of open(2) are as our constants. */
  readonly #usual: boolean;
  /** Signals we ignore, with the struct sigaction they had: programs we run get it back. */
  readonly ignored: [signal: number, action: Uint8Array][] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#numbers = numbersOf(kernel.machine);
    this.#usual = kernel.machine !== "arm64" && kernel.machine !== "ppc64le";
  }

  /** One system call, again when a signal came between. `subject` goes into the error. */
  call(
    name: Syscall,
    subject: string,
    a?: Argument,
    b?: Argument,
    c?: Argument,
    d?: Argument,
    e?: Argument,
    f?: Argument,
  ): number {
    const result = this.#kernel.syscall(this.#numbers[name], a, b, c, d, e, f);
    if (result >= 0) return result;
    throwUnlessCutShort(result, name, subject);
    return this.call(name, subject, a, b, c, d, e, f);
  }

  args(): string[] {
    return this.#kernel.strings(0).map((arg) => this.#name(arg.subarray(0, -1)));
  }

  environment(): Uint8Array[] {
    return this.#kernel.strings(1);
  }

  /** struct rlimit that programs we run get for their stack; undefined: as ours. */
  stackLimit(): Uint8Array | undefined {
    return this.#kernel.stackLimit?.();
  }

  getenv(name: string): string | undefined {
    const value = this.#kernel.getenv(name);
    return value === null ? this.#variable(name) : value;
  }

  /** One that is not UTF-8. */
  #variable(name: string): string | undefined {
    const start = `${name}=`;
    const found = this.environment().map((one) => decodeName(one.subarray(0, -1)));
    return found.find((one) => one.startsWith(start))?.slice(start.length);
  }

  // This one, close, read, recv, send and statx are most of a call's system calls: they make them without `call`, which costs as much again.
  open(path: string, flags: number, mode = 0, dir = AT_FDCWD, resolve = 0): Fd {
    const all = this.#usual ? flags | O_CLOEXEC : openFlags(flags, this.#kernel.machine);
    if (resolve === 0) {
      const fd = this.#kernel.syscall(this.#numbers.openat, dir, path, all, mode);
      if (fd >= 0) return fd;
      throwUnlessCutShort(fd, "openat", path);
      return this.open(path, flags, mode, dir);
    }
    how[LOW] = all;
    how[HOW_MODE] = mode;
    how[HOW_RESOLVE] = resolve;
    return this.call("openat2", path, dir, path, howBytes, 24);
  }

  close(fd: Fd): void {
    // Linux has released the descriptor also when it reports EINTR or EIO: never again, and nothing anybody could do.
    this.#kernel.syscall(this.#numbers.close, fd);
  }

  read(fd: Fd, max: number): Uint8Array {
    const most = Math.min(max, scratch.length);
    const size = this.#kernel.syscall(this.#numbers.read, fd, scratch, most);
    if (size >= 0) return scratch.slice(0, size);
    throwUnlessCutShort(size, "read", "");
    return this.read(fd, max);
  }

  write(fd: Fd, data: Uint8Array): number {
    return this.call("write", "", fd, data, data.length);
  }

  fsync(fd: Fd): void {
    this.call("fsync", "", fd);
  }

  fchmod(fd: Fd, mode: number): void {
    this.call("fchmod", "", fd, mode);
  }

  futimens(fd: Fd, seconds: number, nanoseconds: number): void {
    const times = new Uint8Array(32);
    times.set(timespec(0, UTIME_OMIT));
    times.set(timespec(seconds, nanoseconds), 16);
    this.call("utimensat", "", fd, null, times, 0);
  }

  fstat(fd: Fd): Stat {
    return this.#statx("", fd, AT_EMPTY_PATH);
  }

  stat(path: string, follow = true, dir = AT_FDCWD): Stat {
    return this.#statx(path, dir, follow ? 0 : AT_SYMLINK_NOFOLLOW);
  }

  #statx(path: string, dir: Fd, flags: number): Stat {
    const result = this.#kernel.syscall(this.#numbers.statx, dir, path, flags, STATX_BASIC_STATS, scratch);
    if (result >= 0) return statOfScratch();
    throwUnlessCutShort(result, "statx", path);
    return this.#statx(path, dir, flags);
  }

  mountDetached(type: string): Fd {
    let context: Fd;
    try {
      context = this.call("fsopen", type, type, FSOPEN_CLOEXEC);
    } catch (error) {
      const old = error instanceof SystemError && error.errno === ENOSYS && this.#kernel.errand !== undefined;
      const fd = old ? mountInChild(this, type, MOUNT_ATTRIBUTES) : undefined;
      if (fd !== undefined) return fd;
      throw error;
    }
    try {
      this.call("fsconfig", type, context, FSCONFIG_CMD_CREATE, null, null, 0);
      return this.call("fsmount", type, context, FSMOUNT_CLOEXEC, MOUNT_ATTRIBUTES);
    } finally {
      this.close(context);
    }
  }

  fstatfs(fd: Fd): number {
    this.call("fstatfs", "", fd, scratch);
    return scratchFields.getUint32(0, LITTLE_ENDIAN);
  }

  readdir(dir: Fd): string[] {
    return namesIn(this, dir);
  }

  readEach<T>(dir: Fd, sure: boolean, select: Select<T>, each: Each<T>): void {
    readEach(this, this.#kernel, dir, sure, select, each);
  }

  readAll(dir: Fd, files: readonly string[]): (string | undefined)[] {
    return readAll(this, this.#kernel, dir, files);
  }

  readlink(path: string, dir = AT_FDCWD): string {
    return this.#name(scratch.subarray(0, this.call("readlinkat", path, dir, path, scratch, scratch.length)));
  }

  mkdir(path: string, mode: number, dir = AT_FDCWD): void {
    this.call("mkdirat", path, dir, path, mode);
  }

  unlink(path: string, dir = AT_FDCWD): void {
    this.call("unlinkat", path, dir, path, 0);
  }

  rmdir(path: string, dir = AT_FDCWD): void {
    this.call("unlinkat", path, dir, path, AT_REMOVEDIR);
  }

  link(from: string, to: string, fromDir = AT_FDCWD, toDir = AT_FDCWD): void {
    this.call("linkat", to, fromDir, from, toDir, to, 0);
  }

  rename(from: string, to: string, fromDir = AT_FDCWD, toDir = AT_FDCWD): void {
    this.call("renameat2", to, fromDir, from, toDir, to, 0);
  }

  symlink(target: string, path: string, dir = AT_FDCWD): void {
    this.call("symlinkat", path, target, dir, path);
  }

  flock(fd: Fd, operation: number): void {
    this.call("flock", "", fd, operation);
  }

  flockWithin(fd: Fd, milliseconds: number): boolean | undefined {
    const answer = this.#kernel.lock?.(fd, Math.max(1, milliseconds));
    if (answer === undefined || answer === 0) return answer === undefined ? undefined : true;
    if (answer === -EINTR) return false;
    throw new SystemError("flock", -answer, errnoName(-answer), errnoText(-answer));
  }

  socket(domain: number, type: number, protocol: number): Fd {
    return this.call("socket", "", domain, type | SOCK_CLOEXEC, protocol);
  }

  bind(fd: Fd, address: Uint8Array): void {
    this.call("bind", "", fd, address, address.length);
  }

  setsockopt(fd: Fd, level: number, option: number, value: Uint8Array): void {
    this.call("setsockopt", "", fd, level, socketOption(level, option, this.#kernel.machine), value, value.length);
  }

  getsockopt(fd: Fd, level: number, option: number, size: number): Uint8Array {
    const value = new Uint8Array(size);
    scratchWords[SENDER_LENGTH >> 2] = size;
    this.call("getsockopt", "", fd, level, option, value, senderLength);
    const given = scratchWords[SENDER_LENGTH >> 2]!;
    return given === size ? value : value.subarray(0, given);
  }

  send(fd: Fd, data: Uint8Array, address?: Uint8Array): number {
    if (address !== undefined)
      return this.call("sendto", "", fd, data, data.length, MSG_NOSIGNAL, address, address.length);
    const sent = this.#kernel.syscall(this.#numbers.sendto, fd, data, data.length, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    throwUnlessCutShort(sent, "sendto", "");
    return this.send(fd, data);
  }

  recv(fd: Fd, buffer: Uint8Array): Received {
    scratchWords[SENDER_LENGTH >> 2] = 32;
    // With MSG_TRUNC the kernel says how long the datagram was, not how much of it fitted.
    const room = buffer.length;
    const size = this.#kernel.syscall(this.#numbers.recvfrom, fd, buffer, room, MSG_TRUNC, sender, senderLength);
    if (size < 0) {
      throwUnlessCutShort(size, "recvfrom", "");
      return this.recv(fd, buffer);
    }
    // struct sockaddr_nl: nl_pid at 4.
    const from = scratchWords[(SENDER >> 2) + 1]!;
    return size > room ? { size: room, truncated: true, sender: from } : { size, truncated: false, sender: from };
  }

  poll(fds: PollFd[], timeout: number): Fd[] {
    const words = pollFds(fds);
    const time = (): Uint8Array => timespec(Math.floor(timeout / 1000), Math.floor((timeout % 1000) * 1e6));
    const limit = timeout < 0 ? null : timeout === 0 ? AT_ONCE : time();
    this.call("ppoll", "", new Uint8Array(words.buffer), fds.length, limit, null, 0);
    return readyFds(fds, words);
  }

  ioctl(fd: Fd, request: number, data: Uint8Array): number {
    return this.call("ioctl", "", fd, ioctlNumber(request, this.#kernel.machine), data);
  }

  bpf(command: number, attributes: Uint8Array): number {
    return this.call("bpf", "", command, attributes, attributes.length);
  }

  pin(data: Uint8Array): number {
    return pin(this, this.#kernel.machine, data);
  }

  pinned(size: number): Uint8Array {
    return pinned(this, size);
  }

  setns(fd: Fd, type: number): void {
    this.call("setns", "", fd, type);
  }

  unshare(flags: number): void {
    this.call("unshare", "", flags);
  }

  run(command: Command): Outcome {
    return runCommand(this, command);
  }

  /** Starts it, in a process group of its own, and returns its process id. Throws SystemError("execve"). */
  spawn(command: Command, stdin: Fd, stdout: Fd, signals: Uint8Array | undefined): number {
    return spawnByClone(this, command, stdin, stdout, signals);
  }

  confine(grants?: () => Grants): void {
    confineProcess(this, grants);
  }

  /** clone(2) without a new address space; the child keeps all descriptors. */
  clone(): number {
    rememberChildren(this);
    // s390x has the stack first.
    if (this.#kernel.machine === "s390x") return this.call("clone", "", 0, SIGCHLD, 0, 0, 0);
    return this.call("clone", "", SIGCHLD, 0, 0, 0, 0);
  }

  fork(keep: Fd[]): number {
    const pid = this.clone();
    if (pid !== 0) return pid;
    // Nothing may be thrown in the child: it would go on in its caller's place.
    try {
      this.call("setsid", "");
      closeAllBut(this, keep);
    } catch {
      this.exit(1);
    }
    return 0;
  }

  sendAside(fd: Fd, data: Uint8Array): number {
    return this.errand("sendto", fd, data, true);
  }

  leaveAside(fd: Fd): number {
    return leaveAside(this, fd);
  }

  syncAside(fd: Fd): number {
    return syncAside(this, this.#kernel.errand !== undefined, fd);
  }

  /** One system call in a child process, see Kernel.errand. Returns its id. */
  errand(name: Syscall, fd: Fd, data: Uint8Array, alone: boolean): number {
    const pid = this.#kernel.errand?.(this.#numbers[name], fd, data, alone) ?? -ENOSYS;
    if (pid < 0) throw new SystemError("clone", -pid, errnoName(-pid), errnoText(-pid));
    return pid;
  }

  hasEnded(pid: number): boolean {
    try {
      return this.call("wait4", "", pid, null, WNOHANG, null) === pid;
    } catch (error) {
      // Who started us has the kernel forget children (SIGCHLD ignored).
      if (error instanceof SystemError && error.code === "ECHILD") return true;
      throw error;
    }
  }

  pipe(): [Fd, Fd] {
    const ends = new Uint8Array(8);
    this.call("pipe2", "", ends, O_CLOEXEC);
    return [view(ends).getInt32(0, LITTLE_ENDIAN), view(ends).getInt32(4, LITTLE_ENDIAN)];
  }

  waitpid(pid: number, options = 0): number {
    const status = new Uint8Array(4);
    this.call("wait4", "", pid, status, options, null);
    return view(status).getInt32(0, LITTLE_ENDIAN);
  }

  ignoreSignal(signal: number): void {
    const before = ignoreSignal(this, signal);
    if (before !== undefined) this.ignored.push([signal, before]);
  }

  holdSignals(): HeldSignals | undefined {
    return holdSignals(this);
  }

  waitSignal(signals: number[], milliseconds: number): number {
    return waitSignal(this, signals, milliseconds);
  }

  geteuid(): number {
    return this.call("geteuid", "");
  }

  getpid(): number {
    return this.call("getpid", "");
  }

  exit(status: number): never {
    this.call("exit_group", "", status);
    throw new Error("exit_group returned");
  }

  monotonic(): number {
    return this.#clock(CLOCK_MONOTONIC);
  }

  now(): number {
    return Math.floor(this.#clock(CLOCK_REALTIME));
  }

  #clock(clock: number): number {
    this.call("clock_gettime", "", clock, scratch);
    return (scratchWords[LOW]! + scratchWords[HIGH]! * 0x1_0000_0000) * 1000 + scratchWords[NANOSECONDS]! / 1e6;
  }

  sleep(milliseconds: number): void {
    const whole = Math.floor(milliseconds / 1000);
    const time = timespec(whole, Math.floor((milliseconds - whole * 1000) * 1e6));
    // The rest is written over the request, so that a call cut short goes on with what is left.
    this.call("clock_nanosleep", "", CLOCK_MONOTONIC, 0, time, time);
  }

  random(bytes: number): Uint8Array {
    const data = new Uint8Array(bytes);
    for (let at = 0; at < bytes; ) at += this.call("getrandom", "", data.subarray(at), bytes - at, 0);
    return data;
  }

  encode(text: string): Uint8Array {
    return this.#kernel.encode(text);
  }

  decode(data: Uint8Array): string {
    return this.#kernel.decode(data) ?? decodeLossy(data);
  }

  #name(data: Uint8Array): string {
    return this.#kernel.decode(data) ?? decodeName(data);
  }
}
