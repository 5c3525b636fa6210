// Names of devices by index and namespace, learned from the messages that pass.
import type { Fd } from "../../host/host.ts";
import * as c from "../../netlink/constants.ts";
import { readLink } from "../../netlink/link.ts";
import { isFrame, type Message } from "./message.ts";
import type { Space } from "./spaces.ts";

/** What numbers stand for. */
export interface Names {
  /** Name of the device with this index, in the namespace of the message. */
  device(index: number): string;
  /** Name or path of the namespace behind a descriptor, as `ip link set DEV netns …` takes it. */
  netns(fd: number): string;
}

export class DeviceNames {
  readonly #names = new Map<string, string>();
  /** Other ends of veths that were asked for, by the name of this end. */
  readonly #peers = new Map<string, { space: Space; name: string }>();

  /** Takes the names out of an answer of the kernel about a link: its own, and that of a veth's other end, of which it tells the index. */
  learn(space: Space, { type, bytes, start, end }: Message): void {
    if (type !== c.RTM_NEWLINK) return;
    const { index, attributes } = readLink(bytes, start, end);
    if (attributes.name === undefined) return;
    this.set(space, index, attributes.name);
    const peer = this.#peers.get(`${space.key} ${attributes.name}`);
    if (peer !== undefined && attributes.link !== undefined) this.set(peer.space, attributes.link, peer.name);
  }

  /** Takes both names out of a request for a veth. `spaceOf`: the namespace behind a descriptor. */
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
