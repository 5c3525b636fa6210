// DEL of an interface that the configuration does not describe: DEL releases the address only after the interface is gone.
import { beforeAll, expect, test } from "vitest";
import { parseArgs } from "../cni/args.ts";
import type { Call } from "../cni/plugin.ts";
import { registerPlugins } from "../cni/registry.ts";
import type { NetNs } from "../link/namespace.ts";
import { Bytes } from "../netlink/bytes.ts";
import { RTM_DELLINK } from "../netlink/constants.ts";
import { traceMessages } from "../netlink/socket.ts";
import { plugins } from "../plugins.ts";
import { enterSandbox, sh } from "../testing/sandbox.ts";
import { Transaction } from "../transaction.ts";
import { removeLeased } from "./former.ts";

const POOL = "/run/pool/n";
let pod: NetNs;

beforeAll(() => {
  registerPlugins(plugins);
  ({ pod } = enterSandbox());
  sh(`ip netns add x; ip link add up0 type veth peer name up1; mkdir -p ${POOL}; printf 'c1\\r\\nnet1' >${POOL}/198.18.0.9
    ip link add go0 link up0 type macvlan; ip link set go0 netns pod name net1; ip -n pod address add 198.18.0.9/24 dev net1`);
});

function call(): Call {
  const ipam = { type: "host-local", ranges: [[{ subnet: "198.18.0.0/24" }]], dataDir: "/run/pool" };
  const raw = { cniVersion: "1.1.0", name: "n", type: "bridge", ipam };
  return {
    ...{
      command: "DEL",
      attachment: { network: "n", containerId: "c1", ifName: "net1" },
      netns: pod.path,
      args: parseArgs("", [], false),
      path: [],
      config: raw as Call["config"],
    },
    ...{ stdin: new TextEncoder().encode(JSON.stringify(raw)), raw, version: "1.1.0", prevResult: undefined },
    ...{ validAttachments: [], transaction: new Transaction(), ignored: [] },
  } as unknown as Call;
}

test("one that the pod moves away meanwhile keeps its lease: DEL fails, and is repeated", () => {
  let moved = false;
  traceMessages((direction, message) => {
    if (moved || direction !== "send" || Bytes.from(message).u16[2] !== RTM_DELLINK) return;
    moved = true;
    sh("ip -n pod link set net1 netns x");
  });
  try {
    expect(() => removeLeased(call())).toThrow("is moving from one network namespace to another");
  } finally {
    traceMessages(undefined);
  }
  expect(moved).toBe(true);
  sh("ip -n x link set net1 netns pod; ip -n pod address add 198.18.0.9/24 dev net1");
  removeLeased(call());
  expect(sh("ip -n pod -o link")).not.toContain("net1");
});
