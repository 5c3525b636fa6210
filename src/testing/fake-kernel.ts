// A kernel that gives the answers that a test specifies, for cases that rarely happen on a real one: lost, foreign, truncated and interrupted
// answers.
import { concat } from "../host/concat.ts";
import { errnoName, errnoText, type Host, installHost, type Received, SystemError } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { Bytes, Writer } from "../netlink/bytes.ts";
import { RouteSocket } from "../netlink/socket.ts";

/** What recv(2) returns: a datagram, or an error. */
export type Answer = { messages: Uint8Array[]; sender?: number; truncated?: boolean } | { errno: number };

/** One message of a request. */
export interface Request {
  type: number;
  flags: number;
  sequence: number;
  port: number;
  /** What follows the header. */
  payload: Uint8Array;
}

export function systemError(call: string, errno: number): SystemError {
  return new SystemError(call, errno, errnoName(errno), errnoText(errno));
}

/** Not a descriptor of the process. */
const SOCKET = 1_000_000;

export class FakeKernel {
  /** The calls of send(2) so far, each with its messages. */
  readonly sends: Request[][] = [];
  /** Errors that send(2) returns, one per call, before it works. */
  readonly sendErrors: number[] = [];
  /** Sizes of the buffers that recv(2) was given. */
  readonly buffers: number[] = [];
  /** Options this kernel does not know. */
  unknownOptions: number[] = [];
  /** Milliseconds by which each call of monotonic() moves the clock. */
  tick = 0;
  #now = 0;
  #queue: Answer[] = [];
  readonly #answer: (requests: Request[], nth: number) => Answer[];
  port = 0;

  /** `answer` returns what the kernel sends after the nth send (from 0). */
  constructor(answer: (requests: Request[], nth: number) => Answer[]) {
    this.#answer = answer;
  }

  open(): RouteSocket {
    // The real host serves everything else, such as files.
    const real = new NodeHost();
    const close = real.close.bind(real);
    const fake = { close: (fd: number) => (fd === SOCKET ? undefined : close(fd)), ...this.#host() };
    installHost(Object.assign(real, fake));
    return RouteSocket.open();
  }

  #host(): Partial<Host> {
    return {
      socket: () => SOCKET,
      getpid: () => 4711,
      monotonic: () => {
        this.#now += this.tick;
        return this.#now;
      },
      setsockopt: (_fd, _level, option) => {
        if (this.unknownOptions.includes(option)) throw systemError("setsockopt", 92);
      },
      bind: (_fd, address) => {
        this.port = Bytes.from(address).u32[1]!;
      },
      send: (_fd, data) => {
        const errno = this.sendErrors.shift();
        if (errno !== undefined) throw systemError("sendto", errno);
        const requests = parse(data);
        this.#queue.push(...this.#answer(requests, this.sends.length));
        this.sends.push(requests);
        return data.length;
      },
      recv: (_fd, buffer) => this.#recv(buffer),
      poll: () => (this.#queue.length > 0 ? [0] : []),
    };
  }

  /** The number of datagrams that were not read yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  #recv(buffer: Uint8Array): Received {
    this.buffers.push(buffer.length);
    const answer = this.#queue.shift();
    // There is no datagram, so SO_RCVTIMEO expires.
    if (answer === undefined) {
      this.#now += 10_000;
      throw systemError("recvfrom", 11);
    }
    if ("errno" in answer) throw systemError("recvfrom", answer.errno);
    const data = concat(answer.messages);
    const fits = Math.min(data.length, buffer.length);
    buffer.set(data.subarray(0, fits));
    return {
      size: fits,
      truncated: answer.truncated ?? data.length > buffer.length,
      sender: answer.sender ?? 0,
    };
  }
}

function parse(data: Uint8Array): Request[] {
  const bytes = Bytes.from(data);
  const requests: Request[] = [];
  for (let at = 0; at < data.length; at += (bytes.u32[at >> 2]! + 3) & ~3) {
    const words = bytes.u32.subarray(at >> 2);
    const halves = bytes.u16.subarray(at >> 1);
    const payload = data.slice(at + 16, at + words[0]!);
    requests.push({ type: halves[2]!, flags: halves[3]!, sequence: words[2]!, port: words[3]!, payload });
  }
  return requests;
}

/** A message with its header. */
export function message(
  type: number,
  flags: number,
  to: Pick<Request, "sequence" | "port">,
  payload: Uint8Array,
): Uint8Array {
  const writer = new Writer(16 + payload.length);
  writer.reserve(16 + payload.length);
  writer.u32[0] = 16 + payload.length;
  writer.u16[2] = type;
  writer.u16[3] = flags;
  writer.u32[2] = to.sequence;
  writer.u32[3] = to.port;
  writer.u8.set(payload, 16);
  return writer.written().slice();
}

/** NLMSG_ERROR: the ACK (0) or refusal of a request, with the kernel's text if `words` is given. */
export function ack(to: Request, errno = 0, words = ""): Uint8Array {
  const writer = new Writer(64);
  writer.reserve(20);
  writer.u32[0] = -errno >>> 0;
  if (words !== "") {
    const at = writer.attribute(1, words.length + 1);
    for (let i = 0; i < words.length; i++) writer.u8[at + i] = words.charCodeAt(i);
  }
  // NLM_F_CAPPED, NLM_F_ACK_TLVS.
  return message(2, 0x100 | (words === "" ? 0 : 0x200), to, writer.written());
}

/** NLMSG_DONE of a dump. */
export function done(to: Request, flags = 0): Uint8Array {
  return message(3, 0x2 | flags, to, new Uint8Array(4));
}
