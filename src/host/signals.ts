// Signals that would kill podnic while a program that it started is running. podnic holds them back, stops the program first, and undoes its
// own changes.
import { O_CLOEXEC, SIGCHLD, SIGINT, SIGTERM } from "./constants.ts";
import { HIGH, LITTLE_ENDIAN, LOW } from "./endian.ts";
import { type Fd, type Host, SystemError } from "./host.ts";
import { scratch, scratchWords, timespec } from "./layout.ts";
import type { Argument, Syscall } from "./syscalls.ts";

const SIG_IGN = 1;
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** struct sigaction, which begins with the handler, 64 bits. */
const IGNORED = new Uint8Array(32);
IGNORED[LITTLE_ENDIAN ? 0 : 7] = SIG_IGN;
/** What asks a process to end. */
const ENDING = [SIGTERM, SIGINT];

interface SignalHost extends Pick<Host, "close" | "ignoreSignal"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
}

export interface HeldSignals {
  /** Can be read when one has come. */
  fd: Fd;
  signals: readonly number[];
  /** sigset_t as it was: programs that we start get it back. */
  before: Uint8Array;
}

/** The byte of sigset_t, one number of 64 bits, that has this signal. */
const byteOf = (signal: number): number => ((signal - 1) >> 3) ^ (LITTLE_ENDIAN ? 0 : 7);

/** sigset_t. */
function signalSet(signals: readonly number[]): Uint8Array {
  const set = new Uint8Array(8);
  for (const signal of signals) set[byteOf(signal)]! |= 1 << ((signal - 1) & 7);
  return set;
}

/** undefined: none of them would end us, or they cannot be kept, which is no reason to fail. */
export function holdSignals(host: SignalHost): HeldSignals | undefined {
  const deadly = ENDING.filter((signal) => !isIgnored(host, signal));
  const before = new Uint8Array(8);
  if (deadly.length > 0) host.call("rt_sigprocmask", "", SIG_BLOCK, signalSet(deadly), before, 8);
  // Those that were kept already are for somebody else to see.
  const signals = deadly.filter((signal) => !isIn(before, signal));
  if (signals.length === 0) return undefined;
  try {
    const fd = host.call("signalfd4", "", -1, signalSet(signals), 8, O_CLOEXEC);
    return { fd, signals, before };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    restoreSignals(host, before);
    return undefined;
  }
}

/** `came`: one did, and from now on they are ignored: what follows is an end already. */
export function releaseSignals(host: SignalHost, { fd, signals, before }: HeldSignals, came: boolean): void {
  if (came) for (const signal of signals) host.ignoreSignal(signal);
  host.close(fd);
  restoreSignals(host, before);
}

/** Also in a child that is about to become another program. */
export function restoreSignals(host: SignalHost, before: Uint8Array): void {
  host.call("rt_sigprocmask", "", SIG_SETMASK, before, null, 8);
}

function isIgnored(host: SignalHost, signal: number): boolean {
  const action = new Uint8Array(32);
  host.call("rt_sigaction", "", signal, null, action, 8);
  // The handler, 64 bits.
  const low = LITTLE_ENDIAN ? 0 : 7;
  return action.subarray(0, 8).every((byte, i) => byte === (i === low ? SIG_IGN : 0));
}

function isIn(set: Uint8Array, signal: number): boolean {
  return (set[byteOf(signal)]! & (1 << ((signal - 1) & 7))) !== 0;
}

/** The struct sigaction that it had; undefined: it was ignored already. */
export function ignoreSignal(host: SignalHost, signal: number): Uint8Array | undefined {
  host.call("rt_sigaction", "", signal, IGNORED, scratch, 8);
  return scratchWords[LOW]! === SIG_IGN && scratchWords[HIGH]! === 0 ? undefined : scratch.slice(0, IGNORED.length);
}

/** Before a child that is waited for: who started us may have the kernel forget children (SIGCHLD ignored), and then wait4(2) fails. */
export function rememberChildren(host: Pick<SignalHost, "call">): void {
  // struct sigaction, of the default action.
  host.call("rt_sigaction", "", SIGCHLD, new Uint8Array(32), null, 8);
}

/** See Host.waitSignal. */
export function waitSignal(host: SignalHost, signals: number[], milliseconds: number): number {
  const set = signalSet(signals);
  host.call("rt_sigprocmask", "", SIG_BLOCK, set, null, 8);
  const whole = Math.floor(milliseconds / 1000);
  const limit = milliseconds < 0 ? null : timespec(whole, Math.floor((milliseconds - whole * 1000) * 1e6));
  try {
    return host.call("rt_sigtimedwait", "", set, null, limit, 8);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EAGAIN") return 0;
    throw error;
  }
}
