// A macvlan that a process of its pod goes on moving: what DEL and GC may conclude.
import { beforeAll, beforeEach, expect, test } from "vitest";
import { macvlan } from "../../../plugins/macvlan/plugin.ts";
import { parseArgs } from "../../cni/args.ts";
import type { Call } from "../../cni/plugin.ts";
import { deleteWithoutWaiting } from "../../link/delete.ts";
import { getLink } from "../../link/link.ts";
import { createUpper, findMaster } from "../../link/master.ts";
import type { NetNs } from "../../link/namespace.ts";
import { openLinkNews } from "../../link/watch.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { NLM_F_DUMP, RTM_GETLINK } from "../../netlink/constants.ts";
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

/** The pod takes it back from the other namespace just before that one is read, as number `n` of all. */
function takingBack(n: number, run: () => void): void {
  sh("ip -n pod link set net1 netns x");
  let reads = 0;
  traceMessages((direction, message) => {
    const { u16 } = Bytes.from(message);
    if (direction !== "send" || u16[2] !== RTM_GETLINK || (u16[3]! & NLM_F_DUMP) === 0 || ++reads !== n) return;
    sh("ip -n x link set net1 netns pod");
  });
  try {
    run();
  } finally {
    traceMessages(undefined);
  }
}

const count = (): number => Number(sh("for ns in pod x; do ip -n $ns -o link show type macvlan; done | wc -l"));

test("DEL: one that is in the other namespace when each is read is deleted all the same", () => {
  takingBack(1, () => macvlan.del(call("DEL")));
  expect(count()).toBe(0);
});

test("GC: one that is in the other namespace when each is read is deleted all the same", () => {
  takingBack(2, () => macvlan.gc?.(call("GC")));
  expect(count()).toBe(0);
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
