// User data of tables, chains and rules, which the kernel stores without interpreting it: bytes of (type, length, value). Programs store their
// comments in it, as type 0, with a NUL at the end.

import { concat } from "../host/concat.ts";
import { loops } from "../host/loops.ts";
import { decodeName } from "../host/utf8.ts";
import { utf8 } from "../netlink/bytes.ts";

const COMMENT = 0;
/** podnic's own type, which other programs ignore. */
const OWNER = 0xf0;
/** The maximum length of a comment in `nft`, in bytes. */
export const COMMENT_LIMIT = 128;

/** User data with a comment, which is cut off after COMMENT_LIMIT bytes. */
export function comment(text: string): Uint8Array {
  const value = utf8(text).subarray(0, COMMENT_LIMIT);
  const data = new Uint8Array(value.length + 3);
  data[0] = COMMENT;
  data[1] = value.length + 1;
  data.set(value, 2);
  return data;
}

/** A rule's comment, and the owner of its chain, for kernels that do not store comments of chains (before Linux 5.10). `nft` hides the owner. */
export function commentWithOwner(text: string, owner: string): Uint8Array {
  const data = comment(owner);
  data[0] = OWNER;
  return concat([comment(text), data]);
}

/** The comment in user data; "" if there is none. */
export function commentOf(data: Uint8Array | undefined): string {
  return textOf(COMMENT, data);
}

/** The owner that commentWithOwner stored; "" if there is none. */
export function ownerOf(data: Uint8Array | undefined): string {
  return textOf(OWNER, data);
}

function textOf(type: number, data: Uint8Array | undefined): string {
  let at = 0;
  while (data !== undefined && at + 2 <= data.length) {
    const end = at + 2 + data[at + 1]!;
    if (end > data.length) break;
    if (data[at] === type) return loops.text(data, at + 2, end) ?? decodeName(withoutNul(data.subarray(at + 2, end)));
    at = end;
  }
  return "";
}

function withoutNul(value: Uint8Array): Uint8Array {
  const nul = value.indexOf(0);
  return nul < 0 ? value : value.subarray(0, nul);
}

/** A text in a field of fixed size: ends at the first NUL, or at the end of the field. */
export function textIn(field: Uint8Array): string {
  return decodeName(withoutNul(field));
}

/** The same as commentOf(…).startsWith(text) for an ASCII text and the data in [start, end), but without a copy. */
export function beginsWithComment(text: string, data: Uint8Array, start: number, end: number): boolean {
  let at = start;
  // Comments usually come first, but another program can store other types before them.
  while (at + 2 < end && data[at] !== COMMENT) at += 2 + data[at + 1]!;
  if (at + 2 + text.length > end || data[at + 1]! < text.length) return false;
  for (let i = 0; i < text.length; i++) if (data[at + 2 + i] !== text.charCodeAt(i)) return false;
  return true;
}
