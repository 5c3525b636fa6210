// Writes tar files whose bytes depend only on their contents: no times, all files owned by root, entries in the given order.
import { gzipSync } from "node:zlib";

export interface Entry {
  /** At most 100 characters; directories end in "/". */
  name: string;
  mode: number;
  data?: Uint8Array;
  /** If set, the entry is a hard link to the entry of this name. */
  link?: string;
}

const BLOCK = 512;

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

/** The header block of an entry: struct posix_header of POSIX.1-1988 (ustar). */
function header({ name, mode, data, link }: Entry): Buffer {
  const type = name.endsWith("/") ? "5" : link === undefined ? "0" : "1";
  if (Buffer.byteLength(name) > 100) throw new Error(`${name}: longer than the 100 bytes a tar header has for a name`);
  const block = Buffer.alloc(BLOCK);
  const fields: [at: number, text: string][] = [
    [0, name],
    [100, octal(mode, 8)],
    [108, octal(0, 8)],
    [116, octal(0, 8)],
    [124, octal(data?.length ?? 0, 12)],
    [136, octal(0, 12)],
    [148, " ".repeat(8)], // the checksum treats its own field as blanks
    [156, type],
    [157, link ?? ""],
    [257, "ustar\x0000"],
    [265, "root"],
    [297, "root"],
  ];
  for (const [at, text] of fields) block.write(text, at, "latin1");
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** Returns the tar file of these entries, in their order. */
export function tar(entries: Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = entry.data ?? new Uint8Array();
    return [header(entry), data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** Compresses with gzip, without a time or a name. Byte 9, the operating system, is always "unknown", regardless of zlib. */
export function gzip(data: Uint8Array): Buffer {
  const packed = gzipSync(data, { level: 9 });
  packed[9] = 255;
  return packed;
}
