// Gets addresses from the IPAM plugin in the configuration. static and host-local run in this process; podnic executes all others.
import { Cleanup } from "../cleanup.ts";
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";
import { type Address, formatAddress, formatPrefix } from "../ip/address.ts";
import { openNamespace } from "../link/namespace.ts";
import { log } from "../log.ts";
import { parseArgs } from "./args.ts";
import { withAttachments } from "./attachments.ts";
import { configFor, isLenient, isStrictAboutArgs } from "./config.ts";
import { addWithDelegate, runDelegate } from "./delegate.ts";
import { findDelegate } from "./find-delegate.ts";
import { excerpt } from "./names.ts";
import { isInterfacePluginOfOthers } from "./others.ts";
import type { Attachment, Call, IpamCall, Lease, Plugin } from "./plugin.ts";
import { findPlugin, ipamNames } from "./registry.ts";
import type { Result } from "./result.ts";

/** True when the configuration asks for IPAM (`ipam.type` not empty). */
export function wantsIpam(call: Call): boolean {
  return (call.config.ipam?.type ?? "") !== "";
}

/**
 * Finds the IPAM plugin and checks its part of the configuration. dispatch does this before the interface's plugin acts, so that a typo
 * in a range is refused before a device has moved. Once for a call.
 */
export function prepareIpam(call: Call): IpamCall {
  if (call.ipam !== undefined) return call.ipam;
  const name = call.config.ipam?.type ?? "";
  const plugin = findPlugin(name);
  if (plugin?.kind === "ipam") {
    const own = callOf(plugin, call);
    if (!isLenient(call.command)) plugin.validate(own);
    call.ipam = { plugin, call: own };
  } else {
    refuseInterfacePlugin(name, plugin);
    call.ipam = { delegate: findDelegate(name, call.path) };
  }
  return call.ipam;
}

/** An interface plugin takes the same configuration and looks for its IPAM plugin again, and so on without end. */
export function refuseInterfacePlugin(name: string, plugin: Plugin | undefined): void {
  if (plugin === undefined && !name.startsWith("podnic") && !isInterfacePluginOfOthers(name)) return;
  throw new Failure(
    "invalid config",
    `${JSON.stringify(excerpt(name))} is not an IPAM plugin`,
    `"ipam.type" must name an IPAM plugin: ${ipamNames().join(", ")}, or one in CNI_PATH such as dhcp.`,
  );
}

/** The same call as the IPAM plugin would get it as a process of its own. */
function callOf(plugin: Plugin, call: Call): Call {
  return {
    ...call,
    args: parseArgs(host.getenv("CNI_ARGS") ?? "", plugin.knownArgs, isStrictAboutArgs(call.command)),
    config: configFor(plugin, call),
    isPart: true,
  };
}

/** ADD. Its undo is on call.transaction when this returns or throws. The result has at least one address, and no interfaces. */
export function ipamAdd(call: Call): Result {
  const ipam = prepareIpam(call);
  const result = "plugin" in ipam ? ipam.plugin.add(ipam.call) : addWithDelegate(ipam.delegate, call);
  checkAnswer(call, result);
  return result;
}

/** Throws Failure for an answer that no interface can be given. */
export function checkAnswer(call: Call, result: Result): void {
  checkFamilies(call, result);
  if (result.ips.length > 0) return;
  throw ipamError(
    call,
    "returned missing IP config",
    'It returned no address. Specify one in "ipam" ("addresses" of static, "ranges" of host-local), or remove "ipam".',
  );
}

function ipamError(call: Call, what: string, why: string): Failure {
  return new Failure(
    "invalid config",
    `IPAM plugin ${what}`,
    `ipam.type ${JSON.stringify(call.config.ipam?.type)}: ${why}`,
  );
}

/** A gateway of the other family is a slip of the pen. The kernel would take an IPv6 next hop for IPv4, and results cannot say so. */
function checkFamilies(call: Call, { ips, routes }: Result): void {
  for (const { address, gateway } of ips) {
    if (gateway === undefined || gateway.family === address.address.family) continue;
    const why = `${formatAddress(gateway)} cannot be the gateway for ${formatPrefix(address)}.`;
    throw ipamError(call, "returned an address and a gateway of different families", why);
  }
  for (const { dst, gw } of routes) {
    if (gw === undefined || gw.family === dst.address.family || gw.bytes.every((byte) => byte === 0)) continue;
    const why = `${formatAddress(gw)} cannot be the next hop of a route to ${formatPrefix(dst)}.`;
    throw ipamError(call, "returned a route whose next hop is of the other family", why);
  }
}

