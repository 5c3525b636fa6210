// Questions that are written once and asked in one send, to a kernel that answers as it is told.
import { describe, expect, it } from "vitest";
import { type Answer, ack, done, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import * as c from "../constants.ts";
import { QuestionWriter } from "../questions.ts";
import type { RouteSocket } from "../socket.ts";

const LINK = 1 << 8;
const payload = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);
const says = (to: Request, value: number, flags = 0): Answer => ({
  messages: [message(c.RTM_NEWLINK, flags, to, payload(value))],
});

function written() {
  const questions = new QuestionWriter("look");
  for (const [n, flags] of [0, 0, c.NLM_F_DUMP].entries()) {
    const writer = questions.begin(LINK + n, flags);
    const at = writer.reserve(4 * (n + 1));
    writer.u32[at >> 2] = 100 + n;
  }
  return questions.written();
}
const QUESTIONS = written();

/** What is seen, and whether that is all. */
function ask(route: RouteSocket): [seen: [number, number][], isWhole: boolean] {
  const seen: [number, number][] = [];
  const isWhole = route.ask(QUESTIONS, (which, bytes, start) => seen.push([which, bytes.u32[start >> 2]!]));
  return [seen, isWhole];
}

const replaced = (answers: Answer[], at: number, by: Answer) => answers.map((answer, n) => (n === at ? by : answer));

const whole = (requests: Request[]): Answer[] => [
  says(requests[0]!, 1),
  says(requests[1]!, 2),
  says(requests[2]!, 3, c.NLM_F_MULTI),
  says(requests[2]!, 4, c.NLM_F_MULTI),
  { messages: [done(requests[2]!)] },
];

describe("ask", () => {
  it("sends them together, each with its number, and tells which an answer is for", () => {
    const kernel = new FakeKernel(whole);
    const route = kernel.open();
    expect(ask(route)).toEqual([
      [
        [0, 1],
        [1, 2],
        [2, 3],
        [2, 4],
      ],
      true,
    ]);
    ask(route);
    const { port } = kernel;
    const sent = kernel.sends.map((requests) => requests.map((one) => [one.type, one.flags, one.sequence, one.port]));
    const flags = [c.NLM_F_REQUEST, c.NLM_F_REQUEST, c.NLM_F_REQUEST | c.NLM_F_DUMP];
    expect(sent).toEqual([0, 3].map((first) => flags.map((flag, n) => [LINK + n, flag, first + n + 1, port])));
    expect(kernel.sends[0]!.map((one) => [one.payload.length, one.payload[0]])).toEqual([
      [4, 100],
      [8, 101],
      [12, 102],
    ]);
  });

  it("is not whole when one is refused, and leaves no answer for who asks next", () => {
    for (const refused of [0, 1, 2]) {
      const kernel = new FakeKernel((requests, nth) => {
        if (nth > 0) return [says(requests[0]!, 7)];
        const answers = whole(requests);
        return refused === 2
          ? [...answers.slice(0, 2), { messages: [ack(requests[2]!, 2)] }]
          : replaced(answers, refused, { messages: [ack(requests[refused]!, 2)] });
      });
      const route = kernel.open();
      expect(ask(route)[1]).toBe(false);
      expect(kernel.waiting).toBe(0);
      const write = (writer: { reserve(size: number): number }) => void writer.reserve(4);
      expect(route.get("x", c.RTM_GETLINK, write, (bytes, start) => bytes.u32[start >> 2])).toBe(7);
    }
  });

  it("is not whole when the dump was interrupted, or an answer is lost", () => {
    const interrupted = new FakeKernel((requests) =>
      replaced(whole(requests), 3, says(requests[2]!, 4, c.NLM_F_MULTI | c.NLM_F_DUMP_INTR)),
    );
    expect(ask(interrupted.open())[1]).toBe(false);
    const lost = new FakeKernel((requests) => replaced(whole(requests), 1, { errno: 105 }));
    expect(ask(lost.open())[1]).toBe(false);
    expect(lost.waiting).toBe(0);
  });
});
