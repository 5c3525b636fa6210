// The buffer into which all sockets receive, and the time that they wait for an answer.
import { type Fd, host, type Received, SystemError } from "../host/host.ts";
import { Bytes } from "./bytes.ts";
import { NetlinkError } from "./errors.ts";
import { failure, type Operation, wordsOf } from "./message.ts";

/**
 * The kernel sizes the pieces of a dump to the largest buffer ever used on the socket and silently loses what does not fit a
 * smaller one later (measured: 3,570 of 5,001 links), so all sockets use one buffer that only grows.
 */
const INBOX_SIZE = 32 * 1024;
const INBOX_LIMIT = 4 * 1024 * 1024;
/** Milliseconds for one request or one try of a dump. */
export const DEADLINE = 10_000;
const EINTR = 4;
const EAGAIN = 11;
const ETIMEDOUT = 110;

let buffer: Bytes | undefined;

export function inbox(): Bytes {
  buffer ??= new Bytes(INBOX_SIZE);
  return buffer;
}

/** Memory for it that need not be zeroed. */
export function receiveInto(memory: ArrayBuffer): void {
  buffer = new Bytes(memory.byteLength, memory);
}

/** An answer was larger than the buffer, which is larger now. */
export class Truncated extends NetlinkError {}

export function grow(operation: Operation): NetlinkError {
  const size = inbox().u8.length * 2;
  if (size > INBOX_LIMIT) return failure(operation, 90, `the reply is larger than ${INBOX_LIMIT} bytes`);
  buffer = new Bytes(size);
  return new Truncated(wordsOf(operation), 90, "EMSGSIZE", `the reply is larger than ${size / 2} bytes`);
}

/** Waits at most SO_RCVTIMEO for a datagram. */
export function receiveOnce(fd: Fd, operation: Operation, bytes: Bytes): Received {
  let deadline = Number.POSITIVE_INFINITY;
  for (;;) {
    try {
      return host.recv(fd, bytes.u8);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.errno === EAGAIN) throw noAnswer(operation);
      if (error.errno !== EINTR) throw failure(operation, error.errno);
      deadline = checkDeadline(operation, deadline);
    }
  }
}

/** Returns the deadline, which begins with the first call (with infinity). Throws when it is past. */
export function checkDeadline(operation: Operation, deadline: number): number {
  const now = host.monotonic();
  if (now >= deadline) throw noAnswer(operation);
  return deadline === Number.POSITIVE_INFINITY ? now + DEADLINE : deadline;
}

function noAnswer(operation: Operation): NetlinkError {
  return failure(operation, ETIMEDOUT, `no reply from the kernel within ${DEADLINE} ms`);
}
