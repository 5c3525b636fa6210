// The three descriptors that a plugin has when it starts.

import { concat } from "../host/concat.ts";
import { O_CLOEXEC, O_DIRECTORY, O_PATH, POLLIN } from "../host/constants.ts";
import { host, type PollFd, SystemError } from "../host/host.ts";

const POLLOUT = 4;
const STANDARD: PollFd[] = [0, 1, 2].map((fd) => ({ fd, events: 0 }));
/** Milliseconds for a runtime that reads our result slowly from a full, non-blocking pipe. */
const patience = 5_000;

/**
 * Occupies 0, 1 and 2 when they came closed. Otherwise the first file or socket we open becomes our stdout, and the result goes into it.
 * What stands in can be neither read nor written, so that a closed stdout still fails (and rolls back) as it should.
 */
export function guardStandardFds(): void {
  // Of all three in one question: POLLNVAL. A pipe whose other end is closed is "ready", too.
  for (const { fd } of doubtful()) {
    try {
      // What is asked does not matter; this has the shortest answer.
      host.fstatfs(fd);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The kernel hands out the lowest free number. Another error says that it is open, or nothing that could be acted on.
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

/** All of it, or throws SystemError. */
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

/** stdin to its end. undefined: there is more than `limit` bytes. Throws SystemError. */
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

/** What stdin has to say within `milliseconds`, be it at its end or not: a runtime may keep it open forever (VERSION). */
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
    if (!(error instanceof SystemError)) throw error; // a directory, a write-only descriptor: as good as empty
  }
  return concat(parts);
}
