import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../host/concat.ts";
import { runs } from "../../testing/effort.ts";
import { type Answer, ack, done, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import type { Bytes, Writer } from "../bytes.ts";
import * as c from "../constants.ts";
import { NetlinkError, ProtocolError } from "../errors.ts";
import { type RouteSocket, traceMessages } from "../socket.ts";

const word = (bytes: Bytes, start: number) => bytes.u32[start >> 2]!;
const nothing = (writer: Writer) => void writer.reserve(4);
const payload = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const reply = (to: Pick<Request, "sequence" | "port">, value: number, flags = 0) =>
  message(c.RTM_NEWLINK, flags, to, payload(value));

function get(route: RouteSocket): number {
  return route.get("ip link show eth0", c.RTM_GETLINK, nothing, word);
}

function caught(run: () => unknown): NetlinkError {
  try {
    run();
  } catch (error) {
    if (error instanceof NetlinkError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a request and its ACK", () => {
  it("is sent once, with REQUEST and ACK, our port and a sequence number", () => {
    const kernel = new FakeKernel(([request]) => [{ messages: [ack(request!)] }]);
    const route = kernel.open();
    nothing(route.begin("ip link set 1 up", c.RTM_NEWLINK, c.NLM_F_CREATE));
    route.run();
    expect(kernel.sends).toMatchObject([[{ type: 16, flags: 0x405, sequence: 1, port: kernel.port }]]);
    expect(kernel.port).not.toBe(0);
  });

  it("says who refused what and why, with the kernel's own words", () => {
    const kernel = new FakeKernel(([request]) => [
      { messages: [ack(request!, 22, "Invalid prefix for given prefix length")] },
    ]);
    const route = kernel.open();
    nothing(route.begin("ip route add 10.0.0.1/8", c.RTM_NEWROUTE, 0));
    const error = caught(() => route.run());
    expect(error).toMatchObject({ operation: "ip route add 10.0.0.1/8", errno: 22, code: "EINVAL" });
    expect(error.kernelMessage).toBe("Invalid prefix for given prefix length");
    expect(error.message).toBe("ip route add 10.0.0.1/8: invalid argument (Invalid prefix for given prefix length)");
  });

  it("finds the kernel's words behind the whole request when the kernel cannot cap it", () => {
    const kernel = new FakeKernel(([request]) => {
      const copy = message(24, 5, request!, new Uint8Array(12));
      const words = Uint8Array.from([8, 0, 1, 0, 0x68, 0x69, 0, 0]);
      return [{ messages: [message(2, 0x200, request!, concat([payload(-17 >>> 0), copy, words]))] }];
    });
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWROUTE, 0));
    expect(caught(() => route.run())).toMatchObject({ code: "EEXIST", kernelMessage: "hi" });
  });

  it("works on kernels that know neither extended ACKs nor strict checks", () => {
    const kernel = new FakeKernel(([request]) => [{ messages: [ack(request!)] }]);
    kernel.unknownOptions = [c.NETLINK_EXT_ACK, c.NETLINK_CAP_ACK, c.NETLINK_GET_STRICT_CHK];
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    route.run();
    expect(kernel.sends.length).toBe(1);
  });
});

