// Tar files whose bytes depend on nothing but what is put in: no times, no owners but root, the order given.
import { gzipSync } from "node:zlib";

export interface Entry {
  /** At most 100 characters; directories end in "/". */
  name: string;
  mode: number;
  data?: Uint8Array;
  /** Another entry's name: a hard link to it. */
  link?: string;
}

const BLOCK = 512;

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}

/** One block: struct posix_header of POSIX.1-1988 (ustar). */
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
    [148, " ".repeat(8)], // the checksum counts itself as blanks
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

/** The tar file of these entries, in their order. */
export function tar(entries: Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const data = entry.data ?? new Uint8Array();
    return [header(entry), data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)];
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}

/** gzip without a time and a name; byte 9, the system it was made on, is "unknown" whatever zlib says. */
export function gzip(data: Uint8Array): Buffer {
  const packed = gzipSync(data, { level: 9 });
  packed[9] = 255;
  return packed;
}
