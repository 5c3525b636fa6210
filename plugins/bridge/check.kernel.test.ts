// CHECK of bridge. The case with a VLAN needs a kernel with VLAN filtering, as in the guest:
// conformance/vm/run -- npx vitest run plugins/bridge/check.kernel.test.ts
import { beforeAll, expect, test } from "vitest";
import { registerPlugins } from "../../src/cni/registry.ts";
import { installHost } from "../../src/host/host.ts";
import { NodeHost } from "../../src/host/node/host.ts";
import { main } from "../../src/main.ts";
import { plugins } from "../../src/plugins.ts";
import { EdgeHost } from "../../src/testing/edge.ts";
import { enterSandbox, filtersVlans, sh } from "../../src/testing/sandbox.ts";

beforeAll(() => {
  registerPlugins(plugins);
  enterSandbox();
  sh("mkdir -p /var/lib/cni /etc/cni; for dir in /var/lib/cni /etc/cni; do mount -t tmpfs tmpfs $dir; done");
});

function run(command: string, prevResult?: object, keys: object = {}): Record<string, unknown> {
  const edge = new EdgeHost({
    args: ["bridge"],
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/pod",
      CNI_IFNAME: "eth0",
      CNI_PATH: "/nonexistent",
    },
    stdin: JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0", ...keys, prevResult }),
  });
  installHost(edge);
  try {
    main(
      () => 77,
      () => {},
    );
    return JSON.parse(edge.stdout || "{}");
  } finally {
    installHost(new NodeHost());
  }
}

test("fails for the interface as a port of a bridge in the pod, with something other than a dummy under its name", () => {
  const result = run("ADD");
  expect(run("CHECK", result)).toEqual({});
  const [, port, { mac } = { mac: "" }] = result.interfaces as { name: string; mac: string }[];
  sh(`ip -n pod link set eth0 down; ip -n pod link set eth0 name old; ip -n pod link add k6t type bridge
      ip -n pod link set old master k6t; ip -n pod link set old up; ip -n pod link set k6t up
      ip -n pod link add eth0 address ${mac} type veth peer name other; ip -n pod link set eth0 up`);
  expect(run("CHECK", result)).toMatchObject({
    msg: `container interface eth0 is not the other end of port ${port?.name}`,
    details: "The other end is now called old, and the type of eth0 is veth.",
  });
  expect(run("DEL", result)).toEqual({});
});

const filters = filtersVlans();

test.skipIf(!filters)("passes for a gateway in a VLAN without addresses, for which ADD makes no interface", () => {
  sh(`ip -n pod link del eth0; ip -n pod link del k6t
      ip link del br0; ip link add br0 type bridge vlan_filtering 1; ip link set br0 up`);
  const keys = { isGateway: true, vlan: 5 };
  const result = run("ADD", undefined, keys);
  expect(result).not.toHaveProperty("msg");
  expect(run("CHECK", result, keys)).toEqual({});
  expect(run("DEL", result, keys)).toEqual({});
});
