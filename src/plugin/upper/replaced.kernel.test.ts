// With linkInContainer, a process of the pod replaces the master after ADD has checked it and before the kernel creates the interface on it.
import { afterEach, beforeAll, expect, test } from "vitest";
import { macvlan } from "../../../plugins/macvlan/plugin.ts";
import { parseArgs } from "../../cni/args.ts";
import type { Call } from "../../cni/plugin.ts";
import { getLink } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { RTM_NEWLINK } from "../../netlink/constants.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { Transaction } from "../../transaction.ts";

let pod: NetNs;

beforeAll(() => {
  ({ pod } = enterSandbox());
  sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
  sh("ip link add net1 link up0 netns pod type macvlan mode bridge; ip -n pod link set net1 up");
});

afterEach(() => traceMessages(undefined));

function add(meanwhile: string) {
  sh("ip -n pod link del sw 2>/dev/null || true; ip -n pod link add sw index 777 type veth peer name far");
  sh("ip -n pod link set sw up; ip -n pod link set far up");
  let isDone = false;
  traceMessages((direction, message) => {
    if (isDone || direction !== "send" || Bytes.from(message).u16[2] !== RTM_NEWLINK) return;
    isDone = true;
    sh(meanwhile);
  });
  const transaction = new Transaction();
  const config = { name: "n", type: "macvlan", master: "sw", linkInContainer: true } as Call["config"];
  const attachment = { network: "n", containerId: "c1", ifName: "net2" };
  const call: Call = {
    ...{ command: "ADD", attachment, netns: pod.path, args: parseArgs("", [], false), path: [], config },
    ...{ stdin: new Uint8Array(), raw: {}, version: "1.1.0", prevResult: undefined, validAttachments: [] },
    ...{ transaction, ignored: [] },
  };
  try {
    return macvlan.add(call);
  } catch (error) {
    expect(transaction.rollback()).toEqual([]);
    throw error;
  }
}

test("by a macvlan on the host's device: ADD is undone", () => {
  const swap = "ip -n pod link del sw; ip -n pod link add sw link net1 index 777 up type macvlan mode bridge";
  expect(() => add(swap)).toThrow('the pod has replaced the master "sw"');
  expect(getLink(pod.route, "net2")).toBeUndefined();
});

test("by nothing: ADD succeeds", () => {
  expect(add("true").interfaces.map(({ name }) => name)).toEqual(["net2"]);
});
