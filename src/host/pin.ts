// A page of memory whose address we know, for structures that point to others. The kernel alone fills and reads it: through a pipe.
import { LOW } from "./endian.ts";
import type { Fd, Host } from "./host.ts";
import type { Argument, Machine, Syscall } from "./syscalls.ts";

const PAGE = 4096;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;

interface PinHost extends Pick<Host, "read" | "write" | "close" | "pipe"> {
  call(name: Syscall, subject: string, ...args: Argument[]): number;
}

/** Its address; 0: there is none yet. */
let page = 0;

/** See Host.pin. */
export function pin(host: PinHost, machine: Machine, data: Uint8Array): number {
  if (page === 0) page = mapPage(host, machine);
  piped(
    host,
    (to) => host.write(to, data),
    (from) => host.call("read", "", from, page, data.length),
  );
  return page;
}

/** See Host.pinned. */
export function pinned(host: PinHost, size: number): Uint8Array {
  return piped(
    host,
    (to) => host.call("write", "", to, page, size),
    (from) => host.read(from, size),
  );
}

function piped<T>(host: PinHost, put: (to: Fd) => unknown, get: (from: Fd) => T): T {
  const [from, to] = host.pipe();
  try {
    put(to);
    return get(from);
  } finally {
    host.close(from);
    host.close(to);
  }
}

function mapPage(host: PinHost, machine: Machine): number {
  const [length, access, flags] = [PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS];
  if (machine !== "s390x") return host.call("mmap", "", null, length, access, flags, -1, 0);
  // There it takes its six arguments in memory.
  const words = new Uint32Array(12);
  [0, length, access, flags, 0, 0].forEach((value, i) => {
    words[2 * i + LOW] = value;
  });
  return host.call("mmap", "", new Uint8Array(words.buffer));
}
