// Would an ADD find this node fit? For STATUS and `podnic doctor`. Changes nothing.
import type { Call } from "../../src/cni/plugin.ts";
import type { Bridge } from "../../src/link/bridge.ts";
import { probeMasquerade, probeSpoofCheck } from "../../src/nftables/probe.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { wantsMasquerade } from "./config.ts";
import { existingBridge } from "./find.ts";

/** The bridge; undefined: ADD makes it. Throws Failure when it cannot serve, or when the kernel lacks what the configuration asks for. */
export function requireFit(call: Call<BridgeConfig>): Bridge | undefined {
  const found = existingBridge(call);
  const { macspoofchk, macspoofchkBackend } = call.config;
  if (macspoofchk === true && macspoofchkBackend === "nftables") probeSpoofCheck();
  if (wantsMasquerade(call)) probeMasquerade();
  return found;
}
