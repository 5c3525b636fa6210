// Deletes a macvlan, an ipvlan or a veth pair without waiting for the kernel to free memory. RTM_DELLINK returns 12 to 20 ms after the link
// has disappeared, because the kernel waits for an RCU barrier before it frees the memory (performance figures: docs/decisions.md). A child
// process therefore sends the request, and podnic returns as soon as the link has disappeared.
import { host } from "../host/host.ts";
import { NLMSG_ERROR, RTM_DELLINK, RTM_NEWLINK } from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { readLink, writeLink } from "../netlink/link.ts";
import { HEADER, readError } from "../netlink/message.ts";
import { writeSettings } from "../netlink/settings.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { deleteLink, getLink, type Link } from "./link.ts";
import type { NetNs } from "./namespace.ts";
import { hasLeft, openLinkNews } from "./watch.ts";

/** Milliseconds between two looks when no notification comes. */
const LOOK = 20;
/** Milliseconds until we give up: the kernel is busy with other links. */
const DEADLINE = 30_000;

/** Groups that nobody has given a number to (/etc/iproute2/group). */
const GROUPS = 0x40000000;

/**
 * Deletes links of one namespace together. The kernel waits 12 to 50 ms for each RTM_DELLINK, and a pod can make hundreds of links on a device.
 * So they get a group of their own, which is deleted by one request. Those that are gone meanwhile do not matter.
 */
export function deleteTogether(route: RouteSocket, links: readonly Link[]): void {
  if (links.length > 1 && deleteAsGroup(route, links)) return;
  for (const { index } of links) deleteLink(route, index);
}

/** False: the kernel has no way to delete one of them as part of a group. */
function deleteAsGroup(route: RouteSocket, links: readonly Link[]): boolean {
  const group = GROUPS | (new Uint32Array(host.random(4).buffer)[0]! >>> 2);
  for (const { index, name } of links) {
    writeSettings(route.begin(`ip link set ${name} group ${group}`, RTM_NEWLINK, 0), { index, attributes: { group } });
  }
  const refused = route.runEach().filter((error) => error !== undefined && error.code !== "ENODEV");
  if (refused.length > 0) return false;
  writeSettings(route.begin(`ip link del group ${group}`, RTM_DELLINK, 0), { index: 0, attributes: { group } });
  const [error] = route.runEach();
  return error === undefined || error.code === "ENODEV";
}

/**
 * Returns when no link of this index is in the namespace any more. False: there was none, or it has moved to another namespace. Throws what the
 * kernel says against it. Where the host has no processes beside it, it takes the whole time. `news`: of openLinkNews, which is closed; who opens
 * it before looking for the link hears of its end as well when somebody else deletes it.
 */
export function deleteWithoutWaiting(pod: NetNs, index: number, news = openLinkNews(pod)): boolean {
  try {
    const operation = `ip link del ${index}`;
    writeLink(news.begin(operation, RTM_DELLINK, 0), index, 0, 0, {});
    const child = news.sendAside();
    if (child !== undefined) return waitGone(pod, index, operation, news, child);
    return deleteLink(pod.route, index) || hear(news, index, operation, 0).gone;
  } finally {
    news.close();
  }
}

/** Returns at the notification, or at the answer. Both may get lost, so that none in a while is a reason to look. */
function waitGone(pod: NetNs, index: number, operation: string, socket: RouteSocket, child: number): boolean {
  const deadline = host.monotonic() + DEADLINE;
  let isAbsent = false;
  while (host.monotonic() < deadline) {
    const ended = host.hasEnded(child);
    const { told, gone, refusal } = hear(socket, index, operation, ended ? 0 : LOOK);
    if (gone) return true;
    if (refusal?.code === "ENODEV") return false;
    if (refusal !== undefined) throw refusal;
    // A look waits for the child (RTNL), which is what we are here to avoid.
    if (told && !ended) continue;
    if (isAbsent) return false;
    // The notification came before this answer.
    isAbsent = getLink(pod.route, index) === undefined;
    if (isAbsent) continue;
    if (ended) throw new NetlinkError(operation, 4, "EINTR", "the child process was killed");
  }
  throw new NetlinkError(operation, 110, "ETIMEDOUT", `not finished after ${DEADLINE} ms`);
}

interface Heard {
  /** Something was heard at all. */
  told: boolean;
  /** The link was deleted, by whomever. */
  gone: boolean;
  refusal?: NetlinkError | undefined;
}

function hear(socket: RouteSocket, index: number, operation: string, timeout: number): Heard {
  const heard: Heard = { told: false, gone: false };
  heard.told = socket.waitNotification(timeout, (type, bytes, start, end) => {
    if (type === NLMSG_ERROR) {
      heard.refusal = readError(operation, bytes, start - HEADER, end);
      heard.gone ||= heard.refusal === undefined;
    }
    // Bridges tell of their ports by messages of family AF_BRIDGE.
    if (type !== RTM_DELLINK) return;
    const link = readLink(bytes, start, end);
    heard.gone ||= link.index === index && link.family === 0 && !hasLeft(bytes, start, end);
  });
  return heard;
}
