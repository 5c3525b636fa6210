import type { Call } from "../../src/cni/plugin.ts";
import { orFail } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { ETH_P_8021AD, ETH_P_8021Q, VF_LINK_AUTO, VF_LINK_DISABLE, VF_LINK_ENABLE } from "../../src/link/vf.ts";
import { macOf, macSource } from "../../src/plugin/mac.ts";
import type { SriovConfig } from "./config.schema.ts";

export function deviceOf(config: SriovConfig): string {
  return (config.deviceID || config.runtimeConfig?.deviceID || "").toLowerCase();
}

/** Lower-case colon form, or "". The runtime's word, then CNI_ARGS, then the configuration, as sriov-cni has it; `args` as in macvlan. */
export function wantedMac(call: Call<SriovConfig>): string {
  return macOf(macSource(call), "A VF needs a unicast Ethernet address, such as 02:00:5e:10:00:01.");
}

/** ETH_P_* of `vlanProto`; 802.1Q when absent. */
export function vlanProtocol(config: SriovConfig): number | undefined {
  const name = (config.vlanProto || "802.1q").toLowerCase();
  return name === "802.1q" ? ETH_P_8021Q : name === "802.1ad" ? ETH_P_8021AD : undefined;
}

/** VF_LINK_*; undefined when it is not to be touched. */
export function linkState({ link_state: name }: SriovConfig): number | undefined {
  if (name === "auto") return VF_LINK_AUTO;
  if (name === "enable") return VF_LINK_ENABLE;
  return name === "disable" ? VF_LINK_DISABLE : undefined;
}

/** Rules beyond the schema: what contradicts itself is refused before the VF is looked at. */
export function validate(call: Call<SriovConfig>, attempt = orFail): void {
  const { config, command } = call;
  attempt("", () => {
    if (command !== "STATUS" && deviceOf(config) === "") {
      refuse(
        "VF pci addr is required",
        '"deviceID" is missing. The pod must request the network\'s resource, or the configuration must set "deviceID".',
      );
    }
  });
  attempt("/vlanProto", () => {
    if (vlanProtocol(config) === undefined) {
      refuse(`vlanProto "${config.vlanProto}" is unknown`, "vlanProto must be 802.1q or 802.1ad.");
    }
  });
  for (const key of ["vlanQoS", "vlanProto"] as const) {
    attempt(`/${key}`, () => {
      if (config.vlan !== undefined || !config[key]) return;
      refuse("vlanQoS and vlanProto require vlan", 'Without "vlan", podnic does not change the VF\'s VLAN.');
    });
  }
  attempt("/vlanQoS", () => {
    if (config.vlan !== 0 || !config.vlanQoS) return;
    refuse("vlanQoS requires a vlan other than 0", "VLAN 0 means no VLAN tag.");
  });
  attempt("/vlanProto", () => {
    if (config.vlan !== 0 || vlanProtocol(config) !== ETH_P_8021AD) return;
    refuse("vlanProto 802.1ad requires a vlan other than 0", "VLAN 0 means no VLAN tag.");
  });
  attempt("/min_tx_rate", () => {
    const { min_tx_rate: min = 0, max_tx_rate: max = 0 } = config;
    if (max !== 0 && min > max)
      refuse(
        `min_tx_rate ${min} is above max_tx_rate ${max}`,
        "Both are in Mbit/s. Lower min_tx_rate, or raise max_tx_rate.",
      );
  });
  const mac = attempt("/mac", () => macSource(call));
  if (mac !== undefined) attempt(mac.at, () => wantedMac(call));
}

function refuse(message: string, details: string): never {
  throw new Failure("invalid config", message, details);
}
