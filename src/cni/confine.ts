// Confines a call before it opens any path from its configuration. If podnic makes a mistake with a path that a tenant wrote, the call still
// cannot access anything that it does not need (docs/decisions.md). Only for processes that serve one call.
import { openPlace } from "../config/place.ts";
import type { Place } from "../config/policy.ts";
import { Failure } from "../errors.ts";
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { isOpen } from "../link/namespace.ts";
import { log } from "../log.ts";
import { closing } from "../state/files.ts";
import { isLenient } from "./config.ts";
import { isDelegated, prepareIpam } from "./ipam.ts";
import type { Call, Plugin } from "./plugin.ts";
import { findPlugin } from "./registry.ts";

/** One directory for all network namespaces: sysctls of links. */
const SETTINGS = "/proc/sys/net";
/** A device that is with a pod has its directory somewhere below. */
const DEVICES = "/sys/devices";
const STATE_MODE = 0o755;
const NONE: readonly never[] = [];

/**
 * Gives up what this call does not need. `logPlace`: where its log is still to be opened. `refused`: it is about to be refused, and writes
 * nothing else. On DEL and GC, which clean up, a kernel that does not let us is a warning.
 */
export function confineCall(plugin: Plugin, call: Call, logPlace: Place | undefined, refused: boolean): void {
  if (!isConfinable(plugin, call)) return;
  const makes = call.command === "ADD" || call.command === "STATUS";
  try {
    if (!refused && logPlace === undefined && !confinesFiles(plugin, call)) {
      host.confine();
      return;
    }
    host.confine(() => {
      const trees: Fd[] = [];
      const states = refused ? NONE : statesOf(plugin, call);
      for (let i = 0; i < states.length; i++) openTree(states[i]!, makes, trees);
      if (logPlace !== undefined) openTree(logPlace, !logPlace.root.shared, trees);
      return { trees, files: plugin.kind === "interface" ? openSettings(plugin) : NONE };
    });
  } catch (error) {
    if (!(error instanceof SystemError) || !isLenient(call.command)) throw error;
    log("warning", "cannot confine this process", { cause: error.message });
  }
}

/**
 * Not an IPAM plugin of others: it would inherit what binds us, and nobody knows what it needs. And Landlock hides the namespaces of other
 * processes in /proc (/proc/PID/ns/net), by which some runtimes name their pods: not calls that are about such a pod, or may have to find
 * one by a record.
 */
function isConfinable(plugin: Plugin, call: Call): boolean {
  if (plugin.kind !== "interface") return true;
  if (call.netns === "" ? isLenient(call.command) : call.netns.startsWith("/proc/")) return false;
  // The pod is gone by that name, or the name is another pod's by now: what it had may be in a namespace that only a process of it still keeps.
  if (call.command === "DEL" && (!isOpen(call.netns) || plugin.isElsewhere?.(call) === true)) return false;
  return !isDelegated(call);
}

/** The IPAM plugin decides: of interface plugins every call is confined. */
function confinesFiles(plugin: Plugin, call: Call): boolean {
  if (plugin.kind !== "interface") return plugin.confinesFiles?.(call) !== false;
  if (findPlugin(call.config.ipam?.type ?? "")?.confinesFiles === undefined) return true;
  const ipam = ipamOf(call);
  return ipam === undefined || ipam.plugin.confinesFiles?.(ipam.call) !== false;
}

/**
 * Where the plugin, and the IPAM plugin in its process, may have to write. What DEL finds wrong with the configuration is said in its turn.
 */
function statesOf(plugin: Plugin, call: Call): readonly Place[] {
  const own = written(plugin, call);
  if (plugin.kind !== "interface" || findPlugin(call.config.ipam?.type ?? "")?.writes === undefined) return own;
  const ipam = ipamOf(call);
  return ipam === undefined ? own : own.concat(written(ipam.plugin, ipam.call));
}

function written(plugin: Plugin, call: Call): readonly Place[] {
  return leniently(call, () => plugin.writes?.(call)) ?? NONE;
}

/** Our IPAM plugin, which is in this process. */
function ipamOf(call: Call): { plugin: Plugin; call: Call } | undefined {
  const ipam = leniently(call, () => prepareIpam(call));
  return ipam !== undefined && "plugin" in ipam ? ipam : undefined;
}

function leniently<T>({ command }: Call, body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof Failure) || !isLenient(command)) throw error;
    return undefined;
  }
}

/**
 * The root of the node's policy, or below one that others share the first directory, never the root itself. What cannot be opened may not
 * be written; why is said by whoever tries.
 */
function openTree(place: Place, make: boolean, trees: Fd[]): void {
  const { root, steps } = place;
  const path = root.shared ? `${root.path}/${steps[0]}` : root.path;
  // The administrator's own may be a link.
  const flags = root.shared ? O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_CLOEXEC;
  const fd =
    openIfThere(path, flags) ??
    (make && place.others !== true ? makeTree({ ...place, path, steps: steps.slice(0, 1) }, flags) : undefined);
  if (fd !== undefined) trees.push(fd);
}

function openIfThere(path: string, flags: number): Fd | undefined {
  try {
    return host.open(path, flags);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined;
  }
}

/** As whoever writes there would make it, who cannot any more; but says once more why it may not be. */
function makeTree(place: Place, flags: number): Fd | undefined {
  try {
    const made = openPlace("dataDir", place, { mode: place.mode ?? STATE_MODE });
    return made === undefined ? undefined : closing(made, () => openIfThere(place.path, flags));
  } catch (error) {
    if (error instanceof SystemError)
      log("warning", "cannot create the directory", { path: place.path, cause: error.message });
    else if (!(error instanceof Failure)) throw error;
    return undefined;
  }
}

/** The sysctls cannot be set where there is no /proc, which whoever sets one says; likewise the files of devices. */
function openSettings({ restoresDevices = false }: Plugin): readonly Fd[] {
  const sysctls = openIfThere(SETTINGS, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const devices = restoresDevices ? openIfThere(DEVICES, O_PATH | O_DIRECTORY | O_CLOEXEC) : undefined;
  return [sysctls, devices].filter((fd) => fd !== undefined);
}
