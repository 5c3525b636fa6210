import { describe, expect, test } from "vitest";
import type { Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { difference, ETH_P_8021AD, ETH_P_8021Q, type VfState } from "../../src/link/vf.ts";
import { wantedState } from "./attributes.ts";
import type { SriovConfig } from "./config.schema.ts";
import { validate, wantedMac } from "./config.ts";

const call = (config: Partial<SriovConfig>, args: Record<string, string> = {}): Call<SriovConfig> =>
  ({
    command: "ADD",
    config: { name: "n", type: "sriov", deviceID: "0000:af:06.1", ...config },
    args: { get: (key: string) => args[key] },
  }) as unknown as Call<SriovConfig>;

const state: VfState = {
  vf: 0,
  mac: "00:00:00:00:00:00",
  vlan: { id: 0, qos: 0, protocol: ETH_P_8021Q },
  linkState: 0,
  spoofchk: true,
  trust: false,
  minTxRate: 100,
  maxTxRate: 0,
};

describe("a configuration", () => {
  test.each<[string, Partial<SriovConfig>]>([
    ["a VLAN", { vlan: 100 }],
    ["802.1Q in capitals", { vlan: 100, vlanProto: "802.1Q" }],
    ["802.1ad", { vlan: 100, vlanProto: "802.1ad" }],
    ["what operators render", { vlan: 0, vlanQoS: 0, ipam: {} }],
    ["VLAN 0 with its defaults", { vlan: 0, vlanQoS: 0, vlanProto: "802.1Q" }],
  ])("may have %s", (_, config) => expect(() => validate(call(config))).not.toThrow());

  test.each<[string, Partial<SriovConfig>]>([
    ["a priority without VLAN", { vlanQoS: 1 }],
    ["a priority with VLAN 0", { vlan: 0, vlanQoS: 1 }],
    ["a protocol without VLAN", { vlanProto: "802.1ad" }],
    ["802.1ad with VLAN 0", { vlan: 0, vlanProto: "802.1ad" }],
    ["an unknown protocol", { vlan: 100, vlanProto: "802" }],
    ["a guaranteed rate above the highest", { min_tx_rate: 200, max_tx_rate: 100 }],
    ["a multicast address", { mac: "01:00:5e:00:00:01" }],
    ["no device", { deviceID: "" }],
  ])("may not have %s", (_, config) => expect(() => validate(call(config))).toThrow(Failure));

  test("takes the address from the runtime, else from CNI_ARGS, else from its own key, and normalises it", () => {
    const config = { mac: "02-00-00-00-00-0A", runtimeConfig: { mac: "02:00:00:00:00:0C" } };
    expect(wantedMac(call(config, { MAC: "02:00:00:00:00:0B" }))).toBe("02:00:00:00:00:0c");
    expect(wantedMac(call({ mac: config.mac }, { MAC: "02:00:00:00:00:0B" }))).toBe("02:00:00:00:00:0b");
    expect(wantedMac(call({ mac: config.mac }))).toBe("02:00:00:00:00:0a");
    const args = { cni: { mac: "02:00:00:00:00:0d" } };
    expect(wantedMac(call({ mac: config.mac, args }, { MAC: "02:00:00:00:00:0B" }))).toBe("02:00:00:00:00:0d");
    expect(wantedMac(call({ ...config, args }))).toBe("02:00:00:00:00:0c");
  });
});

describe("attributes", () => {
  const changes = (config: Partial<SriovConfig>, now = state) =>
    difference(wantedState({ name: "n", type: "sriov", ...config }, now), now);

  test("that are in force are not set again", () => {
    expect(changes({ vlan: 0, vlanQoS: 0, spoofchk: "on", trust: "off", link_state: "auto" })).toEqual({});
  });

  test("that are not configured are not touched", () => expect(changes({})).toEqual({}));

  test("that differ are set, and one rate keeps the other", () => {
    expect(changes({ vlan: 5, vlanProto: "802.1AD", max_tx_rate: 400, trust: "on" })).toEqual({
      vlan: { id: 5, qos: 0, protocol: ETH_P_8021AD },
      rate: { min: 100, max: 400 },
      trust: true,
    });
  });

  test("come in the order the kernel works them off, which names the one it refused", () => {
    expect(Object.keys(changes({ trust: "on", link_state: "enable", spoofchk: "off", vlan: 5 }))).toEqual([
      "vlan",
      "spoofchk",
      "linkState",
      "trust",
    ]);
  });

  test("that the driver does not report are set", () => {
    const { trust: _, ...silent } = state;
    expect(changes({ trust: "off" }, { ...silent, trust: undefined })).toEqual({ trust: false });
  });
});
