// Links on a real kernel; `ip` is the other opinion.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import {
  addAltnames,
  addLink,
  deleteAltnames,
  deleteLink,
  findLinksByAddress,
  getLink,
  IFF_ALLMULTI,
  IFF_PROMISC,
  IFF_UP,
  type Link,
  listLinks,
  setLink,
} from "../link.ts";

const { own, pod } = enterSandbox();
const route = own.route;

beforeEach(() => sh("ip link add v0 type veth peer name v1; ip link set v1 up"));
afterEach(() => sh("ip link del v1 2>/dev/null || ip -n pod link del pod0 2>/dev/null || true"));

function v0(): Link {
  return getLink(route, "v0")!;
}

describe("deleteAltnames", () => {
  it("deletes the other names if one does not exist", () => {
    sh("ip link property add dev v0 altname alt0 altname alt1");
    deleteAltnames(route, v0().index, ["alt0", "gone", "alt1"]);
    expect(v0().altnames).toEqual([]);
  });
});

describe("getLink", () => {
  it("says what ip says", () => {
    sh(
      "ip link set v0 mtu 1400 txqueuelen 55 alias 'an alias é' address 02:00:00:00:00:0a; ip link property add dev v0 altname a-rather-long-altname",
    );
    const [expected] = ipJson("link show v0");
    expect(v0()).toMatchObject({
      index: expected.ifindex,
      name: "v0",
      altnames: expected.altnames,
      alias: "an alias é",
      mtu: 1400,
      minMtu: expected.min_mtu,
      maxMtu: expected.max_mtu,
      txqlen: 55,
      mac: "02:00:00:00:00:0a",
      permanentMac: "",
      kind: "veth",
      parent: getLink(route, "v1")!.index,
      master: 0,
      slaveKind: "",
    });
  });

  it("finds by index, name, short and long alternative name", () => {
    sh("ip link property add dev v0 altname alt0 altname a-rather-long-altname");
    const { index } = v0();
    for (const which of [index, "v0", "alt0", "a-rather-long-altname"])
      expect(getLink(route, which)?.index).toBe(index);
  });

  it("of what is not there is undefined: names of any length and kind, indices", () => {
    for (const which of [0x7ffffffe, "nope", "", "é".repeat(8), "x".repeat(127), "x".repeat(4000)]) {
      expect(getLink(route, which), `${which}`).toBeUndefined();
    }
  });

  it("is one request and one answer", () => {
    const seen: string[] = [];
    traceMessages((direction) => seen.push(direction));
    try {
      v0();
    } finally {
      traceMessages(undefined);
    }
    expect(seen).toEqual(["send", "recv"]);
  });

  it("knows the master and the kind of port", () => {
    sh("ip link add br0 type bridge; ip link set v0 master br0");
    expect(v0()).toMatchObject({ master: getLink(route, "br0")!.index, slaveKind: "bridge" });
    sh("ip link del br0");
  });
});

it("listLinks has all links", () => {
  const expected = ipJson("link show").map((link) => link.ifname);
  expect(listLinks(route).map((link) => link.name)).toEqual(expected);
});

describe("findLinksByAddress", () => {
  it("gives all, or none", () => {
    sh("ip link set v0 address 02:00:00:00:00:77; ip link add mv0 link v0 address 02:00:00:00:00:77 type macvlan");
    const names = findLinksByAddress(route, "02:00:00:00:00:77").map(({ name }) => name);
    expect(names.sort()).toEqual(["mv0", "v0"]);
    expect(findLinksByAddress(route, "02:00:00:00:00:78")).toEqual([]);
  });
});

