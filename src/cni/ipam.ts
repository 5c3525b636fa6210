// Gets addresses from the IPAM plugin in the configuration. static and host-local run in this process; podnic executes all others.
import { Cleanup } from "../cleanup.ts";
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";
import { type Address, formatAddress, formatPrefix } from "../ip/address.ts";
import { openNamespace } from "../link/namespace.ts";
import { log } from "../log.ts";
import { addressFault } from "./addresses.ts";
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

/** True if the configuration has a non-empty `ipam.type`. */
export function wantsIpam(call: Call): boolean {
  return (call.config.ipam?.type ?? "") !== "";
}

/**
 * Finds the IPAM plugin and checks its part of the configuration. prepareCall does this before the interface plugin acts, so that podnic
 * refuses a typo in a range before it moves a device. Further calls return the same result. Throws Failure.
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

/** Refuses an interface plugin as `ipam.type`: it would read the same configuration, and run itself as its own IPAM plugin again and again. */
export function refuseInterfacePlugin(name: string, plugin: Plugin | undefined): void {
  if (plugin === undefined && !name.startsWith("podnic") && !isInterfacePluginOfOthers(name)) return;
  throw new Failure(
    "invalid config",
    `${JSON.stringify(excerpt(name))} is not an IPAM plugin`,
    `"ipam.type" must name an IPAM plugin: ${ipamNames().join(", ")}, or one in CNI_PATH such as dhcp.`,
  );
}

/** The call as the IPAM plugin would get it if it ran as a separate process. */
function callOf(plugin: Plugin, call: Call): Call {
  return {
    ...call,
    args: parseArgs(host.getenv("CNI_ARGS") ?? "", plugin.knownArgs, isStrictAboutArgs(call.command)),
    config: configFor(plugin, call),
    isPart: true,
  };
}

/**
 * Runs ADD of the IPAM plugin. The undo step is on call.transaction, even if this throws. The result has at least one address, and no
 * interfaces.
 */
export function ipamAdd(call: Call): Result {
  const ipam = prepareIpam(call);
  const result = "plugin" in ipam ? ipam.plugin.add(ipam.call) : addWithDelegate(ipam.delegate, call);
  checkAnswer(call, result);
  return result;
}

/** Throws Failure if an interface cannot be configured with the IPAM plugin's result. */
export function checkAnswer(call: Call, result: Result): void {
  checkFamilies(call, result);
  const fault = addressFault(result.ips);
  if (fault !== undefined) throw ipamError(call, `returned ${fault}`, "Use another address.");
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

/**
 * Refuses a gateway of the other family, which is always a mistake. The kernel would accept an IPv6 next hop for an IPv4 route, but a CNI
 * result cannot express it.
 */
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

/** undefined: the IPAM plugin is not valid in a configuration, so no ADD has used it, and there is nothing to clean up. */
function prepareLeniently(call: Call): IpamCall | undefined {
  try {
    return prepareIpam(call);
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "invalid config") throw error;
    log("warning", "the IPAM plugin was not run", { cause: error.message });
    return undefined;
  }
}

/** Runs DEL, CHECK, GC or STATUS of the IPAM plugin. Does nothing if the configuration has none. */
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
 * DEL of an interface plugin. `remove` removes the interface from the pod, and throws unless it is certain that the pod no longer has the
 * interface. Until then the pod uses the addresses, and they stay leased. If possible, a delegate runs before `remove`, because dhcp sends
 * its release over the interface.
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

/** True if the IPAM plugin is a delegate: a separate program, which may need the interface (dhcp). */
export function isDelegated(call: Call): boolean {
  return wantsIpam(call) && findPlugin(call.config.ipam?.type ?? "")?.kind !== "ipam";
}

/**
 * On ADD, after ipamAdd: true if ipamAdd has proved that the attachment had no addresses before. An earlier ADD has then been undone by its
 * DEL completely, because delWithIpam frees the addresses last.
 */
export function isProvenNew(call: Call): boolean {
  return wantsIpam(call) && findPlugin(call.config.ipam?.type ?? "")?.refusesSecond === true;
}

/** True if the attachment has an address from host-local. Throws Failure("try again") if the pool is locked, and SystemError. */
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

/** On GC: the leases in a host-local pool whose attachments are no longer valid. */
export function staleLeases(call: Call): Lease[] {
  if (!wantsIpam(call) || findPlugin(call.config.ipam?.type ?? "")?.stale === undefined) return [];
  const ipam = prepareLeniently(call);
  return ipam === undefined || "delegate" in ipam ? [] : (ipam.plugin.stale?.(ipam.call) ?? []);
}

/** The attachment that has the address from a host-local pool. undefined: there is none, or it is not known. */
export function holderOf(call: Call, address: Address): Pick<Attachment, "containerId" | "ifName"> | undefined {
  const ipam = wantsIpam(call) ? prepareLeniently(call) : undefined;
  return ipam === undefined || "delegate" in ipam ? undefined : ipam.plugin.holderOf?.(ipam.call, address);
}

/** True if the pod's namespace can be opened or is certainly gone. False if an error leaves this open. */
function canTell(netns: string): boolean {
  try {
    if (netns !== "") openNamespace(netns, "ok");
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs GC of the IPAM plugin. `kept` are attachments that are no longer valid, but whose interfaces could not be removed from their pods.
 * Their leases stay.
 */
export function gcWithIpam(call: Call, kept: Pick<Attachment, "containerId" | "ifName">[]): void {
  ipamRun(kept.length === 0 ? call : withValid(call, kept), "GC");
}

/** The call with these additional valid attachments. The result lacks `ipam`, so that ipamRun prepares it with the new list. */
function withValid({ ipam: _, ...call }: Call, kept: Pick<Attachment, "containerId" | "ifName">[]): Call {
  const validAttachments = [...call.validAttachments, ...kept];
  const raw = withAttachments(call.raw, validAttachments);
  return { ...call, validAttachments, raw, stdin: host.encode(JSON.stringify(raw)) };
}
