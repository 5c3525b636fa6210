// Names of devices by index and namespace, learnt from the messages that go by.
import * as c from "../../netlink/constants.ts";
import { readLink } from "../../netlink/link.ts";
import type { Message } from "./message.ts";
import type { Space } from "./spaces.ts";

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
