// Whose a device is that comes back, and which interface it is: two plugins may have written it down, and a process of the pod may move it meanwhile.
import { readdirSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import { type NetNs, openNamespace } from "../../link/namespace.ts";
import { named } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { RTM_NEWLINK } from "../../netlink/constants.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { bootId, type RecordKey } from "../../state/record.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { requireUnclaimed } from "./function.ts";
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

const key = (): RecordKey => ({ network: "net", containerId: pods[0], ifName: "eth0" });

test("a function without interface that another call has given back while this one waited for the card's lock is left alone", () => {
  const done: string[] = [];
  const mine = lender("one", pods[0], CARD, identify(home, getLink(home.route, "d0")!));
  const [record] = mine.store().list();
  let reads = 0;
  Object.assign(mine, {
    store: () => ({ read: () => (reads++ === 0 ? record : undefined), remove: () => done.push("remove") }),
    loanOf: () => ({ saved: undefined, pci: CARD, name: "the card" }),
    restore: () => done.push("restore"),
  });
  registerLenders([mine]);
  expect(giveBack(mine, key(), `/run/netns/${pods[0]}`)).toBe("none");
  expect(done).toEqual([]);
});

test("ADD waits for a card that the kernel is still taking out of the namespace of another plugin's pod", () => {
  const saved = identify(home, getLink(home.route, "d0")!);
  const theirs = lender("other", pods[1], CARD, saved);
  const [plugged] = readdirSync("/sys/bus/platform/devices");
  let looks = 0;
  Object.assign(theirs, {
    loanOf: () => {
      const hidden = { ...saved, kind: "", parentDevice: plugged, permanentMac: "02:00:00:00:00:99" };
      return { saved: ++looks < 12 ? hidden : saved, pci: CARD, name: "the card", held: "the card is held by" };
    },
  });
  const own = lender("one", pods[0], CARD, saved);
  registerLenders([own, theirs]);
  sh(`ip netns del ${pods[1]}; ip netns add ${pods[1]}`);
  requireUnclaimed(own, CARD);
  expect(looks).toBeGreaterThan(12);
});

test("what takes its place, once it was seen to have come back, is not restored", () => {
  const { mark: _, ...saved } = identify(home, getLink(home.route, "d0")!);
  const restored: unknown[] = [];
  const mine = lender("one", pods[0], "", saved);
  const { store, loanOf } = mine;
  // The search asks for all records before it looks, and the next to be read is that of the look after it.
  const steps = [
    `ip -n ${pods[1]} link set d0 netns ${pods[0]} name eth0`,
    `ip -n ${pods[0]} link set eth0 netns ${pods[1]} name d0; ip -n ${pods[0]} link add eth0 type veth`,
  ];
  let isSearching = false;
  const step = (): void => {
    const next = steps.shift();
    if (next !== undefined) sh(next);
  };
  Object.assign(mine, {
    store: () => ({
      ...store(),
      list() {
        if (!isSearching) step();
        isSearching = true;
        return store().list();
      },
    }),
    loanOf(data: LoanData) {
      if (isSearching) step();
      return loanOf(data);
    },
    restore: (_data: LoanData, returned: unknown) => restored.push(returned),
  });
  registerLenders([mine]);
  sh(`ip link set d0 netns ${pods[1]}`);
  expect(() => giveBack(mine, key(), `/run/netns/${pods[0]}`)).toThrow("cannot tell whether");
  expect(steps).toEqual([]);
  expect(restored).toEqual([]);
});

test("a device that has come to the host, and can be neither set up nor moved back, is not called moving", () => {
  const mine = lender("one", pods[0], "", identify(home, getLink(home.route, "d0")!));
  registerLenders([mine]);
  sh(`ip link set d0 netns ${pods[0]} name eth0`);
  // It is not found under its name then, and the pod has others of both names for the way back.
  const meanwhile = `ip link set d0 name d9; ip -n ${pods[0]} link add eth0 type veth peer name d9`;
  let state: "before" | "moving" | "moved" = "before";
  traceMessages((direction, message) => {
    if (state === "moving" && direction === "recv") {
      state = "moved";
      sh(meanwhile);
    }
    if (state === "before" && direction === "send" && Bytes.from(message).u16[2] === RTM_NEWLINK) state = "moving";
  });
  try {
    expect(() => giveBack(mine, key(), `/run/netns/${pods[0]}`)).toThrow("d0 disappeared");
  } finally {
    traceMessages(undefined);
  }
});