describe("setLink", () => {
  it("changes all at once, in one request", () => {
    const { index } = v0();
    const seen: string[] = [];
    traceMessages((direction) => seen.push(direction));
    try {
      const change = {
        name: "w0",
        alias: "x",
        mtu: 1300,
        txqlen: 9,
        mac: "02:00:00:00:00:01",
        promisc: true,
        allmulti: true,
        up: true,
      };
      setLink(route, index, change);
    } finally {
      traceMessages(undefined);
    }
    expect(seen).toEqual(["send", "recv"]);
    const link = getLink(route, index)!;
    expect(link).toMatchObject({ name: "w0", alias: "x", mtu: 1300, txqlen: 9, mac: "02:00:00:00:00:01" });
    expect(link.flags & (IFF_PROMISC | IFF_ALLMULTI | IFF_UP)).toBe(IFF_PROMISC | IFF_ALLMULTI | IFF_UP);
  });

  it("leaves alone what it is not told, and takes away what it is told", () => {
    const { index } = v0();
    setLink(route, index, { alias: "x", promisc: true, up: true });
    setLink(route, index, { alias: "", promisc: false });
    const link = getLink(route, index)!;
    expect(link.alias).toBe("");
    expect(link.flags & (IFF_PROMISC | IFF_UP)).toBe(IFF_UP);
  });

  it("says what the kernel refused and why", () => {
    expect(() => setLink(route, v0().index, { mtu: 10 })).toThrow(
      `ip link set ${v0().index} mtu 10: invalid argument (mtu less than device minimum)`,
    );
    const { index } = v0();
    expect(() => setLink(route, index, { mac: "nonsense" })).toThrow("not a link-layer address");
    // The refused one left nothing behind in the batch: one message is sent, as long as all that is sent.
    const sent: number[][] = [];
    traceMessages((direction, message) => {
      if (direction === "send") sent.push([message.length, Buffer.from(message).readUInt32LE(0)]);
    });
    try {
      setLink(route, index, { mtu: 1400 });
    } finally {
      traceMessages(undefined);
    }
    expect(sent).toEqual([[40, 40]]);
  });
});

it("altnames come and go", () => {
  const { index } = v0();
  addAltnames(route, index, ["one", "a-rather-long-altname"]);
  expect(v0().altnames).toEqual(["one", "a-rather-long-altname"]);
  deleteAltnames(route, index, ["one"]);
  expect(v0().altnames).toEqual(["a-rather-long-altname"]);
  addAltnames(route, index, []);
  deleteAltnames(route, index, []);
});

describe("addLink", () => {
  it("makes a macvlan in the pod under its final name", () => {
    addLink(route, {
      kind: "macvlan",
      name: "net1",
      parent: v0().index,
      netns: pod.fd,
      mode: 4,
      mtu: 1400,
      mac: "02:00:00:00:00:05",
      bcqueuelen: 77,
      up: true,
    });
    const link = getLink(pod.route, "net1")!;
    const expected = {
      kind: "macvlan",
      mode: 4,
      mtu: 1400,
      mac: "02:00:00:00:00:05",
      bcqueuelen: 77,
      parent: v0().index,
    };
    expect(link).toMatchObject(expected);
    expect(link.linkNetnsid).toBe(0);
    expect(link.flags & IFF_UP).toBe(IFF_UP);
    deleteLink(pod.route, link.index);
    expect(getLink(pod.route, "net1")).toBeUndefined();
  });

  it("of a name the host has too works, of one the pod has is EEXIST and changes nothing", () => {
    const parent = getLink(route, "v1")!.index;
    const request = { kind: "macvlan", name: "v0", index: 0x7fffffff, parent, netns: pod.fd, mode: 4 } as const;
    addLink(route, request);
    const first = getLink(pod.route, "v0")!;
    expect(first.index).toBe(0x7fffffff);
    expect(() => addLink(route, { ...request, index: 0x7ffffffe })).toThrow(
      expect.objectContaining({ code: "EEXIST" }),
    );
    expect(listLinks(pod.route).map((link) => link.name)).toEqual(["lo", "v0"]);
    deleteLink(pod.route, first.index);
  });
});

it("deleteLink of what is gone is no error", () => {
  deleteLink(route, 0x7ffffffe);
});
