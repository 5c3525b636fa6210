// VF requests byte for byte, and answers of drivers as they come. Real virtual functions are in the VM (conformance/vm).
import { describe, expect, it } from "vitest";
import { concat } from "../../host/concat.ts";
import { Writer } from "../../netlink/bytes.ts";
import { writeLink } from "../../netlink/link.ts";
import { traceMessages } from "../../netlink/socket.ts";
import type { VfAttributes } from "../../netlink/vf.ts";
import { ack, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import { toHex } from "../../testing/golden.ts";
import {
  ETH_P_8021AD,
  ETH_P_8021Q,
  getVf,
  queryVf,
  setVf,
  VF_LINK_AUTO,
  VF_LINK_ENABLE,
  type VfChange,
} from "../vf.ts";

/** Attribute part of every request `change` makes on VF 1 of device 1, with the errno each is answered with. */
function requests(change: VfChange, ...errnos: number[]): string[] {
  const sent: string[] = [];
  const kernel = new FakeKernel(([request], nth) => [{ messages: [ack(request!, errnos[nth] ?? 0)] }]);
  traceMessages((direction, data) => {
    if (direction !== "send") return;
    expect(toHex(data.subarray(4, 8))).toBe("10000500");
    expect(toHex(data.subarray(16, 32))).toBe("00000000010000000000000000000000");
    sent.push(toHex(data.subarray(32)));
  });
  try {
    setVf(kernel.open(), 1, 1, change);
  } finally {
    traceMessages(undefined);
  }
  return sent;
}

const plain = (text: string) => text.replaceAll(" ", "");

describe("setVf sends what ip link set lo vf 1 … sends", () => {
  const cases: [string, VfChange, string][] = [
    [
      "mac 60:00:00:00:00:e1",
      { mac: "60:00:00:00:00:e1" },
      `30001600 2c000100 28000100 01000000 60000000 00e10000${"00".repeat(24)}`,
    ],
    [
      "vlan 100 qos 3 proto 802.1ad",
      { vlan: { id: 100, qos: 3, protocol: ETH_P_8021AD } },
      "20001600 1c000100 18000c00 14000100 01000000 64000000 03000000 88a80000",
    ],
    ["spoofchk on", { spoofchk: true }, "14001600 10000100 0c000400 01000000 01000000"],
    ["trust on", { trust: true }, "14001600 10000100 0c000900 01000000 01000000"],
    ["state enable", { linkState: VF_LINK_ENABLE }, "14001600 10000100 0c000500 01000000 01000000"],
    [
      "min_tx_rate 100 max_tx_rate 200",
      { rate: { min: 100, max: 200 } },
      "18001600 14000100 10000600 01000000 64000000 c8000000",
    ],
  ];
  for (const [what, change, bytes] of cases) it(what, () => expect(requests(change)).toEqual([plain(bytes)]));

  it("off and auto are zeros, not absences", () => {
    expect(requests({ spoofchk: false, trust: false, linkState: VF_LINK_AUTO })).toEqual([
      plain("2c001600 28000100 0c000400 01000000 00000000 0c000900 01000000 00000000 0c000500 01000000 00000000"),
    ]);
  });

  it("802.1q in the 16-byte list form", () => {
    expect(requests({ vlan: { id: 100, qos: 3, protocol: ETH_P_8021Q } })).toEqual([
      plain("20001600 1c000100 18000c00 14000100 01000000 64000000 03000000 81000000"),
    ]);
  });

  it("802.1q again in the plain form when the driver does not know the list", () => {
    const sent = requests({ vlan: { id: 100, qos: 3, protocol: ETH_P_8021Q } }, 95, 0);
    expect(sent[1]).toBe(plain("18001600 14000100 10000200 01000000 64000000 03000000"));
    expect(sent.length).toBe(2);
  });

  it("802.1ad has no plain form, and other refusals are final", () => {
    expect(() => requests({ vlan: { id: 100, qos: 3, protocol: ETH_P_8021AD } }, 95)).toThrow(
      "proto 802.1ad: operation not supported",
    );
    expect(() => requests({ vlan: { id: 100, qos: 3, protocol: ETH_P_8021Q } }, 22)).toThrow(
      "vlan 100 qos 3: invalid argument",
    );
    expect(() => requests({ trust: true }, 95)).toThrow("trust on: operation not supported");
  });

  it("a MAC that is none is refused before anything is sent, and leaves nothing for the next request", () => {
    const kernel = new FakeKernel((sent) => [{ messages: sent.map((request) => ack(request)) }]);
    const route = kernel.open();
    expect(() => setVf(route, 1, 1, { mac: "nonsense" })).toThrow("not a link-layer address");
    expect(kernel.sends).toEqual([]);
    setVf(route, 1, 2, { trust: true });
    expect(kernel.sends.map((messages) => messages.length)).toEqual([1]);
  });
});

describe("getVf", () => {
  function entry(vf: number, more: VfAttributes = {}): VfAttributes {
    const address = new Uint8Array(32);
    address.set([2, 0, 0, 0, 0, vf]);
    return { mac: { vf, address }, vlan: { vf, vlan: 0, qos: 0 }, ...more };
  }

  function open(entries: VfAttributes[]) {
    const writer = new Writer(64);
    writeLink(writer, 1, 0, 0, { name: "pf0", vfInfo: entries });
    return new FakeKernel(([request]: Request[]) => [
      { messages: [message(16, 0, request!, writer.written())] },
    ]).open();
  }

  it("goes by the number in the payload, not by the place: VFs whose driver does not answer are left out", () => {
    const route = open([
      entry(0),
      entry(3),
      entry(7, { vlanList: [{ vf: 7, vlan: 12, qos: 5, protocol: ETH_P_8021AD }] }),
    ]);
    expect(getVf(route, 1, 3)?.mac).toBe("02:00:00:00:00:03");
    expect(getVf(route, 1, 7)).toMatchObject({
      mac: "02:00:00:00:00:07",
      vlan: { id: 12, qos: 5, protocol: ETH_P_8021AD },
    });
    expect(getVf(route, 1, 1)).toBeUndefined();
    expect(getVf(open([]), 1, 0)).toBeUndefined();
  });

  it("tells what a driver does not report from off", () => {
    const nothing = 0xffffffff;
    const route = open([
      entry(0, { spoofchk: { vf: 0, setting: nothing }, trust: { vf: 0, setting: nothing } }),
      entry(1, {
        spoofchk: { vf: 1, setting: 0 },
        trust: { vf: 1, setting: 1 },
        linkState: { vf: 1, state: 2 },
        rate: { vf: 1, min: 10, max: 20 },
      }),
    ]);
    expect(getVf(route, 1, 0)).toMatchObject({ spoofchk: undefined, trust: undefined, linkState: undefined });
    expect(getVf(route, 1, 1)).toMatchObject({
      spoofchk: false,
      trust: true,
      linkState: 2,
      minTxRate: 10,
      maxTxRate: 20,
    });
  });

  it("of a PF with 256 VFs, whose answer does not fit the first buffer", () => {
    const entries = Array.from({ length: 256 }, (_, vf) =>
      entry(vf, {
        spoofchk: { vf, setting: 1 },
        trust: { vf, setting: 0 },
        rate: { vf, min: 0, max: vf },
        linkState: { vf, state: 0 },
        vlanList: [{ vf, vlan: vf, qos: 0, protocol: ETH_P_8021Q }],
      }),
    );
    const route = open(entries);
    expect(getVf(route, 1, 255)).toMatchObject({ vf: 255, vlan: { id: 255 }, maxTxRate: 255 });
    expect(getVf(route, 1, 0)).toMatchObject({ vf: 0, vlan: { id: 0 } });
  });

  it("of a PF with 400 VFs, whose list exceeds the 16-bit length", () => {
    const listAt = 24;
    const messageOf = (vf: number): Uint8Array => {
      const writer = new Writer(64);
      const vlans = Array.from({ length: 6 }, () => ({ vf, vlan: vf, qos: 0, protocol: ETH_P_8021Q }));
      writeLink(writer, 1, 0, 0, { name: "pf0", vfInfo: [entry(vf, { vlanList: vlans })] });
      return writer.written().slice();
    };
    const parts = Array.from({ length: 400 }, (_, vf) => messageOf(vf).subarray(listAt + 4));
    const size = 4 + parts.reduce((sum, part) => sum + part.length, 0);
    expect(size).toBeGreaterThan(65_536);
    // As the kernel closes a nest: without looking whether it fits.
    const head = messageOf(0).slice(0, listAt + 4);
    new DataView(head.buffer).setUint16(listAt, size & 0xffff, true);
    const other = new Uint8Array([8, 0, 42, 0, 1, 0, 0, 0]);
    const route = new FakeKernel(([request]: Request[]) => [
      { messages: [message(16, 0, request!, concat([head, ...parts, other]))] },
    ]).open();
    for (const vf of [0, 200, 399]) expect(getVf(route, 1, vf)).toMatchObject({ vf, vlan: { id: vf } });
    expect(queryVf(route, 1, 400)).toBe("left out");
  });

  it("tells apart why nothing is said", () => {
    expect(queryVf(open([]), 1, 0)).toBe("left out");
    expect(queryVf(open([entry(1)]), 1, 0)).toBe("left out");
    const without = new Writer(64);
    writeLink(without, 1, 0, 0, { name: "pf0" });
    const silent = new FakeKernel(([request]) => [{ messages: [message(16, 0, request!, without.written())] }]).open();
    expect(queryVf(silent, 1, 0)).toBe("no attributes");
    const long = new FakeKernel(([request]) => [{ messages: [ack(request!, 90)] }]).open();
    expect(queryVf(long, 1, 0)).toBe("too many");
    expect(getVf(long, 1, 0)).toBeUndefined();
  });

  it("of a PF that is gone is an error", () => {
    const route = new FakeKernel(([request]) => [{ messages: [ack(request!, 19)] }]).open();
    expect(() => getVf(route, 1, 0)).toThrow(expect.objectContaining({ code: "ENODEV" }));
  });
});
