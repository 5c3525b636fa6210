import fc from "fast-check";
import { expect, test } from "vitest";
import { Failure } from "../errors.ts";
import { parseArgs } from "./args.ts";

const known = ["MAC", "IP"];
const strict = (text: string) => parseArgs(text, known, true);

function refusal(text: string): Failure {
  try {
    strict(text);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

test.each([
  ["", undefined],
  ["MAC=02:00:00:00:00:11", "02:00:00:00:00:11"],
  ["A=B;IgnoreUnknown=1;MAC=x", "x"],
  ["IgnoreUnknown=TRUE;K8S_POD_UID=;MAC=x", "x"],
  ["IgnoreUnknown=1;A=B=C;MAC=a=b", "a=b"],
  ["MAC=x;", "x"],
  [";;MAC=x;;", "x"],
  ["MAC=x;MAC=y", "y"],
  ["MAC=", ""],
  ["IgnoreUnknown=1;mac=x", undefined],
])("%j has MAC %j", (text, mac) => {
  expect(strict(text).get("MAC")).toBe(mac);
});

test.each([
  ["A=B", 'ARGS: unknown args ["A=B"]'],
  ["mac=x", 'ARGS: unknown args ["mac=x"]'],
  ["ignoreunknown=1;A=B", "ARGS: unknown args"],
  ["IgnoreUnknown=0;A=B", "ARGS: unknown args"],
  ["A", 'ARGS: invalid pair "A"'],
  ["IgnoreUnknown=2", "boolean unmarshal error: invalid input 2"],
  ["IgnoreUnknown=", "boolean unmarshal error"],
])("%j is refused on ADD and passed over on DEL", (text, message) => {
  const error = refusal(text);
  expect(error.kind).toBe("invalid environment");
  expect(error.message).toContain(message);
  expect(error.details).toContain("CNI_ARGS");
  expect(parseArgs(`${text};MAC=x`, known, false).get("MAC")).toBe("x");
});

test("a plugin that knows no key ignores all of it", () => {
  expect(parseArgs("A;IgnoreUnknown=2;B=C", [], true).get("A")).toBeUndefined();
});

test("IgnoreUnknown works in any position", () => {
  const pairs = ["IgnoreUnknown=1", "K8S_POD_NAME=x", "K8S_POD_UID=", "IP=192.0.2.1", "MAC=m"];
  fc.assert(
    fc.property(fc.shuffledSubarray(pairs, { minLength: pairs.length }), (order) => {
      const args = strict(order.join(";"));
      expect([args.get("IP"), args.get("MAC"), args.get("K8S_POD_NAME")]).toEqual(["192.0.2.1", "m", undefined]);
    }),
  );
});

test("a value of 100,000 bytes is fine", () => {
  expect(strict(`IgnoreUnknown=1;x=${"y".repeat(100_000)};IP=a`).get("IP")).toBe("a");
});