/** undefined: no ADD was allowed to use it, so that there is nothing to clean up. */
function prepareLeniently(call: Call): IpamCall | undefined {
  try {
    return prepareIpam(call);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "invalid config") throw error;
    log("warning", "the IPAM plugin was not run", { cause: error.message });
    return undefined;
  }
}

/** DEL, CHECK, GC or STATUS of the IPAM plugin; no-op without one. */
export function ipamRun(call: Call, command: "DEL" | "CHECK" | "GC" | "STATUS"): void {
  if (!wantsIpam(call)) return;
  const ipam = isLenient(call.command) ? prepareLeniently(call) : prepareIpam(call);
  if (ipam === undefined) return;
  if ("delegate" in ipam) {
    runDelegate(ipam.delegate, call, command);
    return;
  }
  const { plugin, call: own } = ipam;
  if (command === "DEL") plugin.del(own);
  else if (command === "CHECK") plugin.check(own);
  else if (command === "GC") plugin.gc(own);
  else plugin.status(own);
}

/**
 * DEL of an interface plugin: `remove` takes the interface out of the pod, and throws unless the pod is known to be without it. Until then its
 * addresses are in use, and stay leased. A plugin that is executed runs before, while it can: dhcp sends its release over the interface.
 */
export function delWithIpam(call: Call, remove: () => void): void {
  const cleanup = new Cleanup();
  const early = isDelegated(call) && canTell(call.netns);
  if (early) cleanup.attempt(() => ipamRun(call, "DEL"));
  let gone = false;
  cleanup.attempt(() => {
    remove();
    gone = true;
  });
  if (early && !gone)
    log("warning", "the IPAM plugin has already been called: the pod may still have an address that is released", {
      ipam: call.config.ipam?.type ?? "",
    });
  if (gone && !early) cleanup.attempt(() => ipamRun(call, "DEL"));
  cleanup.finish();
}

/** The configuration's IPAM plugin is none of ours: it is executed, and may want the interface in place (dhcp). */
export function isDelegated(call: Call): boolean {
  return wantsIpam(call) && findPlugin(call.config.ipam?.type ?? "")?.kind !== "ipam";
}

/**
 * ADD, after ipamAdd: the attachment had no addresses before, so that whatever an earlier ADD made for it has been removed by its DEL
 * (delWithIpam frees the addresses last).
 */
export function isProvenNew(call: Call): boolean {
  return wantsIpam(call) && findPlugin(call.config.ipam?.type ?? "")?.refusesSecond === true;
}

/** The attachment has an address from a pool of ours. Throws when the pool cannot be looked at for now. */
export function holdsAddress(call: Call): boolean {
  const ipam = wantsIpam(call) ? prepareLeniently(call) : undefined;
  if (ipam === undefined || "delegate" in ipam || ipam.plugin.refusesSecond !== true) return false;
  try {
    ipam.plugin.check(ipam.call);
    return true;
  } catch (error) {
    if (error instanceof Failure && error.kind !== "try again") return false;
    throw error;
  }
}

/** GC: the leases, in a pool of ours, of attachments that are not valid any more. */
export function staleLeases(call: Call): Lease[] {
  if (!wantsIpam(call) || findPlugin(call.config.ipam?.type ?? "")?.stale === undefined) return [];
  const ipam = prepareLeniently(call);
  return ipam === undefined || "delegate" in ipam ? [] : (ipam.plugin.stale?.(ipam.call) ?? []);
}

/** Who has the address in a pool of ours. undefined: nobody, or that is not known. */
export function holderOf(call: Call, address: Address): Pick<Attachment, "containerId" | "ifName"> | undefined {
  const ipam = wantsIpam(call) ? prepareLeniently(call) : undefined;
  return ipam === undefined || "delegate" in ipam ? undefined : ipam.plugin.holderOf?.(ipam.call, address);
}

/** The pod's namespace is here, or proven to be gone. */
function canTell(netns: string): boolean {
  try {
    if (netns !== "") openNamespace(netns, "ok");
    return true;
  } catch {
    return false;
  }
}

/**
 * GC of the IPAM plugin. `kept`: attachments that are not valid any more but whose interface could not be taken out of their pod; their
 * leases stay.
 */
export function gcWithIpam(call: Call, kept: Pick<Attachment, "containerId" | "ifName">[]): void {
  ipamRun(kept.length === 0 ? call : withValid(call, kept), "GC");
}

/** As if the runtime had named them. Not yet prepared for IPAM with those: GC is prepared when it is run. */
function withValid({ ipam: _, ...call }: Call, kept: Pick<Attachment, "containerId" | "ifName">[]): Call {
  const validAttachments = [...call.validAttachments, ...kept];
  const raw = withAttachments(call.raw, validAttachments);
  return { ...call, validAttachments, raw, stdin: host.encode(JSON.stringify(raw)) };
}
