// Checks a bridge configuration for values that contradict each other. Changes nothing.
import { wantsIpam } from "../../src/cni/ipam.ts";
import type { Call } from "../../src/cni/plugin.ts";
import { orFail, type Try } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { macSource, wantedMac } from "../../src/plugin/mac.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { vlansOf } from "./vlans.ts";

const DEFAULT_BRIDGE = "cni0";
/** Longest name of an interface in bytes. */
export const NAME_MAX = 15;
/** The kernel's smallest MTU of Ethernet. */
const MTU_MIN = 68;

export function bridgeName({ config }: Call<BridgeConfig>): string {
  return config.bridge ?? DEFAULT_BRIDGE;
}

export function isGateway({ config }: Call<BridgeConfig>): boolean {
  return config.isGateway === true || config.isDefaultGateway === true;
}

export function wantsMasquerade(call: Call<BridgeConfig>): boolean {
  return call.config.ipMasq === true && wantsIpam(call);
}

export function validate(call: Call<BridgeConfig>, attempt: Try = orFail): void {
  const { config } = call;
  attempt("/bridge", () => checkName(bridgeName(call)));
  attempt("/mtu", () => checkMtu(config.mtu ?? 0));
  attempt("/vlanTrunk", () => void vlansOf(config, attempt));
  const mac = attempt("/mac", () => macSource(call));
  if (mac) attempt(mac.at, () => void wantedMac(call));
  attempt("/promiscMode", () => {
    if (config.hairpinMode && config.promiscMode)
      throw contradiction("cannot set hairpin mode and promiscuous mode at the same time", "Set one of them to false.");
  });
  attempt("/disableContainerInterface", () => {
    if (config.disableContainerInterface && wantsIpam(call))
      throw contradiction(
        "cannot use IPAM when DisableContainerInterface flag is set",
        'An interface that stays down cannot have addresses. Remove "ipam" or "disableContainerInterface".',
      );
  });
  attempt("/silent", () => {
    if (config.silent && wantsIpam(call))
      throw contradiction(
        "silent and ipam cannot be combined",
        'ADD announces the addresses from IPAM. Remove "silent" or "ipam".',
      );
  });
}

/** Throws Failure. The kernel's rules, which it words as "Invalid argument"; and what /proc/sys uses for something else. */
export function checkName(name: string): void {
  const why =
    name === ""
      ? "The name is empty."
      : host.encode(name).length > NAME_MAX
        ? `The name is longer than ${NAME_MAX} bytes.`
        : name === "." || name === ".." || name.includes(":") || name.includes("%")
          ? "The kernel does not accept this name."
          : name === "all" || name === "default" || name === "lo"
            ? "This name is reserved: the kernel uses it in /proc/sys/net."
            : "";
  if (why === "") return;
  throw new Failure(
    "invalid config",
    `invalid bridge name ${JSON.stringify(name.slice(0, 128))}`,
    `${why} "bridge" must be the name of a bridge on the host, such as br1. A name has 1 to ${NAME_MAX} bytes.`,
  );
}

function checkMtu(mtu: number): void {
  if (mtu === 0 || mtu >= MTU_MIN) return;
  throw new Failure(
    "invalid config",
    `invalid MTU ${mtu}`,
    `Ethernet needs an MTU of at least ${MTU_MIN}. 0 means the bridge's MTU.`,
  );
}

function contradiction(message: string, cure: string): Failure {
  return new Failure("invalid config", message, cure);
}