describe("a batch", () => {
  it("gives each message its own answer, whatever the datagrams they come in", () => {
    const kernel = new FakeKernel(([a, b, d]) => [
      { messages: [ack(a!), ack(b!, 101, "no")] },
      { messages: [ack(d!, 17)] },
    ]);
    const route = kernel.open();
    for (const operation of ["a", "b", "d"]) nothing(route.begin(operation, c.RTM_NEWROUTE, 0));
    const [a, b, d] = route.runEach();
    expect(a).toBeUndefined();
    expect(b).toMatchObject({ operation: "b", code: "ENETUNREACH", kernelMessage: "no" });
    expect(d).toMatchObject({ operation: "d", code: "EEXIST" });
    expect(kernel.sends.length).toBe(1);
  });

  it("asks for the ACK of its last message, and takes those before it that are not refused as done", () => {
    const kernel = new FakeKernel(([, b, d]) => [{ messages: [ack(b!, 17)] }, { messages: [ack(d!)] }]);
    const route = kernel.open();
    for (const operation of ["a", "b", "d"]) nothing(route.begin(operation, c.RTM_NEWROUTE, c.NLM_F_CREATE));
    expect(route.runEach().map((result) => result?.code)).toEqual([undefined, "EEXIST", undefined]);
    const asks = kernel.sends[0]!.map(({ flags }) => flags & (c.NLM_F_REQUEST | c.NLM_F_ACK | c.NLM_F_CREATE));
    const plain = c.NLM_F_REQUEST | c.NLM_F_CREATE;
    expect(asks).toEqual([plain, plain, plain | c.NLM_F_ACK]);
    expect(kernel.waiting).toBe(0);
  });

  it("without an answer to its last message fails, whatever those before it say", () => {
    const kernel = new FakeKernel(([a]) => [{ messages: [ack(a!, 17)] }]);
    const route = kernel.open();
    for (const operation of ["a", "b"]) nothing(route.begin(operation, c.RTM_NEWROUTE, 0));
    expect(caught(() => route.runEach()).code).toBe("ETIMEDOUT");
  });

  it("may end with a question, whose answer ends it", () => {
    const kernel = new FakeKernel(([a, question]) => [
      { messages: [ack(a!, 17)] },
      { messages: [reply(question!, 4711)] },
    ]);
    const route = kernel.open();
    nothing(route.begin("a", c.RTM_NEWLINK, 0));
    nothing(route.beginQuestion("ip link show a", c.RTM_GETLINK));
    const seen: number[] = [];
    const results = route.runEach((_, bytes, start) => seen.push(word(bytes, start)));
    expect(results.map((result) => result?.code)).toEqual(["EEXIST", undefined]);
    expect(seen).toEqual([4711]);
    expect(kernel.sends[0]!.map(({ type, flags }) => [type, flags])).toEqual([
      [c.RTM_NEWLINK, c.NLM_F_REQUEST],
      [c.RTM_GETLINK, c.NLM_F_REQUEST],
    ]);
    expect(kernel.waiting).toBe(0);
  });

  it("ends with the refusal of its question", () => {
    const kernel = new FakeKernel(([, question]) => [{ messages: [ack(question!, 19)] }]);
    const route = kernel.open();
    nothing(route.begin("a", c.RTM_NEWLINK, 0));
    nothing(route.beginQuestion("ip link show a", c.RTM_GETLINK));
    expect(route.runEach().map((result) => result?.message)).toEqual([undefined, "ip link show a: no such device"]);
  });

  it("of 150 messages goes out in three sends, and results stay in order", () => {
    const kernel = new FakeKernel((requests) => [
      { messages: requests.map((r) => ack(r, r.sequence === 100 ? 17 : 0)) },
    ]);
    const route = kernel.open();
    for (let i = 1; i <= 150; i++) nothing(route.begin(`message ${i}`, c.RTM_NEWROUTE, 0));
    const results = route.runEach();
    expect(kernel.sends.map((send) => send.length)).toEqual([64, 64, 22]);
    expect(results.map((result, i) => (result === undefined ? 0 : i + 1)).filter((i) => i > 0)).toEqual([100]);
    expect(results[99]).toMatchObject({ operation: "message 100" });
  });

  it("after a failed one starts from nothing", () => {
    const kernel = new FakeKernel((requests) => [{ messages: requests.map((r) => ack(r, 22)) }]);
    const route = kernel.open();
    nothing(route.begin("a", c.RTM_NEWLINK, 0));
    expect(() => route.run()).toThrow("a: invalid argument");
    nothing(route.begin("b", c.RTM_NEWLINK, 0));
    expect(() => route.run()).toThrow("b: invalid argument");
    expect(kernel.sends.map((send) => send.map((r) => r.sequence))).toEqual([[1], [2]]);
  });

  it("whose first send got no answer is not sent again by what comes after it", () => {
    const kernel = new FakeKernel((requests, nth) => [
      nth === 0 ? { errno: 105 } : { messages: requests.map((r) => ack(r)) },
    ]);
    const route = kernel.open();
    const many = () => {
      for (let i = 1; i <= 65; i++) nothing(route.begin(`message ${i}`, c.RTM_NEWROUTE, 0));
    };
    expect(caught(many).code).toBe("ENOBUFS");
    nothing(route.begin("undo", c.RTM_NEWLINK, 0));
    expect(route.runEach()).toEqual([undefined]);
    expect(kernel.sends.map((send) => send.length)).toEqual([64, 1]);
  });

  it("of nothing sends nothing", () => {
    const kernel = new FakeKernel(() => []);
    expect(kernel.open().runEach()).toEqual([]);
    expect(kernel.sends).toEqual([]);
  });
});

