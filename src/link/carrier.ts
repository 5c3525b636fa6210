// Waits for a short time until a link has a carrier.
import { host } from "../host/host.ts";
import { IFF_NOARP } from "../netlink/constants.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { getLink, IFF_LOWER_UP, IFF_RUNNING, IFF_UP } from "./link.ts";

/** Milliseconds. */
const CARRIER_WAIT = 200;

/**
 * True as soon as the link carries packets. A device that does not in 200 ms is left to the kernel's arp_notify. Not waited for: a
 * virtual link whose master has no carrier (its own follows at once), and one without neighbours (ipvlan in mode l3).
 */
export function waitCarrier(route: RouteSocket, index: number): boolean {
  const deadline = host.monotonic() + CARRIER_WAIT;
  for (let pause = 2; ; pause *= 1.5) {
    const link = getLink(route, index);
    if (link === undefined || (link.flags & IFF_NOARP) !== 0) return false;
    if ((link.flags & IFF_UP) !== 0 && (link.flags & IFF_RUNNING) !== 0) return true;
    if (link.kind !== "" && (link.flags & IFF_LOWER_UP) === 0) return false;
    const left = deadline - host.monotonic();
    if (left <= 0) return false;
    host.sleep(Math.min(pause, left));
  }
}
