// Standard input, output and error: the three descriptors that a plugin has when it starts.

import { concat } from "../host/concat.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, POLLIN } from "../host/constants.ts";
import { host, type PollFd, SystemError } from "../host/host.ts";

const POLLOUT = 4;
const STANDARD: PollFd[] = [0, 1, 2].map((fd) => ({ fd, events: 0 }));
/** Milliseconds to wait for a runtime that reads the result slowly, if the pipe is full and non-blocking. */
const patience = 5_000;

/**
 * Occupies the descriptors 0, 1 and 2 if they are closed at the start. Otherwise one of the first files or sockets that podnic opens would
 * become stdout, and podnic would write the result to it. The replacements can be neither read nor written, so ADD still fails and rolls
 * back if stdout is closed.
 */
export function guardStandardFds(): void {
  // poll also reports a pipe whose other end is closed, so each reported descriptor needs a second check.
  for (const { fd } of doubtful()) {
    try {
      // Any system call that fails with EBADF would do. fstatfs has the shortest answer.
      host.fstatfs(fd);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The kernel assigns the lowest free number, which is `fd`. Other errors do not mean that the descriptor is closed.
      if (error.code === "EBADF") host.open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
  }
}

function doubtful(): PollFd[] {
  try {
    const ready = host.poll(STANDARD, 0);
    return ready.length === 0 ? [] : STANDARD.filter(({ fd }) => ready.includes(fd));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return STANDARD;
  }
}

function isAgain(error: unknown): boolean {
  return error instanceof SystemError && error.code === "EAGAIN";
}

/** Writes the whole text. Throws SystemError. */
export function writeAll(fd: number, text: string): void {
  let rest = host.encode(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(host.write(fd, rest));
    } catch (error) {
      if (!isAgain(error) || host.poll([{ fd, events: POLLOUT }], patience).length === 0) throw error;
    }
  }
}

/** Reads stdin to its end. undefined: it has more than `limit` bytes. Throws SystemError. */
export function readAll(limit: number): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const data = readSome(limit + 1 - size);
    if (data.length === 0) return concat(parts);
    parts.push(data);
    size += data.length;
    if (size > limit) return undefined;
  }
}

function readSome(most: number): Uint8Array {
  for (;;) {
    try {
      return host.read(0, Math.min(most, 65_536));
    } catch (error) {
      if (!isAgain(error)) throw error;
      host.poll([{ fd: 0, events: POLLIN }], -1);
    }
  }
}

/** Reads stdin to its end, but for at most `milliseconds`: on VERSION, a runtime can keep stdin open forever. */
export function readWithin(milliseconds: number, limit: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let size = 0;
  const deadline = host.monotonic() + milliseconds;
  try {
    while (size < limit) {
      const left = Math.max(0, deadline - host.monotonic());
      if (host.poll([{ fd: 0, events: POLLIN }], left).length === 0) break;
      const data = host.read(0, limit - size);
      if (data.length === 0) break;
      parts.push(data);
      size += data.length;
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error; // a directory or a write-only descriptor: treat it as empty
  }
  return concat(parts);
}