describe("answers that are not for us", () => {
  const foreign: [string, (to: Request) => Answer][] = [
    ["another sequence number", (to) => ({ messages: [ack({ ...to, sequence: to.sequence + 1 }, 1)] })],
    ["an older sequence number", (to) => ({ messages: [ack({ ...to, sequence: to.sequence - 1 }, 1)] })],
    ["another port", (to) => ({ messages: [ack({ ...to, port: to.port + 1 }, 1)] })],
    ["a sender that is not the kernel", (to) => ({ messages: [ack(to, 1)], sender: 999 })],
    ["NLMSG_NOOP", (to) => ({ messages: [message(c.NLMSG_NOOP, 0, to, payload(1))] })],
    ["NLMSG_OVERRUN", (to) => ({ messages: [message(c.NLMSG_OVERRUN, 0, to, payload(1))] })],
  ];
  for (const [what, answer] of foreign) {
    it(`${what}: dropped, the right one counts`, () => {
      const kernel = new FakeKernel(([request]) => [answer(request!), { messages: [ack(request!)] }]);
      const route = kernel.open();
      nothing(route.begin("x", c.RTM_NEWLINK, 0));
      route.run();
    });

    it(`${what}: alone is no answer`, () => {
      const kernel = new FakeKernel(([request]) => [answer(request!)]);
      const route = kernel.open();
      nothing(route.begin("x", c.RTM_NEWLINK, 0));
      expect(caught(() => route.run()).code).toBe("ETIMEDOUT");
    });
  }

  it("an ACK given twice does not answer for the next message", () => {
    const kernel = new FakeKernel(([a, b]) => [{ messages: [ack(a!), ack(a!, 1)] }, { messages: [ack(b!, 17)] }]);
    const route = kernel.open();
    for (const operation of ["a", "b"]) nothing(route.begin(operation, c.RTM_NEWLINK, 0));
    expect(route.runEach().map((result) => result?.code)).toEqual([undefined, "EEXIST"]);
  });

  it("no mistaken ACK in any mixture of them", () => {
    const noise = fc.array(fc.constantFrom(...foreign.map(([, answer]) => answer)), { maxLength: 6 });
    fc.assert(
      fc.property(noise, noise, fc.constantFrom(0, 17), (before, between, errno) => {
        // The first request gets no answer of its own; numbers one more or one less hit the other one's.
        const kernel = new FakeKernel(([a, b]) => [
          ...before.map((answer) => answer(a!)),
          ...between.map((answer) => answer(b!)),
          { messages: [ack(b!, errno)] },
        ]);
        const route = kernel.open();
        nothing(route.begin("a", c.RTM_NEWLINK, 0));
        nothing(route.begin("b", c.RTM_NEWLINK, 0));
        const results = route.runEach();
        // What answers the last one ends the batch.
        const ended = before.includes(foreign[0]![1]);
        const previous = !ended && between.includes(foreign[1]![1]) ? 1 : 0;
        expect(results.map((result) => result?.errno ?? 0)).toEqual([previous, ended ? 1 : errno]);
      }),
    );
  });

  it("any bytes end in a NetlinkError or in no answer", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }), (datagrams) => {
        const kernel = new FakeKernel(() => datagrams.map((data) => ({ messages: [data] })));
        const route = kernel.open();
        nothing(route.begin("x", c.RTM_NEWLINK, 0));
        expect(caught(() => route.run())).toBeInstanceOf(NetlinkError);
      }),
      runs(2000),
    );
  });
});

describe("find", () => {
  const find = (errno: number) => {
    const route = new FakeKernel(([request]) => [{ messages: [ack(request!, errno)] }]).open();
    return route.find("ip link show eth0", c.RTM_GETLINK, nothing, word, [19, 34]);
  };

  it("returns nothing for the refusals that say that there is none, and throws the others", () => {
    expect([find(19), find(34)]).toEqual([undefined, undefined]);
    expect(caught(() => find(1)).code).toBe("EPERM");
    expect(caught(() => find(0)).code).toBe("EPROTO");
  });
});

