// What DEL and GC may conclude while a process of the pod keeps moving its macvlan.
import { fstatSync, readdirSync, statSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { macvlan } from "../../../plugins/macvlan/plugin.ts";
import { parseArgs } from "../../cni/args.ts";
import type { Call } from "../../cni/plugin.ts";
import type { Result } from "../../cni/result.ts";
import { deleteWithoutWaiting } from "../../link/delete.ts";
import { getLink } from "../../link/link.ts";
import { createUpper, findMaster } from "../../link/master.ts";
import type { NetNs } from "../../link/namespace.ts";
import { openLinkNews } from "../../link/watch.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { NLM_F_DUMP, RTM_GETLINK } from "../../netlink/constants.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { Transaction } from "../../transaction.ts";
import { ownerAlias, ownIndex } from "./own.ts";

let own: NetNs;
let pod: NetNs;

beforeAll(() => {
  ({ own, pod } = enterSandbox());
  sh("ip netns add x; ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
});

const attachment = { network: "n", containerId: "c1", ifName: "net1" };

function call(command: Call["command"]): Call {
  return {
    ...{
      command,
      attachment,
      netns: pod.path,
      args: parseArgs("", [], false),
      path: [],
      config: { type: "macvlan" } as Call["config"],
    },
    ...{ stdin: new Uint8Array(), raw: {}, version: "1.1.0", prevResult: undefined, validAttachments: [] },
    ...{ transaction: new Transaction(), ignored: [] },
  };
}

beforeEach(() => {
  sh("for ns in pod x; do ip -n $ns link del net1 2>/dev/null || true; done");
  const link = { kind: "macvlan", name: "net1", mode: 4, index: ownIndex(attachment) } as const;
  createUpper(findMaster(own, "up0"), pod, link, () => undefined);
  sh(`ip -n pod link set net1 alias ${ownerAlias({ attachment })}`);
});

/** True if a descriptor of this process refers to the namespace. */
function isOpenHere(name: string): boolean {
  const { dev, ino } = statSync(`/run/netns/${name}`);
  return readdirSync("/proc/self/fd").some((fd) => {
    try {
      const seen = fstatSync(Number(fd));
      return seen.dev === dev && seen.ino === ino;
    } catch {
      return false; // the descriptor of the listing itself
    }
  });
}

/** Runs `run` just before podnic reads the links of x, the first time or each time. */
function readingX(meanwhile: string, run: () => void, often: "once" | "always" = "once"): void {
  let times = 0;
  traceMessages((direction, message) => {
    const { u16 } = Bytes.from(message);
    if (direction !== "send" || u16[2] !== RTM_GETLINK || (u16[3]! & NLM_F_DUMP) === 0) return;
    if ((often === "once" && times > 0) || !isOpenHere("x")) return;
    times++;
    sh(meanwhile);
  });
  try {
    run();
  } finally {
    traceMessages(undefined);
  }
  expect(times).toBeGreaterThan(0);
}

const count = (): number => Number(sh("for ns in pod x; do ip -n $ns -o link show type macvlan; done | wc -l"));

const toX = "ip -n pod link set net1 netns x";
const back = "ip -n x link set net1 netns pod";

test("DEL: one that is in the other namespace when each is read is deleted all the same", () => {
  sh(toX);
  readingX(back, () => macvlan.del(call("DEL")));
  expect(count()).toBe(0);
});

test("DEL: one whose alias the pod has exchanged for one that may be cut is deleted in the other namespace", () => {
  sh(`${toX}; ip -n x link set net1 alias podnic:other~0:c9`);
  macvlan.del(call("DEL"));
  expect(count()).toBe(0);
});

test("GC: one that is in the other namespace when each is read is deleted all the same", () => {
  sh(toX);
  readingX(back, () => macvlan.gc?.(call("GC")));
  expect(count()).toBe(0);
});

/** Changes more links of the host than a socket can hold notifications for. */
const flood =
  "(for n in $(seq 500); do echo link set up1 mtu $((1400 + n % 2)); done) >/run/flood; ip -batch /run/flood";

/** Gives the host's namespace a name, so that podnic reads it before the others. */
const hostFirst = `ip netns attach a ${process.pid}`;

test("GC: one that came to the host, whose notifications are lost, is deleted all the same", () => {
  sh(`${hostFirst}; ${toX}`);
  readingX(`ip netns exec x ip link set net1 netns ${process.pid}; ${flood}`, () => macvlan.gc?.(call("GC")));
  expect(sh("ip -o link show type macvlan")).toBe("");
});

test("GC: without the host's notifications nothing is known to be gone", () => {
  sh(hostFirst);
  expect(() => readingX(flood, () => macvlan.gc?.(call("GC")), "always")).toThrow("too many interfaces");
});

const many = "for n in $(seq 60); do echo netns add m$n; done | ip -batch -";

afterEach(() => {
  sh(
    `prlimit --pid ${process.pid} --nofile=4096:; for n in /run/netns/a /run/netns/m*; do ip netns del "$(basename $n)" 2>/dev/null || true; done`,
  );
});

/** Limits the descriptors, as on a node with many more namespaces than descriptors. */
function withFewDescriptors(): void {
  sh(many);
  const open = readdirSync("/proc/self/fd").length;
  sh(`prlimit --pid ${process.pid} --nofile=${open + 45}:`);
}

test("DEL and GC find what has moved although there are more namespaces than descriptors", () => {
  withFewDescriptors();
  sh(toX);
  macvlan.del(call("DEL"));
  expect(count()).toBe(0);
  macvlan.gc?.(call("GC"));
});

test("DEL of what is gone succeeds although there are more namespaces than descriptors", () => {
  withFewDescriptors();
  sh("ip -n pod link del net1");
  // What an ADD has reported may have an address.
  macvlan.del({ ...call("DEL"), prevResult: { interfaces: [], ips: [], routes: [] } as unknown as Result });
});

test("DEL fails when a shortage keeps it from listing the links of a namespace that the pod has a number for", () => {
  sh(`${toX}; ip -n x link del net1`);
  const { dump } = pod.route;
  const dumps = vi.spyOn(pod.route, "dump").mockImplementation((operation, ...rest) => {
    if (operation.includes("(namespace"))
      throw new NetlinkError(operation, 105, "ENOBUFS", "no buffer space available");
    return dump.call(pod.route, operation, ...rest) as never;
  });
  try {
    expect(() => macvlan.del(call("DEL"))).toThrow("no buffer space");
  } finally {
    dumps.mockRestore();
  }
});

test("DEL: one that went through the namespaces of two threads of a process is deleted", () => {
  const program = `import ctypes, threading, time
def enter():
    ctypes.CDLL(None).unshare(0x40000000); print(threading.get_native_id(), flush=True); time.sleep(60)
for _ in range(2): threading.Thread(target=enter, daemon=True).start()
time.sleep(60)`;
  const started = `python3 -c '${program}' >/run/threads 2>&1 & echo $!; for n in $(seq 500); do [ $(wc -l </run/threads) = 2 ] && break; sleep 0.01; done`;
  const pid = sh(started).trim();
  try {
    const [first, second] = sh("cat /run/threads")
      .trim()
      .split("\n")
      .map((thread) => `/proc/${pid}/task/${thread}/ns/net`);
    sh(`ip -n pod link set net1 netns ${first}; nsenter --net=${first} ip link set net1 netns ${second}`);
    const seen = (): string => sh(`nsenter --net=${second} ip -o link show type macvlan`);
    expect(seen()).toContain("net1");
    // What an ADD has reported may have an address.
    macvlan.del({ ...call("DEL"), prevResult: { interfaces: [], ips: [], routes: [] } as unknown as Result });
    expect(seen()).toBe("");
  } finally {
    sh(`kill ${pid}`);
  }
});

test("deleteWithoutWaiting tells a link that has left from one that was deleted", () => {
  const { index } = getLink(pod.route, "net1")!;
  const left = openLinkNews(pod);
  sh("ip -n pod link set net1 netns x");
  expect(deleteWithoutWaiting(pod, index, left)).toBe(false);
  expect(count()).toBe(1);
  sh("ip -n x link set net1 netns pod");
  const deleted = openLinkNews(pod);
  sh("ip -n pod link del net1");
  expect(deleteWithoutWaiting(pod, index, deleted)).toBe(true);
  expect(deleteWithoutWaiting(pod, index)).toBe(false);
});
