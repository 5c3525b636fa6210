// Transactions and the kernel's answers. Each change gets an ACK; the transaction itself gets one only if it is refused as a whole.
import { describe, expect, it } from "vitest";
import { Writer } from "../../netlink/bytes.ts";
import { type Answer, ack, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import { ruleAttributes, writeHeader } from "../message.ts";
import { NftSocket } from "../socket.ts";

const ERESTART = 85;
const EOPNOTSUPP = 95;
const EEXIST = 17;
const PLACE = { family: 1, table: "t" };

function open(answer: (requests: Request[], nth: number) => Answer[]): { nft: NftSocket; kernel: FakeKernel } {
  const kernel = new FakeKernel(answer);
  kernel.open();
  return { nft: NftSocket.open(), kernel };
}

/** Prepares a transaction with two rules, and returns a function that commits it. */
function twoRules(nft: NftSocket): () => number[] {
  nft.start(7);
  for (const chain of ["a", "b"]) nft.addRule(1, { table: "t", chain, expressions: [] }, true);
  return () => nft.commit();
}

/** The NEWRULE message that the kernel sends back because of NLM_F_ECHO. */
function echo(to: Request, handle: number): Uint8Array {
  const writer = new Writer(64);
  writeHeader(writer, 1);
  ruleAttributes.write(writer, { table: "t", chain: "a", handle });
  return message(0x0a06, 0, to, writer.written());
}

describe("a transaction", () => {
  it("is one send, whose frame asks for no ACK, and gives the handles", () => {
    const { nft, kernel } = open(([, a, b]) => [
      { messages: [echo(a!, 5), echo(b!, 6)] },
      { messages: [ack(a!), ack(b!)] },
    ]);
    expect(twoRules(nft)()).toEqual([5, 6]);
    expect(kernel.sends.map((send) => send.map(({ type, flags }) => [type, flags & 4]))).toEqual([
      [
        [16, 0],
        [0x0a06, 4],
        [0x0a06, 4],
        [17, 0],
      ],
    ]);
  });

  it("that is refused as a whole ends at once, with the reason", () => {
    for (const errno of [ERESTART, EOPNOTSUPP]) {
      const { nft } = open(([begin]) => [{ messages: [ack(begin!, errno)] }]);
      expect(twoRules(nft)).toThrow(expect.objectContaining({ errno, operation: "nft transaction" }));
    }
  });

  it("that fails at its end fails, although each change has its ACK; the next one is not taken for it", () => {
    const { nft } = open(([begin, a, b], nth) => [
      { messages: [...(nth === 0 ? [ack(begin!, ERESTART)] : []), ack(a!), ack(b!)] },
    ]);
    expect(twoRules(nft)).toThrow(expect.objectContaining({ errno: ERESTART }));
    expect(twoRules(nft)()).toEqual([]);
  });

  it("throws the refusal of a change, after all have answered", () => {
    const { nft } = open(([, a, b], nth) => [{ messages: [ack(a!), ack(b!, nth === 0 ? EEXIST : 0, "why")] }]);
    expect(twoRules(nft)).toThrow(
      expect.objectContaining({ errno: EEXIST, operation: "nft add rule t b", kernelMessage: "why" }),
    );
    expect(twoRules(nft)()).toEqual([]);
  });

  it("that is rehearsed has no end", () => {
    const { nft, kernel } = open(([, ...changes]) => [{ messages: changes.map((change) => ack(change)) }]);
    nft.start();
    nft.deleteRule(PLACE, "a");
    nft.rehearse();
    expect(kernel.sends[0]!.map(({ type }) => type)).toEqual([16, 0x0a08]);
  });

  it("of a hundred changes is not cut in pieces", () => {
    const { nft, kernel } = open(([, ...rest]) => [{ messages: rest.slice(0, -1).map((change) => ack(change)) }]);
    nft.start();
    for (let handle = 1; handle <= 100; handle++) nft.deleteRule(PLACE, "a", handle);
    nft.commit();
    expect(kernel.sends.map((send) => send.length)).toEqual([102]);
  });
});
