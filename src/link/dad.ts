// Waits for duplicate address detection. It takes 1 to 2 seconds, during which an IPv6 address cannot be used.
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";
import { formatAddress } from "../ip/address.ts";
import {
  IF_OPER_UP,
  IFA_F_DADFAILED,
  IFA_F_OPTIMISTIC,
  IFA_F_TENTATIVE,
  RTNLGRP_IPV6_IFADDR,
} from "../netlink/constants.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { type KernelAddress, listAddresses } from "./address.ts";
import { getLink, IFF_LOWER_UP } from "./link.ts";

export const RTMGRP_IPV6_IFADDR = 1 << (RTNLGRP_IPV6_IFADDR - 1);

/** Milliseconds, as in the Go plugins. */
const BUDGET = 5000;
/** Look again after this many milliseconds even without a notification: carrier comes and goes without one of this group. */
const SLICE = 500;

/**
 * Waits until no IPv6 address of the interface is tentative, at most 5 s. A duplicate is an error at once; a timeout only when the
 * link is up. A virtual link without carrier (its master's cable is out) is not waited for: no detection can happen on it.
 * `notifications` is subscribed to RTMGRP_IPV6_IFADDR since before the addresses were added.
 */
export function settleAddresses(route: RouteSocket, notifications: RouteSocket, index: number, name: string): void {
  const deadline = host.monotonic() + BUDGET;
  for (;;) {
    const addresses = listAddresses(route, index, 6, name);
    const tentative = countTentative(addresses, name);
    // Without any, the interface may be gone.
    if (tentative === 0 && addresses.length > 0) return;
    const link = getLink(route, index);
    if (link === undefined)
      throw new Failure("failed", `${name} disappeared while its addresses were being checked for duplicates`);
    if (tentative === 0) return;
    if (link.kind !== "" && (link.flags & IFF_LOWER_UP) === 0) return;
    const left = deadline - host.monotonic();
    if (left > 0) {
      notifications.waitNotification(Math.min(left, SLICE));
      continue;
    }
    if (link.operstate !== IF_OPER_UP) return;
    throw new Failure(
      "failed",
      `${name} still has ${tentative} tentative IPv6 addresses after ${BUDGET / 1000} s`,
      'Duplicate address detection did not finish. Check whether multicast works on the link, or set "dad" to "skip".',
    );
  }
}

/** The number of addresses that are not usable yet. Throws Failure for an address that another host has. */
function countTentative(addresses: readonly KernelAddress[], name: string): number {
  let tentative = 0;
  for (const { address, flags } of addresses) {
    if ((flags & IFA_F_DADFAILED) !== 0) {
      throw new Failure(
        "failed",
        `link ${name} has address ${formatAddress(address)} in DADFAILED state`,
        "Another host on this network already has this address.",
      );
    }
    if ((flags & IFA_F_TENTATIVE) !== 0 && (flags & IFA_F_OPTIMISTIC) === 0) tentative++;
  }
  return tentative;
}
