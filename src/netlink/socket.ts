// Netlink sockets: requests with one ACK each, several requests in one send, and dumps. They are synchronous. The kernel processes a request
// inside send(2), so its reply is already in the queue when recv(2) is called. Deadlines are for the case that it is not. RouteSocket is for
// rtnetlink. The socket for nf_tables is in src/nftables.
import { POLLIN, SOL_SOCKET } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { align4, type Bytes, Writer } from "./bytes.ts";
import * as c from "./constants.ts";
import { NetlinkError } from "./errors.ts";
import { checkDeadline, DEADLINE, grow, inbox, receiveOnce, Truncated } from "./inbox.ts";
import { errnoIn, failure, HEADER, messageEnd, type Operation, readError } from "./message.ts";
import { openSocket, setOption } from "./open.ts";
import type { Questions } from "./questions.ts";

/** Reads the payload of a message in [start, end); must copy what it keeps and must not use a socket. */
export type PayloadReader<T> = (bytes: Bytes, start: number, end: number) => T;

/** Items of a dump. `complete` is false when all tries were interrupted by changes: then some may be missing or twice. */
export interface Dump<T> {
  items: T[];
  complete: boolean;
}

/** Reads a message that is no ACK and came before the last of them; as a PayloadReader, with the type. */
export type Besides = (type: number, ...payload: Parameters<PayloadReader<void>>) => void;

/** Sees each message sent and received (a view, valid during the call). */
export type Trace = (direction: "send" | "recv", message: Uint8Array) => void;

let trace: Trace | undefined;

export function traceMessages(callback: Trace | undefined): void {
  trace = callback;
}

const DUMP_TRIES = 5;
const SEND_TRIES = 3;
/** Datagrams read for one send at most; a dump of 100,000 links is about 5,000. */
const DATAGRAMS = 20_000;
/** Messages a send carries at most: ACKs of about 1 KiB each must fit the default receive queue of 208 KiB. */
const BATCH = 64;
const SO_NETNS_COOKIE = 71;
const EINTR = 4;
const ENOMEM = 12;
const ENOBUFS = 105;
const ETIMEDOUT = 110;

/** Buffers for the first three sockets, the host's, the pod's and that of nf_tables, as part of the snapshot. */
const SPARE_SIZE = 1024;
const spare = [new Writer(SPARE_SIZE), new Writer(SPARE_SIZE), new Writer(SPARE_SIZE)];

/** Sockets that were closed while a child process may not have begun: see close(). */
const kept: { fd: Fd; pid: number }[] = [];

function closeKept(): void {
  for (const one of kept.splice(0)) {
    if (host.hasEnded(one.pid)) host.close(one.fd);
    else kept.push(one);
  }
}

/** What all protocols have in common. */
export class NetlinkSocket {
  readonly #fd: Fd;
  readonly #port: number;
  readonly #out = spare.pop() ?? new Writer(SPARE_SIZE);
  #sequence = 0;
  /** Sequence number of the first message in #out, and what each of them is. */
  #first = 1;
  #operations: Operation[] = [];
  /** How many of them are answered in any case, and the numbers of those of append() that are not. */
  #awaited = 0;
  #silent: number[] = [];
  /** The first so many, of begin(), are answered only if they are refused. */
  #spared = 0;
  /** The last one is a question. */
  #asks = false;
  /** Where the message being written starts. */
  #start = 0;
  #results: (NetlinkError | undefined)[] = [];
  /** The process that sends for us. */
  #aside: number | undefined;
  /** The kernel has still to be told that it shall filter what it dumps. */
  #isLax: boolean;

  /** A socket in the namespace this process is in; it stays there. `protocol`: NETLINK_*; `groups`: bits to subscribe to. */
  protected constructor(protocol: number, groups: number) {
    const { fd, port } = openSocket(protocol, groups, DEADLINE / 1000);
    this.#fd = fd;
    this.#port = port;
    this.#isLax = protocol === c.NETLINK_ROUTE;
  }

  /** For fork(2), whose child keeps it open, and poll(2). */
  get fd(): Fd {
    return this.#fd;
  }

