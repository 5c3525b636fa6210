// Tells whether a link came to a namespace, left it, or was deleted in it. A search reads each namespace at another moment, so that a link which
// a process moves back and forth can be missing from each of them. Who has found nothing anywhere knows that there is nothing only when no such
// link has moved meanwhile.
import { O_CLOEXEC, O_PATH } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { Bytes } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { LINK_HEADER } from "../netlink/link.ts";
import { isNumberOf } from "../netlink/nsid.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { getLink, type Link, toLink } from "./link.ts";
import { inNamespace, type NetNs, ownNamespace, sameNamespace } from "./namespace.ts";

/** How often a search is repeated while what it looks for may be moving, and the milliseconds of the first pause; each next one is longer. */
export const ROUNDS = 5;
export const ROUND_PAUSE = 5;

/** Before each so many namespaces, there must be twice as many descriptors left: those for the search itself are among them. */
const STEP = 16;

/** A socket that hears of the links of a namespace. */
export function openLinkNews(namespace: NetNs): RouteSocket {
  return inNamespace(namespace, () => RouteSocket.open(1 << (c.RTNLGRP_LINK - 1)));
}

/**
 * What RTM_DELLINK tells: the link was deleted, or it left for the namespace that the message has the number of (Linux 4.15). The kernel sends it
 * in both cases. Bridges tell of their ports by messages of family AF_BRIDGE.
 */
export function hasLeft(bytes: Bytes, start: number, end: number): boolean {
  return findAttribute(bytes, start + LINK_HEADER, end, c.IFLA_NEW_NETNSID, 4) !== undefined;
}

/** A link that has come to a namespace, or has left it. */
export interface Moved {
  link: Link;
  /** In our own namespace. */
  isHome: boolean;
  /** In the namespace that was watched with those that it has numbers for, or in one of those. */
  isBeyond: boolean;
  /** What it is made on, or its other end, is in one of these, and not in its own namespace. One machine can run several nodes. */
  leadsTo(others: readonly NetNs[]): boolean;
}

interface Watched {
  socket: RouteSocket;
  isHome: boolean;
  isBeyond: boolean;
}

export class Watch {
  readonly #watched: Watched[] = [];

  /**
   * From now on; before the namespace is read. `beyond`: also the namespaces that it has numbers for. Without enough descriptors it is not watched:
   * a node with so many namespaces would never finish a DEL.
   */
  add(namespace: NetNs, isBeyond = false): void {
    try {
      if (this.#watched.length % STEP === 0) requireRoom();
      const socket = openLinkNews(namespace);
      this.#watched.push({ socket, isHome: sameNamespace(namespace, ownNamespace()), isBeyond });
      if (isBeyond) socket.hearBeyond();
    } catch (error) {
      if (!(error instanceof SystemError) || (error.code !== "EMFILE" && error.code !== "ENFILE")) throw error;
    }
  }

  /** A link for which `mayBe` holds has moved, or that cannot be told. */
  saw(mayBe: (moved: Moved) => boolean): boolean {
    // Waits for a move that has begun: the kernel tells of it before it answers.
    getLink(ownNamespace().route, 1);
    return this.#watched.some((each) => {
      const { isHome, isBeyond } = each;
      const links: Link[] = [];
      let isLost = false;
      each.socket.waitNotification(0, (type, bytes, start, end) => {
        // Any pod can have more happen in its own namespace than a socket holds, and must not hold up others by that.
        if (type === c.NLMSG_OVERRUN) isLost = isHome || isBeyond;
        if (type === c.RTM_NEWLINK || (type === c.RTM_DELLINK && hasLeft(bytes, start, end)))
          links.push(toLink(bytes, start, end));
      });
      return (
        isLost ||
        links.some((link) => mayBe({ link, isHome, isBeyond, leadsTo: (others) => leads(each, link, others) }))
      );
    });
  }

  close(): void {
    for (const { socket } of this.#watched.splice(0)) socket.close();
  }
}

/** Throws when too few descriptors are left for the next namespaces and for what looks into them. */
function requireRoom(): void {
  const spare: Fd[] = [];
  try {
    while (spare.length < 2 * STEP) spare.push(host.open("/", O_PATH | O_CLOEXEC));
  } finally {
    for (const fd of spare) host.close(fd);
  }
}

/** The number is one of the namespace that the message came from: that is not known of those beyond. */
function leads({ socket, isBeyond }: Watched, { linkNetnsid }: Link, others: readonly NetNs[]): boolean {
  if (linkNetnsid === undefined || isBeyond) return linkNetnsid !== undefined;
  return others.some(({ fd }) => isNumberOf(socket, linkNetnsid, fd));
}
