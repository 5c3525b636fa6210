// Two plugins have written down one device: an ADD that fails must not take it from the pod of the one that succeeded.
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import { type NetNs, openNamespace } from "../../link/namespace.ts";
import { named } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { bootId, type RecordKey } from "../../state/record.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { giveBack } from "./give-back.ts";
import { homeOf, type Lender, type LoanData, registerLenders } from "./lender.ts";

const CARD = "0000:01:10.0";
let home: NetNs;
let count = 0;
let pods: [string, string];

beforeAll(() => {
  home = enterSandbox().own;
});

beforeEach(() => {
  count++;
  pods = [`mine${count}`, `theirs${count}`];
  for (const pod of pods) sh(`ip netns add ${pod}`);
  sh("ip link add d0 type veth peer name p0");
});

afterEach(() => {
  registerLenders([]);
  sh(`ip link del p0; for pod in ${pods.join(" ")}; do ip netns del $pod; done`);
});

function lender(plugin: string, pod: string, pci: string, saved: LinkSnapshot): Lender<LoanData> {
  const path = `/run/netns/${pod}`;
  const key: RecordKey = { network: "net", containerId: pod, ifName: "eth0" };
  const data: LoanData = { netns: named(openNamespace(path)!, path) };
  const record = { key, data, bootId: bootId(), home: homeOf(home) };
  return {
    plugin,
    store: () => ({ list: () => [record], read: () => record, remove: () => {} }),
    loanOf: () => ({ saved, pci, name: "the card", held: "the card is held by" }),
    whileReturning: (_: RecordKey, body: () => unknown) => body(),
    lockOf: () => undefined,
    restore: () => {},
  } as unknown as Lender<LoanData>;
}

/** The device is in the pod that the other plugin gave it to. */
function giveBackMine(theirCard: string): string {
  const saved = identify(home, getLink(home.route, "d0")!);
  const mine = lender("one", pods[0], CARD, saved);
  registerLenders([mine, lender("other", pods[1], theirCard, saved)]);
  sh(`ip link set d0 netns ${pods[1]} name eth0`);
  return giveBack(mine, { network: "net", containerId: pods[0], ifName: "eth0" }, `/run/netns/${pods[0]}`);
}

test("a device that another attachment has by its own record stays in its pod", () => {
  expect(giveBackMine(CARD)).toBe("another's");
  expect(sh(`ip -n ${pods[1]} -o link show eth0`)).toContain("eth0");
});

test("a device that its pod moved into the pod of another device comes home", () => {
  expect(giveBackMine("0000:01:10.2")).toBe("home");
  expect(sh("ip -o link show d0")).toContain("d0");
});
