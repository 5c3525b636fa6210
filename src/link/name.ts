// The name of a link by its index, without a netlink message, which costs ten times as much.
import { host, SystemError } from "../host/host.ts";
import { loops } from "../host/loops.ts";
import type { RouteSocket } from "../netlink/socket.ts";

const SIOCGIFNAME = 0x8910;
/** struct ifreq: the name, and behind it the index, as words. */
const [SIZE, NAME_SIZE, INDEX] = [40, 16, 4];

/** In the namespace of `route`. undefined: there is no such link, its name is not ASCII, or the kernel (before 4.14) does not take the question. */
export function nameOf(route: RouteSocket, index: number): string | undefined {
  const words = new Int32Array(SIZE / 4);
  words[INDEX] = index;
  const request = new Uint8Array(words.buffer);
  try {
    host.ioctl(route.fd, SIOCGIFNAME, request);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  return loops.text(request, 0, NAME_SIZE) ?? undefined;
}
