// Bridges and veth pairs on a real kernel. VLANs need a kernel that filters them (conformance/vm); the cases B-37 to B-50 are about those.
import { beforeEach, describe, expect, it } from "vitest";
import { NetlinkError } from "../../netlink/errors.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import {
  addBridge,
  addPair,
  beginBringUp,
  beginForgetAddress,
  beginPinAddress,
  beginSetPort,
  getBridge,
  getPort,
  listEntriesOf,
  listMacsBehind,
  silence,
  waitForwarding,
} from "../bridge.ts";
import { getLink } from "../link.ts";

const { own, pod } = enterSandbox();
const { route } = own;
const BRIDGE_MAC = "02:00:00:00:00:b0";
const POD_MAC = "02:00:00:00:00:02";

beforeEach(() => {
  sh("for each in br0 vethcafe0001 dum0; do ip link del $each 2>/dev/null || true; done");
  sh("ip -n pod link del eth0 2>/dev/null || true");
});

function pair(master = getLink(route, "br0")!.index) {
  return addPair(
    route,
    { name: "vethcafe0001", mac: "fe:00:00:00:00:01", mtu: 1400, master, alias: "first" },
    { name: "eth0", mac: POD_MAC, mtu: 1400, netns: pod.fd },
  );
}

function codeOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof NetlinkError) return error.code;
    throw error;
  }
  return "";
}

const nothingLeft = () => [getLink(route, "vethcafe0001"), getLink(pod.route, "eth0")];

describe("addBridge", () => {
  it("makes it down, so that it hears no router yet, with a MAC that stays when ports come and go", () => {
    addBridge(route, { name: "br0", mac: BRIDGE_MAC });
    const bridge = getBridge(route, "br0")!;
    expect([bridge.kind, bridge.mac, bridge.flags & 1]).toEqual(["bridge", BRIDGE_MAC, 0]);
    sh("ip link add dum0 address 00:00:00:00:00:01 type veth; ip link set dum0 master br0; ip link del dum0");
    expect(getBridge(route, "br0")!.mac).toBe(BRIDGE_MAC);
  });

  it("says EEXIST when there is a link of the name", () => {
    addBridge(route, { name: "br0", mac: BRIDGE_MAC });
    expect(codeOf(() => addBridge(route, { name: "br0", mac: BRIDGE_MAC }))).toBe("EEXIST");
  });

  it("says whether it listens to routers, and that it cannot without IPv6", () => {
    sh("ip link add br0 type bridge; sysctl -qw net.ipv6.conf.br0.accept_ra=2; ip link add br1 mtu 1279 type bridge");
    expect(getBridge(route, "br0")!.acceptRa).toBe(2);
    sh("sysctl -qw net.ipv6.conf.br0.accept_ra=0");
    expect(getBridge(route, "br0")!.acceptRa).toBe(0);
    expect(getBridge(route, "br1")!.acceptRa).toBeUndefined();
  });

  it("what is no bridge has nothing of one", () => {
    expect(getBridge(route, "lo")!.bridge).toEqual({});
    expect(getPort(route, "lo")!.port).toEqual({});
    expect(getBridge(route, "none")).toBeUndefined();
  });
});

describe("addPair", () => {
  beforeEach(() => addBridge(route, { name: "br0", mac: BRIDGE_MAC, mtu: 1400 }));

  it("one request makes both ends what they are to be", () => {
    pair();
    const near = getPort(route, "vethcafe0001")!;
    const far = getLink(pod.route, "eth0")!;
    expect([near.mac, near.mtu, near.master]).toEqual(["fe:00:00:00:00:01", 1400, getLink(route, "br0")!.index]);
    expect([far.mac, far.mtu, far.parent, near.parent]).toEqual([POD_MAC, 1400, near.index, far.index]);
    expect(near.port).toMatchObject({ hairpin: 0, isolated: 0, learning: 1, locked: 0, state: 0 });
  });

  it("tells what the port is, with the alias there already", () => {
    const { port, ...near } = pair()()!;
    const { index, mtu, mac, parent, alias, port: now } = getPort(route, "vethcafe0001")!;
    expect(near).toEqual({ index, name: "vethcafe0001", mtu, mac, parent });
    expect(port).toEqual(now);
    expect([alias, parent]).toEqual(["first", getLink(pod.route, "eth0")!.index]);
  });

  it("leaves nothing when the bridge is gone, is none, or a name is taken", () => {
    expect(codeOf(() => pair(4711))).toBe("EINVAL");
    expect(nothingLeft()).toEqual([undefined, undefined]);
    expect(codeOf(() => pair(1))).toBe("EOPNOTSUPP");
    expect(nothingLeft()).toEqual([undefined, undefined]);
    sh("ip -n pod link add eth0 type veth peer name other");
    expect(codeOf(() => pair())).toBe("EEXIST");
    expect(getLink(route, "vethcafe0001")).toBeUndefined();
    sh("ip -n pod link del eth0; ip link add vethcafe0001 type veth peer name other");
    expect(codeOf(() => pair())).toBe("EEXIST");
    expect(getLink(pod.route, "eth0")).toBeUndefined();
  });
});

