// What a pod can make last is not done under a lock for which other attachments wait.
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { host } from "../../host/host.ts";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import { type NetNs, openNamespace } from "../../link/namespace.ts";
import { named } from "../../link/return.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { RTM_DELLINK } from "../../netlink/constants.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { bootId, type RecordKey } from "../../state/record.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { endClaims } from "./claim.ts";
import { giveBackInTime } from "./give-back.ts";
import { homeOf, type Lender, type LoanData } from "./lender.ts";
import { leavingLocks, outside } from "./outside.ts";

let home: NetNs;
let count = 0;
/** Each test has its own: a namespace stays open under its path. */
let pod = "";
let away = "";
const key: RecordKey = { network: "net", containerId: "c", ifName: "eth0" };
let isLocked = false;
/** What was done, and whether the lock was held then. */
let done: string[] = [];
const note = (what: string): void => {
  const line = `${what}${isLocked ? ", locked" : ""}`;
  if (done.at(-1) !== line) done.push(line);
};
const { open } = host;

beforeAll(() => {
  home = enterSandbox().own;
});

beforeEach(() => {
  count++;
  [pod, away] = [`pod${count}`, `away${count}`];
  sh(`ip netns add ${pod}; ip netns add ${away}; ip link add d0 type veth peer name p0; ip link set d0 up`);
  done = [];
  host.open = (path, ...rest) => {
    if (path === "/proc") note("search");
    return open.call(host, path, ...rest);
  };
  traceMessages((direction, message) => {
    if (direction === "send" && Bytes.from(message).u16[2] === RTM_DELLINK) note("removal");
  });
});

afterEach(() => {
  traceMessages(undefined);
  host.open = open;
  sh(`for link in d0 p0; do ip link del $link 2>/dev/null || true; done
  for pod in ${pod} ${away}; do ip netns del $pod 2>/dev/null || true; done`);
});

function locked<T>(body: () => T): T {
  isLocked = true;
  try {
    return body();
  } finally {
    isLocked = false;
  }
}

/** A device that is lent to the pod. */
function lend(): Lender<LoanData> {
  const saved = identify(home, getLink(home.route, "d0")!);
  const path = `/run/netns/${pod}`;
  const data: LoanData = { netns: named(openNamespace(path)!, path) };
  const record = { key, data, bootId: bootId(), home: homeOf(home) };
  let isThere = true;
  sh(`ip link set d0 netns ${pod} name eth0`);
  return {
    plugin: "mine",
    store: () => ({
      list: () => (isThere ? [record] : []),
      read: () => (isThere ? record : undefined),
      remove() {
        isThere = false;
      },
      unreadable: () => undefined,
    }),
    loanOf: () => ({ saved, pci: "", name: "d0", held: "d0 is held by" }),
    whileReturning: (_: RecordKey, body: () => unknown) => locked(body),
    lockOf: () => undefined,
    restore: () => note("restored"),
  } as unknown as Lender<LoanData>;
}

const returned = (lender: Lender<LoanData>): string => giveBackInTime(lender, key, `/run/netns/${pod}`);

test("DEL looks for a device that is gone", () => {
  const mine = lend();
  sh(`ip -n ${pod} link del eth0`);
  expect(returned(mine)).toBe("lost");
  expect(done).toEqual(["search", "restored, locked"]);
});

test("DEL looks for a device that its pod has moved, and removes what is on it", () => {
  const mine = lend();
  sh(`ip -n ${pod} link add link eth0 name upper type macvlan; ip -n ${pod} link set eth0 netns ${away}`);
  expect(returned(mine)).toBe("home");
  expect(done).toEqual(["search", "removal", "restored, locked"]);
  expect(sh(`ip -n ${pod} -o link show type macvlan`)).toBe("");
});

test("ADD asks where a device is that another attachment had, and gives it back", () => {
  const mine = lend();
  sh(`ip -n ${pod} link add link eth0 name upper type macvlan; ip -n ${pod} link set eth0 netns ${away}`);
  const next = { ...key, containerId: "next" };
  const claim = (): boolean => leavingLocks(() => locked(() => endClaims(mine, next, "", () => true)));
  expect(claim).toThrow("d0 is held by");
  expect(done).toEqual(["search"]);
  done = [];
  sh(`ip -n ${away} link set eth0 netns $$`);
  expect(claim()).toBe(true);
  expect(done).toEqual(["removal", "restored, locked"]);
});

test("a device that is gone again before the lock is there is not taken for what has its index", () => {
  const mine = lend();
  sh(`ip -n ${pod} link set eth0 netns ${away}`);
  const index = sh(`ip -n ${away} -o link show eth0`).split(":")[0];
  let locks = 0;
  Object.assign(mine, {
    whileReturning(_: RecordKey, body: () => unknown) {
      if (++locks === 2) sh(`ip -n ${away} link del eth0; ip -n ${away} link add eth0 index ${index} type veth`);
      return body();
    },
  });
  expect(() => returned(mine)).toThrow("a process is moving it");
  expect(sh(`ip -n ${away} -o link show eth0`)).toContain(`${index}: eth0`);
});

test("a device that came back to the pod meanwhile is rid of what was made on it since", () => {
  const mine = lend();
  const stack = `ip -n ${pod} link add link eth0 name upper type macvlan`;
  sh(stack);
  let locks = 0;
  Object.assign(mine, {
    whileReturning(_: RecordKey, body: () => unknown) {
      if (++locks === 2) sh(`ip link set d0 netns ${pod} name eth0; ${stack}`);
      return body();
    },
  });
  expect(returned(mine)).toBe("home");
  expect(locks).toBe(3);
  expect(sh(`ip -n ${pod} -o link show type macvlan`)).toBe("");
});

test("a device that the node sets up while its uppers are removed is restored", () => {
  const mine = lend();
  sh(`ip -n ${pod} link add link eth0 name upper type macvlan`);
  let locks = 0;
  Object.assign(mine, {
    whileReturning(_: RecordKey, body: () => unknown) {
      if (++locks === 2)
        sh("ip link set d0 mtu 1400 up; ip addr add 192.0.2.2/24 dev d0; ip route add default via 192.0.2.1");
      return locked(body);
    },
  });
  expect(returned(mine)).toBe("home");
  expect(done).toEqual(["removal", "restored, locked"]);
});

test("what stands on a device that is on the host goes, also when the device is up", () => {
  const mine = lend();
  sh(
    `ip -n ${pod} link add link eth0 name upper type macvlan; ip -n ${pod} link set eth0 netns $$ name d0; ip link set d0 up`,
  );
  expect(returned(mine)).toBe("home");
  expect(done).toEqual(["removal", "restored, locked"]);
  expect(sh(`ip -n ${pod} -o link show type macvlan`)).toBe("");
});

test("who leaves the lock without end fails", () => {
  let runs = 0;
  const endless = (): void => leavingLocks(() => outside(`${runs++}`, "d0", () => undefined));
  expect(endless).toThrow("a process is moving it");
  expect(runs).toBe(21);
});

test("what the work throws is thrown under the lock", () => {
  const thrown = new Error("full");
  const body = (): unknown =>
    outside("a", "d0", () => {
      throw thrown;
    });
  let caught: unknown;
  leavingLocks(() => {
    try {
      body();
    } catch (error) {
      if (error !== thrown) throw error;
      caught = error;
    }
  });
  expect(caught).toBe(thrown);
});
