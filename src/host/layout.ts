// Structures of system calls, which linux.ts packs and reads. Apart from the byte order, they are the same on all our architectures.
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, SO_RCVTIMEO, SOL_SOCKET, TIOCGWINSZ } from "./constants.ts";
import { HIGH, LITTLE_ENDIAN, LOW } from "./endian.ts";
import type { Fd, PollFd, Stat } from "./host.ts";
import type { Machine } from "./syscalls.ts";

/** Type of the requests in linux/nsfs.h. */
const NSFS = 0xb7;

export function openFlags(flags: number, machine: Machine): number {
  if (machine !== "arm64" && machine !== "ppc64le") return flags | O_CLOEXEC;
  const common = flags & ~(O_DIRECTORY | O_NOFOLLOW);
  return common | (flags & O_DIRECTORY ? 0o40000 : 0) | (flags & O_NOFOLLOW ? 0o100000 : 0) | O_CLOEXEC;
}

/** setsockopt(2)'s options of SOL_SOCKET from 16 to 21 are in another order on Power. */
export function socketOption(level: number, option: number, machine: Machine): number {
  return machine === "ppc64le" && level === SOL_SOCKET && option === SO_RCVTIMEO ? 18 : option;
}

/** ioctl(2)'s numbers that are not the same everywhere: on Power, _IO has a bit for "no data" (nsfs has such), and terminals have their own. */
export function ioctlNumber(request: number, machine: Machine): number {
  if (machine !== "ppc64le") return request;
  if (request === TIOCGWINSZ) return 0x4008_7468;
  return request >>> 8 === NSFS ? request + 0x2000_0000 : request;
}

export function view(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** struct timespec. */
export function timespec(seconds: number, nanoseconds: number): Uint8Array {
  const words = new Uint32Array(4);
  words[LOW] = seconds % 0x1_0000_0000;
  words[HIGH] = Math.floor(seconds / 0x1_0000_0000);
  words[2 + LOW] = nanoseconds;
  return new Uint8Array(words.buffer);
}

/**
 * Where the kernel writes what has no size yet. The engine clears each new buffer, page by page (a megabyte took 0.6 ms); of this one,
 * which is part of the snapshot, only the pages that are written to cost anything. Nothing of it is ever handed out.
 */
export const scratch = new Uint8Array(16_384);
export const scratchFields = view(scratch);
/** Elements cost the engine a fifth of what a call of DataView does. */
export const scratchWords = new Uint32Array(scratch.buffer);

/** Words of struct statx: the lower and the higher half of numbers of 64 bits, which are exact below 2^53, as inode numbers and sizes are. */
const [INO, INO_HIGH, SIZE, SIZE_HIGH] = [8 + LOW, 8 + HIGH, 10 + LOW, 10 + HIGH];
const [MTIME, MTIME_HIGH] = [28 + LOW, 28 + HIGH];
const [CTIME, CTIME_HIGH] = [24 + LOW, 24 + HIGH];
/** The mode is the first half of its word. */
const MODE_SHIFT = LITTLE_ENDIAN ? 0 : 16;
/** Where the size of struct dirent64 has its lower and its higher byte. */
export const [RECLEN, RECLEN_HIGH] = [16 + LOW, 16 + HIGH];
export const NANOSECONDS = 2 + LOW;
/** struct open_how. */
export const how = new Uint32Array(6);
export const howBytes = new Uint8Array(how.buffer);
export const [HOW_MODE, HOW_RESOLVE] = [2 + LOW, 4 + LOW];
/** Where recv keeps struct sockaddr and its length. */
export const SENDER = 0;
export const SENDER_LENGTH = 32;
export const sender = scratch.subarray(SENDER, SENDER_LENGTH);
export const senderLength = scratch.subarray(SENDER_LENGTH, SENDER_LENGTH + 4);

/** What statx(2) wrote to the scratch, by its words. Most numbers have no upper half, and to ask that here takes a fifth of a call of `whole`. */
export function statOfScratch(): Stat {
  const words = scratchWords;
  return {
    nlink: words[4]!,
    uid: words[5]!,
    mode: (words[7]! >>> MODE_SHIFT) & 0xffff,
    ino: words[INO_HIGH]! === 0 ? words[INO]! : whole(words[INO]!, words[INO_HIGH]!),
    size: words[SIZE_HIGH]! === 0 ? words[SIZE]! : whole(words[SIZE]!, words[SIZE_HIGH]!),
    mtime: words[MTIME_HIGH]! === 0 ? words[MTIME]! : whole(words[MTIME]!, words[MTIME_HIGH]! | 0),
    mtimeNsec: words[30]!,
    ctime: words[CTIME_HIGH]! === 0 ? words[CTIME]! : whole(words[CTIME]!, words[CTIME_HIGH]! | 0),
    ctimeNsec: words[26]!,
    dev: words[34]! === 0 ? words[35]! : whole(words[35]!, words[34]!),
  };
}

/** Of two words. */
function whole(low: number, high: number): number {
  return low + high * 0x1_0000_0000;
}

/** The two halves of the second word of struct pollfd: what is asked, and the answer. */
const [EVENTS_SHIFT, ANSWER_SHIFT] = LITTLE_ENDIAN ? [0, 16] : [16, 0];

/** struct pollfd for each. */
export function pollFds(fds: PollFd[]): Uint32Array {
  const words = new Uint32Array(fds.length * 2);
  for (let i = 0; i < fds.length; i++) {
    words[2 * i] = fds[i]!.fd;
    words[2 * i + 1] = fds[i]!.events << EVENTS_SHIFT;
  }
  return words;
}

/** Those that ppoll(2) has something to say of. */
export function readyFds(fds: PollFd[], words: Uint32Array): Fd[] {
  const ready: Fd[] = [];
  for (let i = 0; i < fds.length; i++)
    if (((words[2 * i + 1]! >>> ANSWER_SHIFT) & 0xffff) !== 0) ready.push(fds[i]!.fd);
  return ready;
}
