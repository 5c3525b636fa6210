// What an earlier attachment has of a device must have ended before the next ADD takes it.
import { beforeAll, expect, test } from "vitest";
import type { NetNs } from "../../link/namespace.ts";
import { bootId, type RecordKey } from "../../state/record.ts";
import { enterSandbox } from "../../testing/sandbox.ts";
import { endClaims } from "./claim.ts";
import type { Outcome } from "./give-back.ts";
import { homeOf, type Lender, type LoanData } from "./lender.ts";

let host: NetNs;
beforeAll(() => {
  host = enterSandbox().own;
});

const key = (containerId: string): RecordKey => ({ network: "net", containerId, ifName: "eth0" });
const data: LoanData = { netns: { path: "/run/netns/gone", dev: 1, ino: 1 } };

/** One device, which the attachment `earlier` had. */
const lender = {
  plugin: "lender",
  store: () => {
    const record = { key: key("earlier"), data, bootId: bootId(), home: homeOf(host) };
    return { list: () => [record], read: () => record };
  },
  loanOf: () => ({ pci: "", name: "the card", held: "the card is held by" }),
  whileReturning: (_: RecordKey, body: () => unknown) => body(),
  restore: () => {},
} as unknown as Lender<LoanData>;

const end = (outcome: Outcome) =>
  endClaims(
    lender,
    key("next"),
    "/run/netns/next",
    () => true,
    () => outcome,
  );

test.each(["home", "lost", "past"] as const)("%s: the device is free", (outcome) => {
  expect(end(outcome)).toBe(true);
});

test("hidden: it is not, and ADD says so", () => {
  expect(() => end("hidden")).toThrow("the card is in a namespace that podnic cannot see");
});
