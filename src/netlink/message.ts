// Framing: the netlink messages in a datagram, and the kernel's reply to a request.
import { errnoName, errnoText } from "../host/host.ts";
import { align4, type Bytes } from "./bytes.ts";
import * as c from "./constants.ts";
import { NetlinkError, ProtocolError } from "./errors.ts";

/** Size of struct nlmsghdr. */
export const HEADER = 16;

/** What a request does, in the words of `ip`; a function where they are long, for only an error says them. */
export type Operation = string | (() => string);

export const wordsOf = (operation: Operation): string => (typeof operation === "string" ? operation : operation());

export function failure(
  operation: Operation,
  errno: number,
  text = errnoText(errno),
  kernelMessage = "",
): NetlinkError {
  return new NetlinkError(wordsOf(operation), errno, errnoName(errno), text, kernelMessage);
}

/** Where the netlink message at `at` of the first `length` bytes ends. */
export function messageEnd(length: number, bytes: Bytes, at: number): number {
  const size = length - at < HEADER ? 0 : bytes.u32[at >> 2]!;
  if (size < HEADER || at + size > length) throw new ProtocolError(`bad message length at ${at} of ${length}`);
  return at + size;
}

/** The error number of NLMSG_ERROR and NLMSG_DONE; 0 for success. */
export function errnoIn(bytes: Bytes, at: number, end: number): number {
  return end - at < HEADER + 4 ? 0 : -(bytes.u32[(at >> 2) + 4]! | 0);
}

/** Payload of NLMSG_ERROR and NLMSG_DONE: undefined for success. */
export function readError(operation: Operation, bytes: Bytes, at: number, end: number): NetlinkError | undefined {
  const errno = errnoIn(bytes, at, end);
  if (errno === 0) return undefined;
  return failure(operation, errno, undefined, extendedAck(bytes, at, end));
}

/** The kernel's own words, in attributes behind the error number and (for NLMSG_ERROR) the header or copy of the request. */
function extendedAck(bytes: Bytes, start: number, end: number): string {
  const flags = bytes.u16[(start >> 1) + 3]!;
  if ((flags & c.NLM_F_ACK_TLVS) === 0) return "";
  let at = start + HEADER + 4;
  if (bytes.u16[(start >> 1) + 2] === c.NLMSG_ERROR && end - at >= HEADER) {
    at += (flags & c.NLM_F_CAPPED) !== 0 ? HEADER : align4(bytes.u32[at >> 2]!);
  }
  while (at + 4 <= end) {
    const size = bytes.u16[at >> 1]!;
    if (size < 4 || at + size > end) return "";
    if (bytes.u16[(at >> 1) + 1] === c.NLMSGERR_ATTR_MSG) return bytes.text(at + 4, at + size);
    at += align4(size);
  }
  return "";
}
