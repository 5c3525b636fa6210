// Extracts one netlink message from the buffer in which it was sent or received.
import { Bytes } from "../../netlink/bytes.ts";
import { LINK_HEADER } from "../../netlink/link.ts";
import { HEADER } from "../../netlink/message.ts";
import * as nft from "../../nftables/constants.ts";

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  port: number;
  bytes: Bytes;
  /** The payload is `bytes` from `start` to `end`. */
  start: number;
  end: number;
}

/** Splits a buffer of send(2) or recv(2), which contains complete messages. */
export function splitMessages(data: Uint8Array): Message[] {
  const all = Bytes.from(data);
  const messages: Message[] = [];
  for (let at = 0; at + HEADER <= data.length; ) {
    const size = all.u32[at >> 2]!;
    if (size < HEADER || at + size > data.length) break;
    const bytes = Bytes.from(all.u8.subarray(at, at + size));
    messages.push({
      type: bytes.u16[2]!,
      flags: bytes.u16[3]!,
      sequence: bytes.u32[2]!,
      port: bytes.u32[3]!,
      bytes,
      start: HEADER,
      end: size,
    });
    at += (size + 3) & ~3;
  }
  return messages;
}

/** True for messages of nf_tables, which have the subsystem in the upper byte of the type. */
export const isNft = ({ type }: Pick<Message, "type">): boolean => type >> 8 === nft.NFNL_SUBSYS_NFTABLES;
const nftQuestions = [nft.NFT_MSG_GETTABLE, nft.NFT_MSG_GETCHAIN, nft.NFT_MSG_GETRULE, nft.NFT_MSG_GETGEN];

/** True if the message begins or ends an nf_tables transaction. Link messages have the same numbers, but a longer header. */
export const isFrame = ({ type, start, end }: Message): boolean =>
  (type === nft.NFNL_MSG_BATCH_BEGIN || type === nft.NFNL_MSG_BATCH_END) && end - start < LINK_HEADER;

/** True for queries. rtnetlink's types come in groups of four (NEW, DEL, GET, SET); those of nf_tables do not. */
export function isQuestion({ type }: Message): boolean {
  if (isNft({ type })) return nftQuestions.includes(type & 255);
  return type >= 16 && type % 4 === 2;
}
