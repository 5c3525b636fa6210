// The MAC address that a configuration, its network's user or the runtime asks for. For plugins that make an Ethernet interface.
import type { Call, NetworkConfig } from "../cni/plugin.ts";
import { Failure } from "../errors.ts";
import { formatMac, parseMac } from "../ip/mac.ts";

interface MacConfig extends NetworkConfig {
  mac?: string;
}

/**
 * The MAC address wanted, colon form: the runtime's word, then `args`, then CNI_ARGS (which the spec has ignored when `args` says
 * the same thing, C-142), then the configuration's. "": the plugin's choice.
 */
export function wantedMac(call: Call<MacConfig>): string {
  const { where, text } = macSource(call);
  return text === "" ? "" : unicastMac(where, text);
}

/** `at`: its JSON pointer. */
export function macSource({ config, args }: Call<MacConfig>): { where: string; at: string; text: string } {
  const sources: [where: string, at: string, mac: unknown][] = [
    ["runtimeConfig.mac", "/runtimeConfig/mac", config.runtimeConfig?.mac],
    ["args.cni.mac", "/args/cni/mac", config.args?.cni?.mac],
    ["CNI_ARGS MAC", "", args.get("MAC")],
    ["mac", "/mac", config.mac],
  ];
  const [where, at, text] = sources.find(([, , mac]) => typeof mac === "string" && mac !== "") ?? ["", "", ""];
  return { where, at, text: text as string };
}

export function unicastMac(where: string, text: string): string {
  const bytes = parseMac(text);
  const problem =
    bytes === undefined
      ? "is no MAC address"
      : bytes.length !== 6
        ? `has ${bytes.length} bytes, an Ethernet address has 6`
        : bytes.every((byte) => byte === 0)
          ? "is no address of an interface"
          : (bytes[0]! & 1) === 1
            ? "is a multicast address"
            : "";
  if (bytes !== undefined && problem === "") return formatMac(bytes);
  throw new Failure(
    "invalid config",
    `invalid MAC address ${text}`,
    `${where} ${problem}; a locally administered address begins with 02, such as 02:00:5e:10:00:01`,
  );
}
