// One address for a virtual function and for a pod that reaches the same card by a bridge: real bridges, on a veth that stands for the card.
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { host } from "../../src/host/host.ts";
import { getLink } from "../../src/link/link.ts";
import { openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { named } from "../../src/link/return.ts";
import { RTM_NEWNEIGH } from "../../src/netlink/constants.ts";
import { refuseAddressOnBridges, refuseAddressOnCard } from "../../src/plugin/card-address.ts";
import { homeOf, registerLenders } from "../../src/plugin/lent/lender.ts";
import { makeCall } from "../../src/testing/calls.ts";
import { enterSandbox, sh } from "../../src/testing/sandbox.ts";
import { bridge } from "../bridge/plugin.ts";
import { sriovLender } from "./restore.ts";

const MAC = "02:00:00:00:00:aa";
const PF = "0000:af:00.1";
const VF = "0000:af:06.1";

beforeAll(() => {
  enterSandbox();
  sh(`ip netns add other
    ip link add pf type veth peer name wire; ip link set pf up; ip link set wire up
    ip link add br0 type bridge; ip link set br0 up; ip link set pf master br0
    mount -t tmpfs tmpfs /sys/bus; mkdir -p /sys/bus/pci/devices/${PF}/net/pf /sys/bus/pci/devices/${VF}
    ln -s ../${PF} /sys/bus/pci/devices/${VF}/physfn`);
  registerLenders([sriovLender]);
});

describe("an address for a VF", () => {
  const refuse = (containerId: string): void => {
    const { route } = ownNamespace();
    refuseAddressOnBridges(route, { pf: getLink(route, "pf")!, pfPci: PF }, MAC, { containerId });
  };

  beforeEach(() => sh("ip link del port 2>/dev/null || true; ip link add port master br0 type veth peer name far"));

  const pin = (port: string) => sh(`bridge fdb replace ${MAC} dev ${port} master static`);

  test("pinned to another container's port, or to nobody's", () => {
    pin("port");
    expect(() => refuse("a")).toThrow("belongs to port port of bridge br0, to which it is pinned");
    sh('ip link set port alias "podnic:net1:b:eth0:-"');
    expect(() => refuse("a")).toThrow("belongs to port port");
  });

  test("pinned to a port of the same container: a bond in the pod", () => {
    pin("port");
    sh('ip link set port alias "podnic:net1:a:eth0:-"');
    refuse("a");
  });

  test("pinned to the uplink, or only learned", () => {
    pin("pf");
    refuse("a");
    sh(`bridge fdb del ${MAC} dev pf master`);
    // Once the port forwards.
    sh(`ip link set far up; ip link set port up
      for i in $(seq 100); do bridge fdb replace ${MAC} dev port master dynamic 2>/dev/null && exit; sleep 0.02; done; exit 1`);
    refuse("a");
  });

  test("that of a macvlan on the bridge, in another namespace", () => {
    sh(`ip link add mv link br0 address ${MAC} type macvlan; ip link set mv netns other; ip -n other link set mv up`);
    expect(() => refuse("a")).toThrow("belongs to an interface on top of br0");
    sh("ip -n other link del mv");
    refuse("a");
  });
});

test("an address for a VF, of the node's router over the bridge: refused", () => {
  const { route } = ownNamespace();
  const refuse = (): void =>
    refuseAddressOnCard(route, { pf: getLink(route, "pf")!, pfPci: PF }, MAC, { containerId: "a" });
  sh(`ip address add 192.0.2.9/24 dev br0; ip neigh add 192.0.2.1 lladdr ${MAC} dev br0`);
  refuse();
  sh("ip route add default via 192.0.2.1");
  try {
    expect(refuse).toThrow("belongs to 192.0.2.1, a gateway of this node's routes over br0");
    // A pod that is the router itself, and comes again.
    const cure = "ip neigh del 192.0.2.1 dev br0";
    expect(refuse).toThrow(expect.objectContaining({ details: expect.stringContaining(cure) }));
    sh(cure);
    refuse();
  } finally {
    sh("ip address flush dev br0; ip neigh flush dev br0");
  }
});

describe("an address for a port", () => {
  const key = { network: "net1", containerId: "b", ifName: "eth0" };

  const hold = (): void => {
    const path = "/run/netns/other";
    const held = { pci: VF, netns: named(openNamespace(path)!, path), mac: MAC };
    sriovLender.store().write(key, held, homeOf(ownNamespace()));
  };

  const add = (id: string) => {
    const keys = { mac: MAC, macspoofchk: true, macspoofchkBackend: "bridge" };
    const raw = { cniVersion: "1.1.0", name: "br", type: "bridge", bridge: "br0", ...keys };
    const call = { ...makeCall(bridge, "ADD", raw, { id }), netns: "/run/netns/pod" };
    try {
      bridge.add(call);
    } finally {
      expect(call.transaction.rollback()).toEqual([]);
    }
  };

  const ports = () => sh("ls /sys/class/net/br0/brif").trim().split("\n");

  beforeEach(() => sriovLender.store().remove(key));

  test("that of another container's VF: refused before there is a port; that of its own: taken", () => {
    hold();
    const before = ports();
    const { send } = host;
    let changes = 0;
    host.send = (...all) => {
      // NLM_F_CREATE
      if (((all[1] as Uint8Array)[7]! & 4) !== 0) changes++;
      return send.apply(host, all);
    };
    try {
      expect(() => add("a")).toThrow(/belongs to container b \(eth0, network net1\)/);
      expect(changes).toBe(0);
    } finally {
      host.send = send;
    }
    expect(ports()).toEqual(before);
    add("b");
  });

  test("sriov writes its record while the address is being pinned: one of the two sees the other", () => {
    const before = ports();
    const { send } = host;
    host.send = (...all) => {
      if (holds(all[1] as Uint8Array, RTM_NEWNEIGH)) hold();
      return send.apply(host, all);
    };
    try {
      expect(() => add("a")).toThrow(/belongs to container b/);
    } finally {
      host.send = send;
    }
    expect(ports()).toEqual(before);
  });
});

/** Whether a message of this type is in a send. */
function holds(bytes: Uint8Array, type: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 16 <= view.byteLength; at += Math.max(16, (view.getUint32(at, true) + 3) & ~3))
    if (view.getUint16(at + 4, true) === type) return true;
  return false;
}
