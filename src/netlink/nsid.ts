// RTM_GETNSID: the number that one namespace has for another one (IFLA_LINK_NETNSID contains such a number).
import { findAttribute, Table } from "./attributes.ts";
import type { Bytes, Writer } from "./bytes.ts";
import { s32, u32 } from "./codecs.ts";
import * as c from "./constants.ts";
import type { RouteSocket } from "./socket.ts";

/** Size of struct rtgenmsg, aligned. */
const HEADER = 4;

const nsidAttributes = new Table("nsid", {
  nsid: [c.NETNSA_NSID, s32],
  fd: [c.NETNSA_FD, u32],
});

export const readNumber = (bytes: Bytes, start: number, end: number) =>
  nsidAttributes.read(bytes, start + HEADER, end, false);

/** The number alone, without the table: every DEL of a device asks for numbers. */
function numberIn(bytes: Bytes, start: number, end: number): number | undefined {
  const found = findAttribute(bytes, start + HEADER, end, c.NETNSA_NSID, 4);
  return found && bytes.u32[found[0] >> 2]! | 0;
}

/** Of all namespaces that it has one for: those that its links lead to, and those that links of it were moved to (Linux 4.15), while they live. */
export function namespaceNumbers(route: RouteSocket): number[] {
  const { items } = route.dump("ip netns list-id", c.RTM_GETNSID, (writer) => void writer.reserve(HEADER), numberIn);
  return items.filter((number) => number >= 0);
}

/**
 * `ip netns set NAME auto`, at the end of a batch: the kernel gives it a number, if it has none. Nobody waits for an answer: every ADD of an interface
 * on a master does this.
 */
export function appendNumber(route: RouteSocket, other: number): void {
  writeNumber(route.append("ip netns set auto", c.RTM_NEWNSID, 0), other);
}

/** Any number. Without the table of attributes, for the same reason. */
export function writeNumber(writer: Writer, other: number): void {
  const at = writer.room(HEADER + 16) >> 2;
  const { u16, u32 } = writer;
  u32[at] = 0;
  u16[2 * at + 2] = 8;
  u16[2 * at + 3] = c.NETNSA_FD;
  u32[at + 2] = other;
  u16[2 * at + 6] = 8;
  u16[2 * at + 7] = c.NETNSA_NSID;
  u32[at + 4] = -1;
}

/**
 * Whether the number that `route` has read with a link (IFLA_LINK_NETNSID) means the namespace `other`. The kernel gives a namespace its number when
 * it first tells of a link that leads there, also our own one. So this takes the number: before, there may be nothing to ask for.
 */
export function isNumberOf(route: RouteSocket, number: number | undefined, other: number): boolean {
  return number !== undefined && namespaceNumber(route, other) === number;
}

/** undefined: it has none for it yet. Not for a comparison with what is read later: see isNumberOf. */
export function namespaceNumber(route: RouteSocket, other: number): number | undefined {
  const write = (writer: Writer): void => {
    writer.reserve(HEADER);
    u32.write(writer, c.NETNSA_FD, other);
  };
  const nsid = route.get("ip netns list-id", c.RTM_GETNSID, write, numberIn);
  return nsid === undefined || nsid < 0 ? undefined : nsid;
}

/**
 * The numbers that a namespace has for others, less those of namespaces that were looked into. What is left nobody can see: a file or a socket keeps it,
 * a mount elsewhere, or a process that we may not look at.
 */
export class HiddenNumbers {
  readonly #route: RouteSocket;
  readonly #left: Set<number>;

  constructor(route: RouteSocket) {
    this.#route = route;
    this.#left = new Set(namespaceNumbers(route));
  }

  /** Numbers do not change: one that was given since the list was read is not in it. */
  without(other: number): void {
    const number = this.#left.size === 0 ? undefined : namespaceNumber(this.#route, other);
    if (number !== undefined) this.#left.delete(number);
  }

  get left(): number[] {
    return [...this.#left];
  }
}
