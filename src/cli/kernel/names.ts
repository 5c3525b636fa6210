// The names of devices, by index and namespace. They are collected from the messages that a plugin sends and receives.
import type { Fd } from "../../host/host.ts";
import * as c from "../../netlink/constants.ts";
import { readLink } from "../../netlink/link.ts";
import { isFrame, type Message } from "./message.ts";
import type { Space } from "./spaces.ts";

/** Names for the numbers in messages. */
export interface Names {
  /** The name of the device with this index, in the namespace of the message. */
  device(index: number): string;
  /** The name or path of a descriptor's namespace, as in `ip link set DEV netns …`. */
  netns(fd: number): string;
}

export class DeviceNames {
  readonly #names = new Map<string, string>();
  /** The other ends of veths that a plugin has requested, by the name of this end. */
  readonly #peers = new Map<string, { space: Space; name: string }>();

  /** Stores the link's name from a kernel's answer. If the link is a veth, also stores the name of its other end, whose index is in the answer. */
  learn(space: Space, { type, bytes, start, end }: Message): void {
    if (type !== c.RTM_NEWLINK) return;
    const { index, attributes } = readLink(bytes, start, end);
    if (attributes.name === undefined) return;
    this.set(space, index, attributes.name);
    const peer = this.#peers.get(`${space.key} ${attributes.name}`);
    if (peer !== undefined && attributes.link !== undefined) this.set(peer.space, attributes.link, peer.name);
  }

  /** Stores both names from a request for a veth. `spaceOf` returns a descriptor's namespace. */
  learnPair(space: Space, message: Message, spaceOf: (fd: Fd) => Space): void {
    if (message.type !== c.RTM_NEWLINK || isFrame(message)) return;
    const { attributes } = readLink(message.bytes, message.start, message.end, true);
    const peer = attributes.linkInfo?.data?.peer;
    if (attributes.name === undefined || peer?.name === undefined) return;
    const there = peer.netNsFd === undefined ? space : spaceOf(peer.netNsFd);
    this.#peers.set(`${space.key} ${attributes.name}`, { space: there, name: peer.name });
  }

  set(space: Space, index: number, name: string): void {
    this.#names.set(`${space.key} ${index}`, name);
  }

  nameOf(space: Space, index: number): string {
    return this.#names.get(`${space.key} ${index}`) ?? `if${index}`;
  }
}