describe("errors of send and recv", () => {
  it("a thousand EINTRs are waited out, on both", () => {
    const interruptions = Array.from({ length: 1000 }, (): Answer => ({ errno: 4 }));
    const kernel = new FakeKernel(([request]) => [...interruptions, { messages: [ack(request!)] }]);
    kernel.sendErrors.push(...Array.from({ length: 1000 }, () => 4));
    kernel.tick = 1;
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    route.run();
    expect(kernel.sends.length).toBe(1);
  });

  it("EINTR for ever ends at the deadline", () => {
    const kernel = new FakeKernel(() => Array<Answer>(10_000).fill({ errno: 4 }));
    kernel.tick = 10;
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    expect(caught(() => route.run()).code).toBe("ETIMEDOUT");
  });

  it("ENOBUFS on send: nothing was executed, sent again three times at most", () => {
    const kernel = new FakeKernel(([request]) => [{ messages: [ack(request!)] }]);
    kernel.sendErrors.push(105, 12);
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    route.run();
    kernel.sendErrors.push(105, 105, 105);
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    expect(caught(() => route.run()).code).toBe("ENOBUFS");
    expect(kernel.sends.length).toBe(1);
  });

  it("ENOBUFS on recv: a change is never repeated blindly", () => {
    const kernel = new FakeKernel(() => [{ errno: 105 }]);
    const route = kernel.open();
    nothing(route.begin("ip link add", c.RTM_NEWLINK, 0));
    expect(caught(() => route.run())).toMatchObject({ code: "ENOBUFS", operation: "ip link add" });
    expect(kernel.sends.length).toBe(1);
  });

  it("ENOBUFS on recv: a question is asked again", () => {
    const kernel = new FakeKernel(([request], nth) =>
      nth < 2 ? [{ errno: 105 }] : [{ messages: [reply(request!, 7)] }],
    );
    expect(get(kernel.open())).toBe(7);
    expect(kernel.sends.length).toBe(3);
  });

  it("ENOBUFS on recv for ever: five questions", () => {
    const kernel = new FakeKernel(() => [{ errno: 105 }]);
    expect(caught(() => get(kernel.open())).code).toBe("ENOBUFS");
    expect(kernel.sends.length).toBe(5);
  });

  it("a flood of answers to others ends at the deadline", () => {
    const kernel = new FakeKernel(([request]) => {
      const other = { messages: [ack({ ...request!, port: 1 })] };
      return Array.from({ length: 19_000 }, (): Answer => other);
    });
    kernel.tick = 100;
    const route = kernel.open();
    nothing(route.begin("x", c.RTM_NEWLINK, 0));
    expect(caught(() => route.run()).message).toContain("no reply from the kernel within 10000 ms");
    expect(kernel.buffers.length).toBeLessThan(2000);
  });

  it("no answer at all is an error, not a hang", () => {
    expect(caught(() => get(new FakeKernel(() => []).open())).code).toBe("ETIMEDOUT");
  });
});

describe("GET", () => {
  it("refused: the kernel's errno", () => {
    const kernel = new FakeKernel(([request]) => [{ messages: [ack(request!, 19)] }]);
    expect(caught(() => get(kernel.open()))).toMatchObject({ code: "ENODEV", operation: "ip link show eth0" });
  });

  it("an answer larger than the buffer is asked for again with a larger one", () => {
    const big = new Uint8Array(100_000);
    big.set(payload(9));
    const kernel = new FakeKernel(([request]) => [{ messages: [message(c.RTM_NEWLINK, 0, request!, big)] }]);
    const route = kernel.open();
    expect(get(route)).toBe(9);
    const sizes = kernel.buffers.slice();
    expect(sizes[0]).toBeGreaterThanOrEqual(32768);
    expect(sizes.at(-1)).toBeGreaterThan(100_000);
    // The kernel fills a dump up to the largest buffer it ever saw: it never becomes smaller.
    get(route);
    expect(kernel.buffers.slice(sizes.length).every((size) => size === sizes.at(-1))).toBe(true);
  });

  it("half a message is a ProtocolError", () => {
    const kernel = new FakeKernel(([request]) => [{ messages: [reply(request!, 7).subarray(0, 18)] }]);
    expect(caught(() => get(kernel.open()))).toBeInstanceOf(ProtocolError);
  });
});

