// Checks whether an ADD could succeed on this node, for STATUS and `podnic doctor`. Changes nothing.
import type { Call } from "../../src/cni/plugin.ts";
import { findPlugin } from "../../src/cni/registry.ts";
import { readWhatIsValid } from "../../src/config/validate.ts";
import { type Prefix, parseAddress, parsePrefix } from "../../src/ip/address.ts";
import { networkAddress, nextAddress } from "../../src/ip/range.ts";
import type { Bridge } from "../../src/link/bridge.ts";
import { probeMasquerade, probeSpoofCheck } from "../../src/nftables/probe.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { isGateway, wantsMasquerade } from "./config.ts";
import { existingBridge } from "./find.ts";
import { planGateway } from "./gateway.ts";

/** The bridge; undefined: ADD makes it. Throws Failure when it cannot serve, or when the kernel lacks what the configuration asks for. */
export function requireFit(call: Call<BridgeConfig>): Bridge | undefined {
  const found = existingBridge(call);
  const { macspoofchk, macspoofchkBackend } = call.config;
  if (macspoofchk === true && macspoofchkBackend === "nftables") probeSpoofCheck();
  if (wantsMasquerade(call)) probeMasquerade();
  return found;
}

/** Throws Failure when an ADD would be refused its gateway, as far as the configuration shows which one that is. */
export function requireGateway(call: Call<BridgeConfig>, bridge: Bridge | undefined): void {
  planGateway(call, bridge, isGateway(call) ? gatewaysInSight(call) : []);
}

interface Subnet {
  subnet?: unknown;
  address?: unknown;
  gateway?: unknown;
}

/** Of the addresses and ranges of an IPAM plugin that is built in; what is not valid others speak about. */
function gatewaysInSight({ config, raw }: Call<BridgeConfig>): Prefix[] {
  const plugin = findPlugin(config.ipam?.type ?? "");
  if (plugin?.kind !== "ipam") return [];
  const { ipam = {} } = readWhatIsValid<{ ipam?: Subnet & { addresses?: unknown; ranges?: unknown } }>(
    plugin.schema,
    raw,
  ).config;
  const { addresses, ranges, ...single } = ipam;
  const lists = [addresses, ...(Array.isArray(ranges) ? ranges : [])].filter(Array.isArray);
  const prefixes = [single, ...lists.flat()].map((one: Subnet | null): Prefix | undefined => {
    const text = one?.address ?? one?.subnet;
    const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
    const gateway =
      typeof one?.gateway === "string" ? parseAddress(one.gateway) : prefix && nextAddress(networkAddress(prefix));
    return prefix && gateway && { address: gateway, length: prefix.length };
  });
  return prefixes.filter((prefix) => prefix !== undefined);
}
