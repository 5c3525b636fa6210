// An address that the kernel has pinned in some VLANs of the port, and then refused. The case with a VLAN needs a kernel with VLAN filtering, as in the guest:
// conformance/vm/run -- npx vitest run plugins/bridge/mac.kernel.test.ts
import { expect, it } from "vitest";
import type { Call } from "../../src/cni/plugin.ts";
import { getBridge, getPort, listMacsBehind } from "../../src/link/bridge.ts";
import { enterSandbox, filtersVlans, sh } from "../../src/testing/sandbox.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { pinAgain } from "./mac.ts";

const { own } = enterSandbox();
const MAC = "02:00:00:00:00:51";

const filters = filtersVlans();

function pinned(options: string, change: string, config: object): number[] {
  sh(`ip link del br0 2>/dev/null || true; ip link del port0 2>/dev/null || true
    ip link add br0 up type bridge ${options}; ip link add port0 master br0 up type veth peer name end0
    ${change}`);
  const bridge = getBridge(own.route, "br0")!;
  const port = getPort(own.route, "port0")!;
  pinAgain({ config } as unknown as Call<BridgeConfig>, bridge, port, MAC);
  return listMacsBehind(own.route, port.index)
    .filter(({ mac, sticky }) => mac === MAC && sticky)
    .map(({ vlan }) => vlan)
    .sort((a, b) => a - b);
}

it("is pinned again", () => {
  expect(pinned("", `bridge fdb add ${MAC} dev port0 master static`, {})).toEqual(filters ? [0, 1] : [0]);
});

it.runIf(filters)("is pinned in all VLANs", () => {
  const change = `bridge vlan add dev port0 vid 100 pvid untagged; bridge vlan add dev port0 vid 101
    bridge fdb add ${MAC} dev port0 master static sticky; bridge fdb del ${MAC} dev port0 vlan 101 master`;
  const keys = { vlan: 100, vlanTrunk: [{ id: 101 }] };
  expect(pinned("vlan_filtering 1 vlan_default_pvid 0", change, keys)).toEqual([0, 100, 101]);
});
