// The log that device-mapper's log-writes keeps (drivers/md/dm-log-writes.c): each write in the order in which it became durable, and our marks.
//
// A write that nobody has flushed yet is not in the log before the flush that makes it durable. So what comes before an entry was on disk when
// the entry was written, and of what comes after it, up to the next flush, any part may have been.
import { closeSync, openSync, readSync } from "node:fs";

const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;
const MARK = 8n;
/** Sector, number of sectors, flags, length of the data. */
const HEADER = 32;

export interface Entry {
  /** Text of a mark. */
  readonly mark?: string;
  /** Byte on the disk, of a write. */
  readonly at: number;
  readonly data: Buffer;
  /** What was completed before it is durable when it is. */
  readonly flush: boolean;
  /** Durable itself. */
  readonly sure: boolean;
}

/** @throws when the file is no such log */
export function readLog(path: string): Entry[] {
  const fd = openSync(path, "r");
  const read = (at: number, length: number): Buffer => {
    const data = Buffer.alloc(length);
    if (readSync(fd, data, 0, length, at) !== length) throw new Error(`${path} ends early`);
    return data;
  };
  try {
    const superblock = read(0, 512);
    if (superblock.readBigUInt64LE(0) !== MAGIC) throw new Error(`${path} is no log of dm-log-writes`);
    const count = Number(superblock.readBigUInt64LE(16));
    const sector = superblock.readUInt32LE(24);
    const entries: Entry[] = [];
    for (let at = sector; entries.length < count; ) {
      const { entry, length } = readEntry(read, at, sector);
      entries.push(entry);
      at += length;
    }
    return entries;
  } finally {
    closeSync(fd);
  }
}

function readEntry(read: (at: number, length: number) => Buffer, at: number, sector: number) {
  const header = read(at, sector);
  const word = (n: number) => header.readBigUInt64LE(n * 8);
  const flags = word(2);
  const size = Number(word(1)) * sector;
  const where = Number(word(0)) * sector;
  const common = { flush: (flags & FLUSH) !== 0n, sure: (flags & (FLUSH | FUA)) !== 0n };
  if ((flags & MARK) !== 0n) {
    const mark = header.toString("utf8", HEADER, HEADER + Number(word(3)));
    return { entry: { ...common, mark, at: 0, data: Buffer.alloc(0) }, length: sector };
  }
  // What was discarded reads as anything; as zeros here.
  if ((flags & DISCARD) !== 0n) return { entry: { ...common, at: where, data: Buffer.alloc(size) }, length: sector };
  return { entry: { ...common, at: where, data: read(at + sector, size) }, length: sector + size };
}
