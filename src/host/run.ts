// Host.run: runs a program with its input and output on pipes, a limit on its output, and a deadline.

import { concat } from "./concat.ts";
import {
  EACCES,
  EAGAIN,
  EINVAL,
  ENOENT,
  ENOSYS,
  EPERM,
  EPIPE,
  ESRCH,
  O_NONBLOCK,
  POLLIN,
  POLLOUT,
  PR_SET_PDEATHSIG,
  SIGKILL,
  SIGPIPE,
} from "./constants.ts";
import { LITTLE_ENDIAN } from "./endian.ts";
import type { Command, Fd, Host, Outcome, PollFd } from "./host.ts";
import { errnoName, errnoText, SystemError } from "./host.ts";
import { type HeldSignals, releaseSignals, restoreSignals } from "./signals.ts";
import type { Argument, Syscall } from "./syscalls.ts";
import { encodeName } from "./utf8.ts";

const AT_EMPTY_PATH = 0x1000;
const F_SETFL = 4;
const WNOHANG = 1;
/** Milliseconds between two looks at a program, where it has to be looked at. */
const PAUSE = 1;
const RLIMIT_STACK = 3;

/** What a host has beyond the port, for the programs that it starts. */
export interface ProgramHost extends Host {
  /** One system call. `subject` goes into the error. */
  call(name: Syscall, subject: string, ...args: Argument[]): number;
  /** As the kernel gave it; each item ends in NUL. */
  environment(): Uint8Array[];
  /** Signals we ignore, with the struct sigaction they had: programs we run get it back. */
  readonly ignored: readonly [signal: number, action: Uint8Array][];
  /** Keeps the signals that ask us to end; undefined: they go on ending us, or nobody. */
  holdSignals(): HeldSignals | undefined;
  /** struct rlimit that programs get for their stack; undefined: as ours. */
  stackLimit(): Uint8Array | undefined;
  /** clone(2) without a new address space; the child keeps all descriptors. */
  clone(): number;
  /** Starts a program with this stdin and stdout and returns its process id. `signals`: the sigset_t that it gets, when that is not ours. */
  spawn(command: Command, stdin: Fd, stdout: Fd, signals: Uint8Array | undefined): number;
}

/** The value, or the fallback when the call fails with one of these errnos. */
function unless<T>(errnos: number[], fallback: T, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof SystemError && errnos.includes(error.errno)) return fallback;
    throw error;
  }
}

function withoutEquals(entry: Uint8Array): Uint8Array {
  const end = entry.indexOf(0x3d);
  return end < 0 ? entry : entry.subarray(0, end);
}

/** Our environment byte for byte, but for the variables of `extra`. */
export function environmentWith(host: ProgramHost, extra: Record<string, string>): Uint8Array[] {
  const kept = host.environment().filter((entry) => !Object.hasOwn(extra, host.decode(withoutEquals(entry))));
  return [...kept, ...Object.entries(extra).map(([name, value]) => encodeName(`${name}=${value}\0`))];
}

