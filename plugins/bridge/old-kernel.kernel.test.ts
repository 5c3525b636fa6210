// Kernels before 5.18 do not lock ports, and do not tell of it. This one does: its answer loses that attribute on the way.
import { beforeAll, expect, it } from "vitest";
import type { Call } from "../../src/cni/plugin.ts";
import { host } from "../../src/host/host.ts";
import { getBridge, getPort, type Port } from "../../src/link/bridge.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { IFLA_BRPORT_LOCKED } from "../../src/netlink/constants.ts";
import { failure } from "../../src/testing/calls.ts";
import { enterSandbox, sh } from "../../src/testing/sandbox.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { checkSource, locksPort } from "./spoof.ts";

beforeAll(() => {
  enterSandbox();
  sh("ip link add br0 type bridge; ip link add port0 master br0 type veth peer name port1");
});

/** The port as this kernel tells of it; `old`: without IFLA_BRPORT_LOCKED, which gets a number that nobody knows. */
function port(old: boolean): Port {
  const recv = host.recv;
  host.recv = (fd, buffer) => {
    const received = recv.call(host, fd, buffer);
    if (old) {
      const data = buffer.subarray(0, received.size);
      // An attribute of one byte: its length, its type.
      for (let at = 16; at + 5 < data.length; at += 4)
        if (data[at] === 5 && data[at + 1] === 0 && data[at + 2] === IFLA_BRPORT_LOCKED && data[at + 3] === 0)
          data[at + 3] = 0x3f;
    }
    return received;
  };
  try {
    return getPort(ownNamespace().route, "port0")!;
  } finally {
    host.recv = recv;
  }
}

const asked = (macspoofchkBackend?: "bridge" | "nftables"): Call<BridgeConfig> =>
  ({
    args: new Map(),
    config: { macspoofchk: true, ...(macspoofchkBackend && { macspoofchkBackend }) },
  }) as unknown as Call<BridgeConfig>;

it("locks the port where the kernel can, unless nftables are asked for", () => {
  expect(port(false).port.locked).toBe(0);
  expect([asked(), asked("bridge"), asked("nftables")].map((call) => locksPort(call, port(false)))).toEqual([
    true,
    true,
    false,
  ]);
});

it("takes nftables where it cannot, and refuses when that is not allowed", () => {
  expect(port(true).port).toMatchObject({ learning: 1 });
  expect([asked(), asked("nftables")].map((call) => locksPort(call, port(true)))).toEqual([false, false]);
  expect(failure(() => locksPort(asked("bridge"), port(true)))).toContain("this kernel cannot lock bridge ports");
});

it("locks a port with a MAC address of podnic's choice, and leaves a port alone without macspoofchk", () => {
  expect(checkSource(asked(), getBridge(ownNamespace().route, "br0")!, port(false), "02:00:00:00:00:01")).toEqual({
    lock: { learning: 0, locked: 1 },
  });
  expect(
    checkSource(
      { ...asked(), config: {} } as Call<BridgeConfig>,
      getBridge(ownNamespace().route, "br0")!,
      port(false),
      "02:00:00:00:00:01",
    ),
  ).toEqual({});
});
