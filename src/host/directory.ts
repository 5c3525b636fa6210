// Directories: the names in them, and the contents of their files, which the executable reads many at a time.
import { O_CLOEXEC } from "./constants.ts";
import { type Fd, type Host, SystemError } from "./host.ts";
import { RECLEN, RECLEN_HIGH, scratch } from "./layout.ts";
import { loops } from "./loops.ts";
import type { Argument, Kernel, Syscall } from "./syscalls.ts";
import { decodeName } from "./utf8.ts";

/** What getdents64 says of a regular file. */
const DT_REG = 8;

interface DirectoryHost extends Pick<Host, "open" | "read" | "close" | "decode"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
}

export type Select<T> = (name: string) => T | undefined;
/** See Host.readEach. */
export type Each<T> = (selected: T, name: string, text: string | undefined, written: number) => void;

export function namesIn(host: DirectoryHost, dir: Fd): string[] {
  const names: string[] = [];
  while (entries(host, dir, (name) => names.push(name)));
  return names;
}

/** The next of them, as many as one call gives. false: none are left. */
function entries(host: DirectoryHost, dir: Fd, each: (name: string, type: number) => void): boolean {
  const size = host.call("getdents64", "", dir, scratch, scratch.length);
  for (let at = 0; at < size; at += scratch[at + RECLEN]! | (scratch[at + RECLEN_HIGH]! << 8)) {
    if (isSelfOrParent(at + 19)) continue;
    const name = loops.text(scratch, at + 19, size);
    each(name ?? decodeName(scratch.subarray(at + 19, scratch.indexOf(0, at + 19))), scratch[at + 18]!);
  }
  return size > 0;
}

/** The name at this place of the scratch is "." or "..". */
function isSelfOrParent(at: number): boolean {
  const DOT = 46;
  return scratch[at] === DOT && (scratch[at + 1] === 0 || (scratch[at + 1] === DOT && scratch[at + 2] === 0));
}

export function readEach<T>(
  host: DirectoryHost,
  kernel: Kernel,
  dir: Fd,
  sure: boolean,
  select: Select<T>,
  each: Each<T>,
): void {
  for (let more = true; more; ) {
    const found: { selected: T; name: string; regular: boolean }[] = [];
    const regular: string[] = [];
    more = entries(host, dir, (name, type) => {
      const selected = select(name);
      if (selected === undefined) return;
      found.push({ selected, name, regular: type === DT_REG });
      if (type === DT_REG) regular.push(name);
    });
    const read = kernel.readFiles?.(dir, regular.length, regular, sure) ?? [];
    let at = 0;
    for (const { selected, name, regular } of found) {
      const text = regular ? read[at] : undefined;
      const written = regular ? read[at + 1] : 0;
      if (regular) at += 2;
      each(selected, name, (text as string | null | undefined) ?? undefined, written as number);
    }
  }
}

export function readAll(
  host: DirectoryHost,
  kernel: Kernel,
  dir: Fd,
  files: readonly string[],
): (string | undefined)[] {
  // A number: sure, and nobody asks for their times.
  const read = kernel.readFiles?.(dir, files.length, files, 1);
  if (read !== undefined) return files.map((_, i) => (read[2 * i] as string | null) ?? undefined);
  return files.map((file) => {
    try {
      const fd = host.open(file, O_CLOEXEC, 0, dir);
      try {
        return host.decode(host.read(fd, scratch.length));
      } finally {
        host.close(fd);
      }
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return undefined;
    }
  });
}
