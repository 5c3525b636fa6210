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

/** The sysctls of links, in all network namespaces. */
const SETTINGS = "/proc/sys/net";
/** The directory of a device that is in a pod can be anywhere below this directory. */
const DEVICES = "/sys/devices";
const STATE_MODE = 0o755;
const NONE: readonly never[] = [];

/**
 * Gives up the rights that this call does not need. `logPlace` is the place of a log file that is not open yet. `refused` is true if podnic
 * is going to refuse the call, which then writes only to the log. Throws SystemError if the kernel refuses; on DEL and GC, which clean up,
 * logs a warning instead.
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
 * Two kinds of calls cannot be confined. First, calls with a delegate: the delegate would inherit the restrictions, and podnic does not know
 * what it needs. Second, calls whose pod has a path below /proc (/proc/PID/ns/net), and clean-ups that may have to search for the pod there:
 * Landlock hides the namespaces of other processes.
 */
function isConfinable(plugin: Plugin, call: Call): boolean {
  if (plugin.kind !== "interface") return true;
  if (call.netns === "" ? isLenient(call.command) : call.netns.startsWith("/proc/")) return false;
  // The path does not exist any more, or leads to another pod by now. The interface can be in a namespace that only a process still keeps.
  if (call.command === "DEL" && (!isOpen(call.netns) || plugin.isElsewhere?.(call) === true)) return false;
  return !isDelegated(call);
}

/** The IPAM plugin decides whether podnic gives up access to files. Without one of podnic's IPAM plugins that decides, it does. */
function confinesFiles(plugin: Plugin, call: Call): boolean {
  if (plugin.kind !== "interface") return plugin.confinesFiles?.(call) !== false;
  if (findPlugin(call.config.ipam?.type ?? "")?.confinesFiles === undefined) return true;
  const ipam = ipamOf(call);
  return ipam === undefined || ipam.plugin.confinesFiles?.(ipam.call) !== false;
}

/**
 * The places that the plugin, and an IPAM plugin in this process, may have to write to. Ignores errors in the configuration on DEL and GC,
 * which report them later.
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

/** The IPAM plugin, if it runs in this process. */
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
 * Opens the directory to which `place` needs access, and adds it to `trees`: the place's root, or the first directory below a shared root,
 * which is never granted as a whole. If the directory cannot be opened, the call gets no access, and the code that later uses it reports
 * why.
 */
function openTree(place: Place, make: boolean, trees: Fd[]): void {
  const { root, steps } = place;
  const path = root.shared ? `${root.path}/${steps[0]}` : root.path;
  // The administrator's own root can be a link.
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

/**
 * Creates the directory in the way of the code that will write there, which cannot create it after the confinement. Logs a SystemError,
 * because this code would get a different one. This code reports a Failure itself.
 */
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

/** Opens the trees whose existing files the call can write. A missing tree is no error here: the code that writes a setting reports it. */
function openSettings({ restoresDevices = false }: Plugin): readonly Fd[] {
  const sysctls = openIfThere(SETTINGS, O_PATH | O_DIRECTORY | O_CLOEXEC);
  const devices = restoresDevices ? openIfThere(DEVICES, O_PATH | O_DIRECTORY | O_CLOEXEC) : undefined;
  return [sysctls, devices].filter((fd) => fd !== undefined);
}
