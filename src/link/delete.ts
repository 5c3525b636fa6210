// Deletes a macvlan, an ipvlan or a pair of veths without waiting for what nobody needs. RTM_DELLINK returns 12 to 20 ms after the
// link is gone for everyone: the kernel waits an RCU barrier before it frees the memory (performance figures: docs/decisions.md). So
// a child sends the request, and we return as soon as the link is gone.
import { POLLIN } from "../host/constants.ts";
import { errnoName, errnoText } from "../host/errno.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { RTM_DELLINK, RTNLGRP_LINK } from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { readLink } from "../netlink/link.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { deleteLink, getLink } from "./link.ts";
import { inNamespace, type NetNs } from "./namespace.ts";

/** Milliseconds between two looks when no notification comes. */
const LOOK = 20;
/** Milliseconds until we give up: the kernel is busy with other links. */
const DEADLINE = 30_000;

/**
 * Returns when no link of this index is in the namespace any more. Throws what the kernel says against it. Where the host cannot
 * fork, it takes the whole time.
 */
export function deleteWithoutWaiting(pod: NetNs, index: number): void {
  const [result, report] = host.pipe();
  const watch = inNamespace(pod, () => {
    const socket = RouteSocket.open(1 << (RTNLGRP_LINK - 1));
    if (startChild(report, index)) return socket;
    socket.close();
    return undefined;
  });
  host.close(report);
  try {
    if (watch === undefined) deleteLink(pod.route, index);
    else waitGone(pod, index, watch, result);
  } finally {
    watch?.close();
    host.close(result);
  }
}

/** False when this host cannot fork. The child is in the namespace and keeps only `report`, which it writes to when it fails. */
function startChild(report: Fd, index: number): boolean {
  try {
    if (host.fork([report]) !== 0) return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOSYS") return false;
    throw error;
  }
  try {
    deleteLink(RouteSocket.open(), index);
  } catch (error) {
    host.write(report, host.encode(JSON.stringify(describe(error))));
  }
  host.exit(0);
}

interface Report {
  operation: string;
  errno: number;
  kernelMessage: string;
}

function describe(error: unknown): Report {
  if (error instanceof NetlinkError) return error;
  if (error instanceof SystemError) return { operation: error.message, errno: error.errno, kernelMessage: "" };
  return { operation: String(error), errno: 0, kernelMessage: "" };
}

/** Returns at the notification. It may get lost, so that none in a while is a reason to look. */
function waitGone(pod: NetNs, index: number, watch: RouteSocket, result: Fd): void {
  const deadline = host.monotonic() + DEADLINE;
  while (host.monotonic() < deadline) {
    let gone = false;
    const told = watch.waitNotification(LOOK, (type, bytes, start, end) => {
      // Bridges tell of their ports by messages of family AF_BRIDGE.
      if (type !== RTM_DELLINK) return;
      const link = readLink(bytes, start, end);
      gone ||= link.index === index && link.family === 0;
    });
    if (gone) return;
    const ended = host.poll([{ fd: result, events: POLLIN }], 0).length > 0;
    // A look waits for the child (RTNL), which is what we are here to avoid.
    if (told && !ended) continue;
    if (getLink(pod.route, index) === undefined) return;
    if (ended) throw failure(index, host.read(result, 4096));
  }
  throw new NetlinkError(`ip link del ${index}`, 110, "ETIMEDOUT", `not done in ${DEADLINE} ms`);
}

function failure(index: number, report: Uint8Array): NetlinkError {
  if (report.length === 0) return new NetlinkError(`ip link del ${index}`, 4, "EINTR", "the child was killed");
  const { operation, errno, kernelMessage }: Report = JSON.parse(host.decode(report));
  return new NetlinkError(operation, errno, errnoName(errno), errnoText(errno), kernelMessage);
}