describe("a dump", () => {
  const dump = (route: RouteSocket) => route.dump("ip link show", c.RTM_GETLINK, nothing, word);
  const multi = (to: Request, value: number, flags = 0) => reply(to, value, c.NLM_F_MULTI | flags);

  it("is read to its end, over several datagrams", () => {
    const kernel = new FakeKernel(([r]) => [
      { messages: [multi(r!, 1), multi(r!, 2)] },
      { messages: [multi(r!, 3), done(r!)] },
    ]);
    expect(dump(kernel.open())).toEqual({ items: [1, 2, 3], complete: true });
    expect(kernel.sends[0]![0]!.flags).toBe(0x301);
  });

  it("larger than the buffer is read to its end before it is asked for again", () => {
    const big = new Uint8Array(1_000_000);
    const kernel: FakeKernel = new FakeKernel(([r]) => {
      if (kernel.waiting > 0) return [{ messages: [ack(r!, 16)] }];
      return [{ messages: [message(c.RTM_NEWLINK, c.NLM_F_MULTI, r!, big)] }, { messages: [multi(r!, 2), done(r!)] }];
    });
    expect(dump(kernel.open()).items).toEqual([0, 2]);
  });

  it("interrupted, even if only its last message says so, is done again", () => {
    for (const where of ["item", "end"]) {
      const kernel = new FakeKernel(([r], nth) => {
        const flag = nth < 3 ? c.NLM_F_DUMP_INTR : 0;
        return [{ messages: [multi(r!, nth, where === "item" ? flag : 0), done(r!, where === "end" ? flag : 0)] }];
      });
      expect(dump(kernel.open())).toEqual({ items: [3], complete: true });
    }
  });

  it("interrupted five times gives what there is and says that it is not complete", () => {
    const kernel = new FakeKernel(([r], nth) => [{ messages: [multi(r!, nth, c.NLM_F_DUMP_INTR), done(r!)] }]);
    expect(dump(kernel.open())).toEqual({ items: [4], complete: false });
    expect(kernel.sends.length).toBe(5);
  });

  it("truncated is done again: what was lost is not missed silently", () => {
    const kernel = new FakeKernel(([r], nth) => [
      { messages: [multi(r!, 1)], truncated: nth === 0 },
      { messages: [multi(r!, 2), done(r!)] },
    ]);
    expect(dump(kernel.open())).toEqual({ items: [1, 2], complete: true });
  });

  it("that the kernel breaks off with an error in its last message is an error", () => {
    const kernel = new FakeKernel(([r]) => [{ messages: [multi(r!, 1), message(3, 2, r!, payload(-90 >>> 0))] }]);
    expect(caught(() => dump(kernel.open())).code).toBe("EMSGSIZE");
  });

  it("without end stops at a bound", () => {
    const kernel = new FakeKernel(([r]) => Array<Answer>(21_000).fill({ messages: [multi(r!, 1)] }));
    expect(caught(() => dump(kernel.open())).code).toBe("ETIMEDOUT");
  });
});

it("the trace sees every message sent and received, once", () => {
  const seen: string[] = [];
  traceMessages((direction, data) => seen.push(`${direction} ${data.length}`));
  try {
    const kernel = new FakeKernel((requests) => [{ messages: requests.map((request) => ack(request)) }]);
    const route = kernel.open();
    nothing(route.begin("a", c.RTM_NEWLINK, 0));
    nothing(route.begin("b", c.RTM_NEWLINK, 0));
    route.run();
    expect(seen).toEqual(["send 20", "send 20", "recv 36", "recv 36"]);
  } finally {
    traceMessages(undefined);
  }
});

// Last, because it makes the buffer that all sockets share as large as it gets.
it("an answer that is always truncated ends in an error", () => {
  const kernel = new FakeKernel(([request]) => [{ messages: [reply(request!, 7)], truncated: true }]);
  expect(caught(() => get(kernel.open())).code).toBe("EMSGSIZE");
});