  /**
   * A process that sends for us shares our descriptors until it runs. What we open next would have the number of this one, and would be sent its
   * message: so the descriptor stays open as long as that process is there.
   */
  close(): void {
    if (this.#aside === undefined || host.hasEnded(this.#aside)) host.close(this.#fd);
    else kept.push({ fd: this.#fd, pid: this.#aside });
  }

  /**
   * The kernel's number for the namespace the socket is in, 64 bits in the machine's order: no other has it until the next boot. undefined
   * before Linux 5.14. (Inodes of namespaces are given again.)
   */
  namespaceCookie(): Uint8Array | undefined {
    try {
      return host.getsockopt(this.#fd, SOL_SOCKET, SO_NETNS_COOKIE, 8);
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /**
   * Starts a message; the caller writes its payload into the writer returned and then sends with run, runEach or get, or begins
   * the next one of the batch: what may throw comes before, for half a message would be sent with the next. `operation` says it in the
   * words of `ip`, for errors. The kernel takes the messages of a send one after the other, and answers in this order: only the last one asks for an
   * ACK, and those before it that were not refused by then have succeeded.
   */
  begin(operation: Operation, type: number, flags: number): Writer {
    this.#finish();
    if (this.#operations.length === BATCH) this.#flush();
    this.#last(operation, type, flags | c.NLM_F_REQUEST | c.NLM_F_ACK);
    return this.#out;
  }

  /** A GET as the last message of a batch: what runEach() gets to see last is its answer, or its result the refusal. */
  beginQuestion(operation: string, type: number): Writer {
    this.#finish();
    this.#last(operation, type, c.NLM_F_REQUEST);
    this.#asks = true;
    return this.#out;
  }

  #last(operation: Operation, type: number, flags: number): void {
    if (this.#operations.length > 0) {
      this.#out.u16[(this.#start >> 1) + 3]! &= ~c.NLM_F_ACK;
      this.#spared++;
    } else this.#awaited++;
    this.#head(operation, type, flags);
  }

  /** As `begin`, in the same send however many there are, and without an ACK unless `flags` ask for one. */
  append(operation: string, type: number, flags: number): Writer {
    this.#finish();
    if ((flags & c.NLM_F_ACK) !== 0) this.#awaited++;
    else this.#silent.push(this.#operations.length);
    this.#head(operation, type, flags | c.NLM_F_REQUEST);
    return this.#out;
  }

  #head(operation: Operation, type: number, flags: number): void {
    const out = this.#out;
    const start = out.room(HEADER);
    this.#start = start;
    this.#operations.push(operation);
    const sequence = (this.#sequence + 1) >>> 0;
    this.#sequence = sequence;
    // Its length comes when it is known.
    out.u16[(start >> 1) + 2] = type;
    out.u16[(start >> 1) + 3] = flags;
    out.u32[(start >> 2) + 2] = sequence;
    out.u32[(start >> 2) + 3] = this.#port;
  }

  /** Writes the length of the message under construction. */
  #finish(): void {
    if (this.#operations.length > 0) this.#out.u32[this.#start >> 2] = this.#out.length - this.#start;
  }

  /** Sends what was begun and waits for every ACK. Throws the first refusal; the messages behind a refused one were still executed. */
  run(): void {
    for (const result of this.runEach()) if (result !== undefined) throw result;
  }

  /**
   * Sends what was begun; for each message undefined, or how the kernel refused it. Throws when the answers are lost. `see` gets what the
   * kernel sends besides (NLM_F_ECHO).
   */
  runEach(see?: Besides): (NetlinkError | undefined)[] {
    this.#finish();
    try {
      if (this.#operations.length > 0) this.#flush(see);
      return this.#results;
    } finally {
      this.#results = [];
      this.#reset();
    }
  }

  /**
   * Has a child process send the message that was begun, and returns its id: the kernel may take its time. The answer, NLMSG_ERROR, comes
   * to waitNotification, and nothing else may be sent on this socket. undefined: nothing was sent, for this host cannot.
   */
  sendAside(): number | undefined {
    this.#finish();
    const data = this.#out.written();
    closeKept();
    try {
      this.#aside = host.sendAside(this.#fd, data);
      trace?.("send", data);
      return this.#aside;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return undefined;
    } finally {
      this.#reset();
    }
  }

  #reset(): void {
    this.#out.length = 0;
    this.#operations = [];
    this.#awaited = 0;
    this.#spared = 0;
    this.#asks = false;
    if (this.#silent.length > 0) this.#silent = [];
    this.#first = this.#sequence + 1;
  }

  /** What failed is gone from the batch: an undo that comes next must neither send it again nor take its results for its own. */
  #flush(see?: Besides): void {
    try {
      this.#exchange(see);
    } catch (error) {
      this.#results = [];
      throw error;
    } finally {
      this.#reset();
    }
  }

  #exchange(see?: Besides): void {
    this.#send();
    const base = this.#results.length;
    for (let i = 0; i < this.#operations.length; i++) this.#results.push(undefined);
    const answered: boolean[] = [];
    let missing = this.#awaited;
    this.#receive(this.#operations[0]!, (bytes, at, end, type) => {
      const number = bytes.u32[(at >> 2) + 2]! - this.#first;
      if (type !== c.NLMSG_ERROR) {
        see?.(type, bytes, at + HEADER, end);
        return this.#asks && number === this.#spared;
      }
      if (answered[number] === true) return false;
      answered[number] = true;
      const refusal = readError(this.#operations[number]!, bytes, at, end);
      this.#results[base + number] = refusal;
      // The refusal of what needs no ACK is that of everything: of a transaction's frame, say.
      if (this.#silent.includes(number)) return refusal !== undefined;
      if (number < this.#spared) return false;
      missing--;
      return missing === 0;
    });
  }

  /** Sends one GET and reads its answer. Throws NetlinkError when the kernel refuses (ENODEV: there is none). */
  get<T>(operation: string, type: number, write: (writer: Writer) => void, read: PayloadReader<T>): T {
    // What the kernel refuses is thrown.
    return this.find(operation, type, write, read, []) as T;
  }

  /** The same; undefined where the kernel refuses with one of the errnos that say that there is none. An error would take longer to make. */
  find<T>(
    operation: string,
    type: number,
    write: (writer: Writer) => void,
    read: PayloadReader<T>,
    none: readonly number[],
  ): T | undefined {
    let answer: T | undefined;
    let refusal: NetlinkError | undefined;
    for (let attempt = 1; ; attempt++) {
      try {
        this.#request(operation, type, c.NLM_F_REQUEST, write);
        this.#receive(operation, (bytes, at, end, answerType) => {
          if (answerType !== c.NLMSG_ERROR) answer = read(bytes, at + HEADER, end);
          else if (!none.includes(errnoIn(bytes, at, end)))
            refusal = readError(operation, bytes, at, end) ?? failure(operation, 71);
          return true;
        });
        break;
      } catch (error) {
        if (!this.#again(error, attempt)) throw error;
      } finally {
        this.#reset();
      }
    }
    if (refusal !== undefined) throw refusal;
    return answer;
  }

  /** Sends a dump request and reads every item; `read` returns undefined for those to leave out. */
  dump<T>(
    operation: string,
    type: number,
    write: (writer: Writer) => void,
    read: PayloadReader<T | undefined>,
  ): Dump<T> {
    if (this.#isLax) setOption(this.#fd, c.NETLINK_GET_STRICT_CHK);
    this.#isLax = false;
    for (let attempt = 1; ; attempt++) {
      const items: T[] = [];
      let interrupted = false;
      let refusal: NetlinkError | undefined;
      try {
        this.#request(operation, type, c.NLM_F_REQUEST | c.NLM_F_DUMP, write);
        this.#receive(operation, (bytes, at, end, answerType, flags) => {
          if ((flags & c.NLM_F_DUMP_INTR) !== 0) interrupted = true;
          if (answerType === c.NLMSG_ERROR || answerType === c.NLMSG_DONE) {
            refusal = readError(operation, bytes, at, end);
            return true;
          }
          const item = read(bytes, at + HEADER, end);
          if (item !== undefined) items.push(item);
          return (flags & c.NLM_F_MULTI) === 0;
        });
      } catch (error) {
        if (!this.#again(error, attempt)) throw error;
        // The kernel refuses the next dump (EBUSY) until all of this one is read, whose datagrams are there one after the other.
        this.waitNotification(0);
        continue;
      } finally {
        this.#reset();
      }
      if (refusal !== undefined) throw refusal;
      if (!interrupted) return { items, complete: true };
      if (attempt >= DUMP_TRIES) return { items, complete: false };
    }
  }

  /**
   * Asks all at once, the last being a dump; `see` gets each answer with the number of its question. False: not all are answered, or what was seen may
   * be out of date. Then each is to be asked by itself.
   */
  ask(questions: Questions, see: (which: number, ...payload: Parameters<PayloadReader<void>>) => void): boolean {
    const { operation, words, starts } = questions;
    if (this.#operations.length > 0) this.#reset();
    const out = this.#out;
    const base = out.room(words.length * 4) >> 2;
    const { u32 } = out;
    u32.set(words, base);
    for (const start of starts) {
      this.#sequence = (this.#sequence + 1) >>> 0;
      u32[base + start + 2] = this.#sequence;
      u32[base + start + 3] = this.#port;
    }
    this.#operations.push(operation);
    const first = this.#first;
    let isWhole = true;
    try {
      this.#send();
      this.#receive(operation, (bytes, at, end, type, flags) => {
        const which = bytes.u32[(at >> 2) + 2]! - first;
        if ((flags & c.NLM_F_DUMP_INTR) !== 0) isWhole = false;
        if (type !== c.NLMSG_ERROR && type !== c.NLMSG_DONE) {
          see(which, bytes, at + HEADER, end);
          return false;
        }
        if (readError(operation, bytes, at, end) !== undefined) isWhole = false;
        return which === starts.length - 1;
      });
      return isWhole;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      // As in dump().
      this.waitNotification(0);
      return false;
    } finally {
      this.#reset();
    }
  }

  #request(operation: string, type: number, flags: number, write: (writer: Writer) => void): void {
    if (this.#operations.length > 0) this.#reset();
    this.#head(operation, type, flags);
    write(this.#out);
    this.#finish();
    this.#send();
  }

  /** Questions may be asked again when the answer was lost or larger than the buffer. */
  #again(error: unknown, attempt: number): boolean {
    return (
      error instanceof NetlinkError && attempt < DUMP_TRIES && (error.errno === ENOBUFS || error instanceof Truncated)
    );
  }

  #send(): void {
    const data = this.#out.written();
    for (let at = 0; trace !== undefined && at < data.length; ) {
      const end = messageEnd(data.length, this.#out, at);
      trace("send", data.subarray(at, end));
      at = align4(end);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        host.send(this.#fd, data);
        return;
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        // Nothing of the request was executed: the kernel had no memory to take it.
        const retry = error.errno === EINTR || error.errno === ENOBUFS || error.errno === ENOMEM;
        if (!retry || (error.errno !== EINTR && attempt >= SEND_TRIES) || attempt > 10_000) {
          throw failure(this.#operations[0]!, error.errno);
        }
      }
    }
  }

  /**
   * Gives every message that answers what we sent to `take` until it returns true. Everything else (other sequence numbers, other
   * ports, senders that are not the kernel, NOOP, OVERRUN) is dropped.
   */
  #receive(
    operation: Operation,
    take: (bytes: Bytes, at: number, end: number, type: number, flags: number) => boolean,
  ): void {
    const bytes = inbox();
    const { u16, u32 } = bytes;
    const first = this.#first;
    const last = this.#sequence;
    const port = this.#port;
    // Hardly any answer takes a second datagram: the clock is asked only from the 16th on, and between all that many.
    let deadline = Number.POSITIVE_INFINITY;
    for (let count = 1; count <= DATAGRAMS; count++) {
      if (count % 16 === 0) deadline = checkDeadline(operation, deadline);
      const received = receiveOnce(this.#fd, operation, bytes);
      const { size, sender, truncated } = received;
      if (sender !== 0) continue;
      if (truncated) throw grow(operation);
      let done = false;
      for (let at = 0, end = 0; at < size; at = (end + 3) & ~3) {
        const word = at >> 2;
        end = at + u32[word]!;
        if (end > size || end < at + HEADER) end = messageEnd(size, bytes, at);
        if (trace !== undefined) trace("recv", bytes.u8.subarray(at, end));
        const sequence = u32[word + 2]!;
        if (done || sequence < first || sequence > last || u32[word + 3] !== port) continue;
        const type = u16[2 * word + 2]!;
        if (type === c.NLMSG_NOOP || type === c.NLMSG_OVERRUN) continue;
        done = take(bytes, at, end, type, u16[2 * word + 3]!);
      }
      if (done) return;
    }
    throw failure(operation, ETIMEDOUT, `no reply within ${DATAGRAMS} datagrams`);
  }

  /**
   * Waits at most `timeout` ms for a notification of a group subscribed to, and reads all that are there. `see` gets each with its
   * type, to be done with when it returns; NLMSG_OVERRUN stands for those that are lost. False: none came.
   */
  waitNotification(timeout: number, see?: Besides): boolean {
    const bytes = inbox();
    const poll = [{ fd: this.#fd, events: POLLIN }];
    let some = false;
    for (let count = 0; count < 1000 && host.poll(poll, some ? 0 : timeout).length > 0; count++) {
      some = true;
      try {
        const { size, sender, truncated } = host.recv(this.#fd, bytes.u8);
        if (see === undefined || sender !== 0) continue;
        if (truncated) see(c.NLMSG_OVERRUN, bytes, 0, 0);
        else
          for (let at = 0, end = 0; at < size; at = align4(end)) {
            end = messageEnd(size, bytes, at);
            see(bytes.u16[(at >> 1) + 2]!, bytes, at + HEADER, end);
          }
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        see?.(c.NLMSG_OVERRUN, bytes, 0, 0);
      }
    }
    return some;
  }
}

/** The socket of rtnetlink. */
export class RouteSocket extends NetlinkSocket {
  /** A socket in the namespace this process is in; it stays there. `groups`: RTMGRP_* bits to subscribe to. */
  static open(groups = 0): RouteSocket {
    return new RouteSocket(c.NETLINK_ROUTE, groups);
  }

  /** Notifications of the namespaces that this one has a number for as well. Without CAP_NET_BROADCAST: of this one alone. */
  hearBeyond(): void {
    try {
      host.setsockopt(this.fd, c.SOL_NETLINK, c.NETLINK_LISTEN_ALL_NSID, Uint8Array.of(1, 0, 0, 0));
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "EPERM") throw error;
    }
  }
}
