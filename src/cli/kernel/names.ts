// Names of devices by index and namespace, learnt from the messages that go by.
import * as c from "../../netlink/constants.ts";
import { readLink } from "../../netlink/link.ts";
import type { Message } from "./message.ts";
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

  /** Takes the name out of an answer of the kernel about a link. */
  learn(space: Space, { type, bytes, start, end }: Message): void {
    if (type !== c.RTM_NEWLINK) return;
    const { index, attributes } = readLink(bytes, start, end);
    if (attributes.name !== undefined) this.set(space, index, attributes.name);
  }

  set(space: Space, index: number, name: string): void {
    this.#names.set(`${space.key} ${index}`, name);
  }

  nameOf(space: Space, index: number): string {
    return this.#names.get(`${space.key} ${index}`) ?? `if${index}`;
  }
}
