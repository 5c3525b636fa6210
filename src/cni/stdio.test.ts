// Reading stdin and writing stdout in parts, as pipes deliver and accept data.
import { afterEach, expect, it } from "vitest";
import { type Fd, installHost, type PollFd, SystemError } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { readAll, readWithin, writeAll } from "./stdio.ts";

type Step = Uint8Array | "EAGAIN" | "EISDIR";

/** stdin delivers `steps`, and is then at its end or, with `isOpen`, stays open without more data. Only poll advances the clock. */
class Pipes extends NodeHost {
  asked: number[] = [];
  polls: number[] = [];
  written = "";
  clock = 0;
  /** True if write(2) fails with EPIPE. */
  broken = false;
  readonly steps: Step[];
  readonly isOpen: boolean;

  constructor(steps: Step[], isOpen = false) {
    super();
    this.steps = [...steps];
    this.isOpen = isOpen;
    installHost(this);
  }

  override read(_fd: Fd, max: number): Uint8Array {
    this.asked.push(max);
    const step = this.steps.shift() ?? new Uint8Array();
    if (typeof step === "string") throw new SystemError("read", step === "EAGAIN" ? 11 : 21, step, step);
    if (step.length > max) this.steps.unshift(step.subarray(max));
    return step.subarray(0, max);
  }

  /** Accepts two bytes at a time. At every second call, the pipe is full. */
  override write(_fd: Fd, data: Uint8Array): number {
    if (this.broken) throw new SystemError("write", 32, "EPIPE", "broken");
    if (this.asked.push(data.length) % 2 === 0) throw new SystemError("write", 11, "EAGAIN", "full");
    this.written += new TextDecoder().decode(data.subarray(0, 2));
    return Math.min(2, data.length);
  }

  override poll(fds: PollFd[], timeout: number): Fd[] {
    if (this.polls.push(timeout) > 20) throw new Error("polls without end");
    if (this.steps.length === 0 && this.isOpen && timeout >= 0) {
      this.clock += timeout;
      return [];
    }
    this.clock += 3;
    return fds.map(({ fd }) => fd);
  }

  override monotonic(): number {
    return this.clock;
  }
}

afterEach(() => installHost(new NodeHost()));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string | undefined => data && new TextDecoder().decode(data);

it("reads to the end, whatever the pieces, and waits where nothing is there yet", () => {
  const pipes = new Pipes([bytes("ab"), "EAGAIN", bytes("c"), bytes("def")]);
  expect(text(readAll(6))).toBe("abcdef");
  expect(pipes.polls).toEqual([-1]);
});

it("asks for one byte more than the limit, and no more", () => {
  const pipes = new Pipes([bytes("abc"), bytes("defg")]);
  expect(readAll(6)).toBeUndefined();
  expect(pipes.asked).toEqual([7, 4]);
});

it("an error other than 'not yet' is thrown", () => {
  new Pipes(["EISDIR"]);
  expect(() => readAll(6)).toThrow(SystemError);
});

it("within a time: takes what there is, up to the limit", () => {
  const pipes = new Pipes([bytes("abc"), bytes("defg")], true);
  expect(text(readWithin(100, 5))).toBe("abcde");
  expect(pipes.asked).toEqual([5, 2]);
});

it("within a time: stops at the end, or when the time is over, which is counted from the start", () => {
  const ended = new Pipes([bytes("abc")]);
  expect(text(readWithin(100, 50))).toBe("abc");
  expect(ended.polls).toEqual([100, 97]);
  const open = new Pipes([bytes("abc")], true);
  expect(text(readWithin(100, 50))).toBe("abc");
  expect([open.polls, open.clock]).toEqual([[100, 97], 100]);
});

it("within a time: what cannot be read is as good as empty", () => {
  new Pipes([bytes("a"), "EISDIR"]);
  expect(text(readWithin(100, 50))).toBe("a");
});

it("writes all of it, and waits for a slow reader, but not for ever", () => {
  const pipes = new Pipes([], false);
  writeAll(1, "result");
  expect(pipes.written).toBe("result");
  expect(pipes.polls).toEqual([5_000, 5_000]);
  const stuck = new Pipes([], true);
  expect(() => writeAll(1, "result")).toThrow("full");
  expect(stuck.written).toBe("re");
  const broken = new Pipes([]);
  broken.broken = true;
  expect(() => writeAll(1, "result")).toThrow("broken");
  expect(broken.polls).toEqual([]);
});