/** In the child: replaces this process by the program. Returns only by throwing. */
function execute(
  host: ProgramHost,
  command: Command,
  parent: number,
  stdin: Fd,
  stdout: Fd,
  signals: Uint8Array | undefined,
): never {
  host.call("setpgid", "", 0, 0);
  host.call("prctl", "", PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  // The parent may have died before the line above.
  if (host.call("getppid", "") !== parent) host.exit(127);
  host.call("dup3", "", stdin, 0, 0);
  host.call("dup3", "", stdout, 1, 0);
  for (const [signal, action] of host.ignored) host.call("rt_sigaction", "", signal, action, null, 8);
  if (signals !== undefined) restoreSignals(host, signals);
  const stack = host.stackLimit();
  if (stack !== undefined) host.call("prlimit64", "", 0, RLIMIT_STACK, stack, null);
  const argv = [encodeName(`${command.path}\0`)];
  const environment = environmentWith(host, command.env);
  const file = host.fstat(command.file);
  unless([ENOENT], 0, () => host.call("execveat", command.path, command.file, "", argv, environment, AT_EMPTY_PATH));
  // ENOENT: a script. Its interpreter would have to open our descriptor, which is closed by then, so it goes by path, if that is still the file.
  const now = host.stat(command.path);
  if (now.dev === file.dev && now.ino === file.ino) host.call("execve", command.path, command.path, argv, environment);
  throw new SystemError("execve", ENOENT, errnoName(ENOENT), errnoText(ENOENT), command.path);
}

/** What the child could not do: the errno it left on its error pipe. */
function throwIfNotStarted(host: ProgramHost, failure: Fd, pid: number, path: string): void {
  const left = host.read(failure, 4);
  if (left.length === 0) return;
  host.waitpid(pid);
  const errno = new DataView(left.buffer, left.byteOffset).getUint32(0, LITTLE_ENDIAN);
  throw new SystemError("execve", errno, errnoName(errno), errnoText(errno), path);
}

/** The pipes of a running program, as the parent sees them. */
class Conversation {
  killed: Outcome["killed"] = "";
  pid!: number;
  /** As wait4(2) gives it; undefined: nobody has asked, or the program runs. */
  status: number | undefined;
  #written = 0;
  #kept: Uint8Array[] = [];
  #size = 0;

  constructor(
    readonly host: ProgramHost,
    readonly command: Command,
    public stdin: Fd | undefined,
    public stdout: Fd | undefined,
    readonly held: HeldSignals | undefined,
  ) {}

  /** With the program's ends of the pipes, which are closed here. */
  start(stdin: Fd, stdout: Fd): void {
    try {
      this.pid = this.host.spawn(this.command, stdin, stdout, this.held?.before);
    } finally {
      for (const fd of [stdin, stdout]) this.host.close(fd);
    }
  }

  /** Writes what the pipe takes. A program may end without reading all of its input. */
  feed(fd: Fd): void {
    const rest = this.command.stdin.subarray(this.#written);
    const taken =
      rest.length === 0 ? -1 : unless([EPIPE], -1, () => unless([EAGAIN], 0, () => this.host.write(fd, rest)));
    this.#written += Math.max(taken, 0);
    if (taken >= 0 && this.#written < this.command.stdin.length) return;
    this.host.close(fd);
    this.stdin = undefined;
  }

  /** Takes what is there; false when there is no more for now. */
  collect(fd: Fd): boolean {
    const data = unless([EAGAIN], undefined, () => this.host.read(fd, 65536));
    if (data === undefined) return false;
    if (data.length === 0) {
      this.host.close(fd);
      this.stdout = undefined;
      return false;
    }
    const room = this.command.maxOutput - this.#size;
    this.#kept.push(data.subarray(0, room));
    this.#size += Math.min(data.length, room);
    if (data.length > room) this.kill("output");
    return data.length <= room;
  }

  kill(why: Outcome["killed"]): void {
    if (this.killed === "") this.killed = why;
    unless([ESRCH], 0, () => this.host.call("kill", "", -this.pid, SIGKILL));
  }

  /** For kernels on which no descriptor tells this. */
  hasEnded(): boolean {
    const status = new Uint8Array(4);
    if (this.host.call("wait4", "", this.pid, status, WNOHANG, null) !== this.pid) return false;
    this.status = new DataView(status.buffer).getInt32(0, LITTLE_ENDIAN);
    return true;
  }

  wait(): number {
    this.status ??= this.host.waitpid(this.pid);
    return this.status;
  }

  output(): Uint8Array {
    return concat(this.#kept);
  }
}

/** Until the program itself has ended: what it left behind may hold the pipe forever. */
function converse(talk: Conversation, ended: Fd | undefined): void {
  const { host, command } = talk;
  const held = talk.held?.fd;
  const deadline = host.monotonic() + command.timeout;
  for (;;) {
    const fds: PollFd[] = ended === undefined ? [] : [{ fd: ended, events: POLLIN }];
    if (talk.stdin !== undefined) fds.push({ fd: talk.stdin, events: POLLOUT });
    if (talk.stdout !== undefined && talk.killed === "") fds.push({ fd: talk.stdout, events: POLLIN });
    if (held !== undefined && talk.killed === "") fds.push({ fd: held, events: POLLIN });
    const left = deadline - host.monotonic();
    const patience = talk.killed === "" ? Math.max(left, 0) : -1;
    const ready = host.poll(fds, ended !== undefined ? patience : patience < 0 ? PAUSE : Math.min(patience, PAUSE));
    if (ended === undefined ? talk.hasEnded() : ready.includes(ended)) break;
    if (ready.length === 0 && left <= 0) talk.kill("timeout");
    if (held !== undefined && ready.includes(held)) talk.kill("signal");
    if (talk.stdin !== undefined && ready.includes(talk.stdin)) talk.feed(talk.stdin);
    if (talk.stdout !== undefined && ready.includes(talk.stdout)) talk.collect(talk.stdout);
  }
  while (talk.stdout !== undefined && talk.killed === "" && talk.collect(talk.stdout));
}

function talkUntilEnd(talk: Conversation): void {
  const { host, pid } = talk;
  try {
    for (const fd of [talk.stdin!, talk.stdout!]) host.call("fcntl", "", fd, F_SETFL, O_NONBLOCK);
    // ENOSYS, EPERM: no such descriptors (kernels before 5.3, old seccomp filters).
    const ended = unless([ENOSYS, EPERM], undefined, () => host.call("pidfd_open", "", pid, 0));
    converse(talk, ended);
    if (ended !== undefined) host.close(ended);
  } catch (error) {
    talk.kill("timeout");
    talk.wait();
    throw error;
  }
}

/** ProgramHost.spawn where a process can be cloned. */
export function spawnByClone(
  host: ProgramHost,
  command: Command,
  stdin: Fd,
  stdout: Fd,
  signals: Uint8Array | undefined,
): number {
  const [failure, childFailure] = host.pipe();
  const parent = host.getpid();
  const pid = host.clone();
  if (pid === 0) {
    try {
      execute(host, command, parent, stdin, stdout, signals);
    } catch (error) {
      const errno = error instanceof SystemError ? error.errno : EINVAL;
      host.write(childFailure, new Uint8Array(new Uint32Array([errno]).buffer));
    }
    host.exit(127);
  }
  host.close(childFailure);
  // Both sides set the group, whoever comes first; EACCES: it has already become the program.
  unless([EACCES, ESRCH], 0, () => host.call("setpgid", "", pid, pid));
  try {
    throwIfNotStarted(host, failure, pid, command.path);
  } finally {
    host.close(failure);
  }
  return pid;
}

/** See Host.run. stderr is ours. Throws SystemError("execve") when the program cannot be started (ETXTBSY: try again). */
export function runCommand(host: ProgramHost, command: Command): Outcome {
  host.ignoreSignal(SIGPIPE);
  const [childIn, stdin] = host.pipe();
  const [stdout, childOut] = host.pipe();
  const talk = new Conversation(host, command, stdin, stdout, host.holdSignals());
  try {
    talk.start(childIn, childOut);
    talkUntilEnd(talk);
    const status = talk.wait();
    const signal = status & 0x7f;
    return { status: signal === 0 ? status >> 8 : -1, signal, stdout: talk.output(), killed: talk.killed };
  } finally {
    for (const fd of [talk.stdin, talk.stdout]) if (fd !== undefined) host.close(fd);
    if (talk.held !== undefined) releaseSignals(host, talk.held, talk.killed === "signal");
  }
}
