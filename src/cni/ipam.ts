// Addresses from the IPAM plugin that the configuration names: static and host-local run in this process, others are executed.
import type { Call } from "./plugin.ts";
import type { Result } from "./result.ts";

/** True when the configuration asks for IPAM (`ipam.type` not empty). */
export function wantsIpam(call: Call): boolean {
  return (call.config.ipam?.type ?? "") !== "";
}

/**
 * ADD. The release is put on call.transaction before this returns (and is done before it throws).
 * The result has at least one address, and no interfaces.
 */
export function ipamAdd(_call: Call): Result {
  throw new Error("not built yet");
}

/** DEL, CHECK, GC or STATUS of the IPAM plugin; no-op without one. */
export function ipamRun(_call: Call, _command: "DEL" | "CHECK" | "GC" | "STATUS"): void {
  throw new Error("not built yet");
}
