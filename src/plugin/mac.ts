// The MAC address that a configuration, the network's user or the runtime requests. For plugins that create an Ethernet interface.
import type { Call, NetworkConfig } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { formatMac, parseMac } from "../ip/mac.ts";

interface MacConfig extends NetworkConfig {
  mac?: string;
}

/** The source of a requested MAC address, its JSON pointer, and the address. All are "" if no address is requested. */
interface MacSource {
  where: string;
  at: string;
  text: string;
}

/**
 * The requested MAC address in colon form: from the runtime, or else `args`, or else CNI_ARGS (which the spec has ignored if `args` says the same
 * thing, C-142), or else the configuration. "": the plugin chooses. Throws Failure("invalid config").
 */
export function wantedMac(call: Call<MacConfig>): string {
  return macOf(macSource(call));
}

export function macSource({ config, args }: Call<MacConfig>): MacSource {
  return (
    asked("runtimeConfig.mac", "/runtimeConfig/mac", config.runtimeConfig?.mac) ??
    asked("args.cni.mac", "/args/cni/mac", config.args?.cni?.mac) ??
    asked("CNI_ARGS MAC", "", args.get("MAC")) ??
    asked("mac", "/mac", config.mac) ?? { where: "", at: "", text: "" }
  );
}

function asked(where: string, at: string, text: unknown): MacSource | undefined {
  return typeof text === "string" && text !== "" ? { where, at, text } : undefined;
}

/** Throws Failure("invalid config"). `cure`: the details of the error, instead of what is wrong with the address. */
export function macOf({ where, text }: MacSource, cure?: string): string {
  return text === "" ? "" : unicastMac(where, text, cure);
}

export function unicastMac(where: string, text: string, cure?: string): string {
  const bytes = parseMac(text);
  const problem =
    bytes === undefined
      ? "is not a MAC address"
      : bytes.length !== 6
        ? `has ${bytes.length} bytes; an Ethernet address has 6`
        : bytes.every((byte) => byte === 0)
          ? "cannot be the address of an interface"
          : (bytes[0]! & 1) === 1
            ? "is a multicast address"
            : "";
  if (bytes !== undefined && problem === "") return formatMac(bytes);
  throw new Failure(
    "invalid config",
    `invalid MAC address ${text}`,
    cure ?? `${where} ${problem}. A locally administered address begins with 02, such as 02:00:5e:10:00:01.`,
  );
}
