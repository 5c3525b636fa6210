// The last pod of a VLAN goes, and the gateway's interface with it, while an ADD looks at that without the lock.
import { beforeAll, expect, it } from "vitest";
import type { Call } from "../../src/cni/plugin.ts";
import { host } from "../../src/host/host.ts";
import { parsePrefix } from "../../src/ip/address.ts";
import { getBridge } from "../../src/link/bridge.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { enterSandbox, sh } from "../../src/testing/sandbox.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { planGateway, planOn } from "./gateway.ts";
import { VLAN_ALIAS } from "./vlan-gateway.ts";

const call = { config: { bridge: "br0", vlan: 7 } } as unknown as Call<BridgeConfig>;
const gateway = parsePrefix("198.51.100.1/24")!;

beforeAll(() => {
  enterSandbox();
  sh("ip link add br0 type bridge");
});

const make = (alias: string): string =>
  sh(`ip link add port0 master br0 type veth peer name br0.7; ip link set br0.7 alias ${alias}`);

/** Runs `look`; before its n-th question to the kernel the interface goes. Returns how many there were. */
function whileItGoes(n: number, look: () => void): number {
  const { send } = host;
  let asked = 0;
  host.send = (...message) => {
    if (asked++ === n) sh("ip link del br0.7");
    return send.apply(host, message);
  };
  try {
    look();
    return asked;
  } finally {
    host.send = send;
  }
}

it("an ADD of a VLAN does not mind, at whichever of its questions", () => {
  const bridge = getBridge(ownNamespace().route, "br0")!;
  let asked = 0;
  for (let n = 0; n === 0 || n < asked; n++) {
    make(VLAN_ALIAS);
    asked = whileItGoes(n, () => expect(planOn(call, bridge, [gateway]).added).toEqual([gateway]));
    expect(planGateway(call, bridge, [gateway])).toBe(0);
    if (n >= asked) sh("ip link del br0.7");
  }
  expect(asked).toBeGreaterThan(2);
});

it.each([
  ["", "Rename the device"],
  [VLAN_ALIAS, "Run `ip link del br0.7`."],
])("is refused an interface that is elsewhere, whose alias is %j", (alias, cure) => {
  const bridge = getBridge(ownNamespace().route, "br0")!;
  sh(`ip link add br0.7 type veth peer name elsewhere; ip link set br0.7 alias "${alias}"`);
  const details = expect.stringContaining(cure);
  expect(() => planGateway(call, bridge, [gateway])).toThrow(expect.objectContaining({ details }));
  sh("ip link del br0.7");
});
