// Tells whether a link came to a namespace, left it, or was deleted in it. A search reads each namespace at another moment, so that a link which
// a process moves back and forth can be missing from each of them. Who has found nothing anywhere knows that there is nothing only when no such
// link has moved meanwhile.
import { SystemError } from "../host/host.ts";
import { findAttribute } from "../netlink/attributes.ts";
import type { Bytes } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { LINK_HEADER } from "../netlink/link.ts";
import { RouteSocket } from "../netlink/socket.ts";
import { getLink, type Link, toLink } from "./link.ts";
import { inNamespace, type NetNs, ownNamespace } from "./namespace.ts";

/** How often a search is repeated while what it looks for may be moving, and the milliseconds of the first pause; each next one is longer. */
export const ROUNDS = 5;
export const ROUND_PAUSE = 5;

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

export class Watch {
  readonly #sockets: { socket: RouteSocket; isHome: boolean }[] = [];

  /**
   * From now on; before the namespace is read. `beyond`: also the namespaces that it has numbers for. One more than may be open is not watched:
   * a node with so many would never finish a DEL.
   */
  add(namespace: NetNs, beyond = false): void {
    try {
      const socket = openLinkNews(namespace);
      this.#sockets.push({ socket, isHome: isHome(namespace) });
      if (beyond) socket.hearBeyond();
    } catch (error) {
      if (!(error instanceof SystemError) || (error.code !== "EMFILE" && error.code !== "ENFILE")) throw error;
    }
  }

  /** A link for which `mayBe` holds has moved, or that cannot be told. `isHome`: it was seen in our own namespace. */
  saw(mayBe: (link: Link, isHome: boolean) => boolean): boolean {
    // Waits for a move that has begun: the kernel tells of it before it answers.
    getLink(ownNamespace().route, 1);
    let seen = false;
    for (const { socket, isHome } of this.#sockets)
      socket.waitNotification(0, (type, bytes, start, end) => {
        if (type === c.NLMSG_OVERRUN) seen = true;
        const moves = type === c.RTM_NEWLINK || (type === c.RTM_DELLINK && hasLeft(bytes, start, end));
        if (!seen && moves) seen = mayBe(toLink(bytes, start, end), isHome);
      });
    return seen;
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
  }
}

function isHome({ dev, ino }: NetNs): boolean {
  const own = ownNamespace();
  return own.dev === dev && own.ino === ino;
}