describe("a port", () => {
  let index = 0;
  beforeEach(() => {
    addBridge(route, { name: "br0", mac: BRIDGE_MAC });
    sh("ip link set br0 up");
    pair();
    index = getLink(route, "vethcafe0001")!.index;
  });

  it("comes up with its alias and without an address of its own", () => {
    beginBringUp(route, index, "podnic:net:ctr", true);
    route.run();
    sh("ip -n pod link set eth0 up");
    expect(waitForwarding(route, index)).toBe(true);
    const [shown] = ipJson("address show vethcafe0001");
    expect([shown.ifalias, shown.operstate, shown.addr_info]).toEqual(["podnic:net:ctr", "UP", []]);
  });

  it("takes its attributes in one request", () => {
    beginSetPort(route, index, { hairpin: 1, isolated: 1, learning: 0, locked: 1, neighSuppress: 1 }, []);
    route.run();
    expect(getPort(route, index)!.port).toMatchObject({
      hairpin: 1,
      isolated: 1,
      learning: 0,
      locked: 1,
      neighSuppress: 1,
    });
  });

  it("keeps a pinned address although another port sends with it", () => {
    beginSetPort(route, index, { learning: 0, locked: 1 }, []);
    beginPinAddress(route, index, POD_MAC);
    beginBringUp(route, index, "", true);
    route.run();
    sh(`ip link add dum0 type veth peer name dum1; ip link set dum0 master br0 up; ip link set dum1 address ${POD_MAC} up
      ip -n pod link set eth0 up; ip address add 192.0.2.1/24 dev dum1; sleep 0.1; ping -c1 -W1 192.0.2.9 >/dev/null || true`);
    expect(listMacsBehind(route, index)).toEqual([{ mac: POD_MAC, vlan: 0, sticky: true }]);
  });

  it("EEXIST for an address that the bridge knows elsewhere, until that is forgotten", () => {
    sh(
      `ip link add dum0 type veth peer name dum1; ip link set dum0 master br0 up; bridge fdb add ${POD_MAC} dev dum0 master static`,
    );
    const bridge = getLink(route, "br0")!.index;
    const dum = getLink(route, "dum0")!;
    const pin = () =>
      codeOf(() => {
        beginPinAddress(route, index, POD_MAC);
        route.run();
      });
    expect(pin()).toBe("EEXIST");
    const [entry] = listEntriesOf(route, bridge, POD_MAC);
    expect(entry).toEqual({ index: dum.index, vlan: 0, kind: "static" });
    beginForgetAddress(route, POD_MAC, { ...entry!, index });
    expect(codeOf(() => route.run())).toBe("ENOENT");
    beginForgetAddress(route, POD_MAC, entry!);
    route.run();
    expect(pin()).toBe("");
    expect(listEntriesOf(route, bridge, POD_MAC)).toEqual([{ index, vlan: 0, kind: "static" }]);
    expect(listEntriesOf(route, bridge, dum.mac)).toContainEqual({ index: dum.index, vlan: 0, kind: "local" });
    sh("ip link set dum1 up; sleep 0.1; bridge fdb add 02:00:00:00:00:78 dev dum0 master dynamic");
    expect(listEntriesOf(route, bridge, "02:00:00:00:00:78")).toMatchObject([{ kind: "learned" }]);
  });

  it("the pod's end makes up no address when it is silenced", () => {
    silence(pod.route, getLink(pod.route, "eth0")!.index);
    beginBringUp(route, index, "mine", false);
    route.run();
    sh("ip -n pod link set eth0 up; sleep 0.1");
    expect(ipJson("-n pod address show eth0")[0].addr_info).toEqual([]);
    expect(ipJson("address show vethcafe0001")[0].addr_info).toHaveLength(1);
  });
});
