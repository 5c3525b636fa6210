// Reads and compares messages that `ip` sent. They were captured in a private namespace with
//   strace -e trace=sendmsg -e write=3 -s 65536 ip …
// and pasted as strace prints them. They are little-endian.
import { expect } from "vitest";
import { Bytes, Writer } from "../netlink/bytes.ts";

/** Returns the bytes of lines such as " | 00000  5c 00 00 00 10 00 05 06  2b 44 00 6b 00 00 00 00  \...+D.k.... |", or of plain hex. */
export function hex(text: string): Uint8Array {
  const digits = text
    .split("\n")
    .map((line) => /^ *\| [0-9a-f]{5} {2}(.{48,49})/.exec(line)?.[1] ?? line)
    .join("")
    .replace(/\s/g, "");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export interface Golden<T> {
  type: number;
  flags: number;
  message: T;
}

/** Asserts that the captured message says `expected`, and that `write` of it gives the captured bytes again. */
export function expectGolden<T>(
  captured: string,
  expected: Golden<T>,
  read: (bytes: Bytes, start: number, end: number, keep: boolean) => T,
  write: (writer: Writer, message: T) => void,
): void {
  const data = hex(captured);
  const bytes = Bytes.from(data);
  expect(bytes.u32[0]).toBe(data.length);
  expect({ type: bytes.u16[2], flags: bytes.u16[3] }).toEqual({ type: expected.type, flags: expected.flags });
  const message = read(bytes, 16, data.length, true);
  expect(message).toEqual(expected.message);
  const writer = new Writer(16);
  write(writer, message);
  expect(toHex(writer.written())).toBe(toHex(data.subarray(16)));
}

export function toHex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
