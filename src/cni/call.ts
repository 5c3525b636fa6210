// Converts a request to the Call that a plugin gets. Everything that can be refused in advance is refused here.
import type { Place } from "../config/policy.ts";
import { Failure } from "../errors.ts";
import { LOCK_UN } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../link/namespace.ts";
import { log } from "../log.ts";
import { lockWithin } from "../state/lock.ts";
import { Transaction } from "../transaction.ts";
import { parseArgs } from "./args.ts";
import { readAttachments } from "./attachments.ts";
import { configFor, isLenient, isStrictAboutArgs } from "./config.ts";
import { toFailure } from "./failure.ts";
import { prepareIpam, wantsIpam } from "./ipam.ts";
import { setUpLog, startLog } from "./log-file.ts";
import { excerpt } from "./names.ts";
import type { Call, Command, Plugin } from "./plugin.ts";
import type { Request } from "./request.ts";
import type { Result } from "./result.ts";
import { noAddress, ResultError, readResult } from "./result-json.ts";
import { isLegacy } from "./version.ts";

/** See cni/confine.ts. */
export type Confine = (plugin: Plugin, call: Call, logPlace: Place | undefined, refused: boolean) => void;

/**
 * Runs all checks that change nothing, and returns the call. Runs `confine` before it opens any path from the configuration; a `logFile`
 * directly in its root is the only exception. Throws Failure if the call is refused.
 */
export function prepareCall(plugin: Plugin, request: Request, confine?: Confine): Call {
  const { command, name: network, containerId, ifName } = request;
  const noteFailure = (): void => {
    if (command === "ADD") plugin.addFailed?.({ network, containerId, ifName });
  };
  let refusal: Error | undefined;
  try {
    const call = readCall(plugin, request);
    const logPlace = placeOfLog(plugin, call);
    refusal = whyRefused(plugin, call);
    // This must come before `confine`: afterwards, a refused call cannot write any files.
    if (refusal !== undefined) noteFailure();
    // A log file that is directly in its root, or that is the root itself, has no directory to which `confine` could grant access. It is
    // safe to open it before `confine`, because a single path component, opened without following links, cannot lead anywhere else.
    const isOneName = logPlace !== undefined && logPlace.steps.length < 2;
    if (isOneName) startLog(logPlace);
    confine?.(plugin, call, isOneName ? undefined : logPlace, refusal !== undefined);
    if (logPlace !== undefined && !isOneName) startLog(logPlace);
    if (refusal === undefined) return call;
  } catch (error) {
    if (refusal === undefined) noteFailure();
    throw error;
  }
  throw refusal;
}

/** Throws Failure when the configuration is not valid. */
function readCall(plugin: Plugin, request: Request): Call {
  const { command, raw, name: network, containerId, ifName } = request;
  const ignored: string[] = [];
  const config = configFor(plugin, { command, raw, ignored });
  return {
    command,
    attachment: { network, containerId, ifName },
    netns: request.netns,
    args: parseArgs(request.args, plugin.knownArgs, isStrictAboutArgs(command)),
    path: request.path,
    // readRequest has checked this name. The configuration's own keys could contain another spelling of it.
    config: { ...config, name: network, type: request.type },
    stdin: request.stdin,
    raw,
    version: request.version,
    prevResult: previousResult(command, raw, request.version),
    validAttachments: command === "GC" ? readAttachments(raw) : [],
    transaction: new Transaction(),
    ignored,
  };
}

/** Opens nothing that the configuration names. Returns the error instead of throwing it: the error goes into the log, which is not open yet. */
function whyRefused(plugin: Plugin, call: Call): Error | undefined {
  try {
    if (!isLenient(call.command)) {
      plugin.validate(call);
      if (plugin.kind === "interface") checkInterfaceCall(plugin, call);
    }
    const pod = podOf(plugin, call);
    if (pod !== undefined && (call.command === "ADD" || call.command === "DEL")) waitForTurn(pod);
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error;
  }
}

function placeOfLog(plugin: Plugin, { command, attachment, config }: Call): Place | undefined {
  const context = {
    plugin: plugin.name,
    command,
    network: excerpt(attachment.network),
    containerID: excerpt(attachment.containerId),
    ifName: attachment.ifName,
  };
  try {
    return setUpLog(config, context);
  } catch (error) {
    if (!isLenient(command)) throw error;
    log("warning", "logging to stderr instead", { cause: toFailure(error).message });
    return undefined;
  }
}

function checkInterfaceCall(plugin: Plugin, call: Call): void {
  if (call.command === "CHECK" && call.prevResult === undefined) {
    throw new Failure(
      "invalid config",
      "Required prevResult missing",
      "CHECK compares the interface with the result of ADD.",
    );
  }
  if (call.command === "ADD" && call.attachment.ifName === "lo") {
    throw new Failure(
      "invalid environment",
      "interface name is lo (CNI_IFNAME)",
      "Every namespace already has a loopback interface.",
    );
  }
  if (wantsIpam(call)) {
    prepareIpam(call);
  } else if (call.command === "ADD" && isLegacy(call.version) && (call.prevResult?.ips.length ?? 0) === 0) {
    // The Go plugins detect this error only after they have created the interface.
    if (plugin.hasOwnAddresses?.(call) !== true) throw noAddress(call.version);
  }
}

/** Reads `prevResult`. undefined: there is none, the command does not use it, or (on DEL) it is not valid. Throws Failure. */
function previousResult(command: Command, raw: object, version: string): Result | undefined {
  const previous = (raw as { [key: string]: unknown }).prevResult;
  if (previous === undefined || previous === null || command === "STATUS" || command === "GC") return undefined;
  try {
    return readResult(previous, version, "previous");
  } catch (error) {
    if (!(error instanceof ResultError)) throw error;
    if (!isLenient(command)) {
      const cure =
        '"prevResult" must be the result of ADD that the runtime cached, or the result of the previous plugin.';
      throw new Failure("invalid config", `could not parse prevResult: ${error.message}`, cure);
    }
    log("warning", "ignoring prevResult", { cause: error.message });
    return undefined;
  }
}

/**
 * Opens the pod's namespace, and refuses the node's own namespace: the plugin would change the node's interfaces
 * (containernetworking/plugins#714). Compares open namespaces, because different paths can lead to the same namespace. Returns undefined for
 * IPAM plugins, which do not use the namespace.
 */
function podOf(plugin: Plugin, call: Call): NetNs | undefined {
  if (plugin.kind !== "interface" || call.netns === "") return undefined;
  // Open the namespace even if CNI_NETNS_OVERRIDE makes the check below unnecessary: confine.ts can forbid opening it later.
  const pod = call.command === "DEL" ? openForDel(call.netns) : openNamespace(call.netns);
  const override = (host.getenv("CNI_NETNS_OVERRIDE") ?? "").toLowerCase();
  if (pod === undefined || override === "1" || override === "true") return undefined;
  const ofNode = sameNamespace(pod, ownNamespace()) || isInitNamespace(pod);
  if (!ofNode) return pod;
  if (call.command === "DEL" && /^\/proc\/[0-9]+\/ns\/net$/.test(call.netns)) {
    // The pod's process has exited, and a process of the node now has its ID, so the path no longer leads to the pod.
    log(
      "warning",
      "the kernel has reused the process ID in CNI_NETNS, so the path now refers to the node's own network namespace",
      {
        netns: call.netns,
      },
    );
    call.netns = "";
    return undefined;
  }
  throw new Failure(
    "invalid environment",
    "plugin's netns and netns from CNI_NETNS should not be the same",
    `CNI_NETNS ${excerpt(call.netns)} is the node's own network namespace. Nothing was changed. CNI_NETNS_OVERRIDE=1 allows this namespace.`,
  );
}

/** Longer than any call takes that does not wait for a delegate, but short enough if the pod itself holds the lock. */
const TURN_MS = 3000;

/**
 * Makes ADDs and DELs of one pod run one after another. A runtime that gives up on an ADD sends DEL while the ADD is still running. If this
 * DEL looked for the interface before ADD created it, DEL would free the address of an interface that continues to exist
 * (conformance/interleave). The process holds the lock until it exits. The wait is limited, because the pod can lock its own
 * /proc/self/ns/net too.
 */
function waitForTurn(pod: NetNs): void {
  if (lockWithin(pod.fd, TURN_MS)) {
    turn = pod.fd;
    return;
  }
  log("warning", "another process holds a lock on the pod's network namespace; continuing without it", {
    netns: pod.path,
    waitedMs: TURN_MS,
  });
}

let turn: Fd | undefined;

/**
 * Releases the lock of waitForTurn. This is for a process that continues after the call, such as `podnic add`: other plugins in the chain
 * (sbr) lock the namespace too, and would wait for this process.
 */
export function endTurn(): void {
  const fd = turn;
  turn = undefined;
  try {
    if (fd !== undefined) host.flock(fd, LOCK_UN);
  } catch (error) {
    // link/namespace.ts keeps the first namespace open, so `fd` cannot refer to another file by now.
    if (!(error instanceof SystemError)) throw error;
  }
}

/** If DEL cannot open the namespace, it does what is possible without it, and reports the error at the end. */
function openForDel(path: string): NetNs | undefined {
  try {
    return openNamespace(path, "ok");
  } catch (error) {
    log("warning", "cannot open the pod's namespace", { cause: toFailure(error).message });
    return undefined;
  }
}

function isInitNamespace(pod: { dev: number; ino: number }): boolean {
  try {
    const { dev, ino } = host.stat("/proc/1/ns/net");
    return pod.dev === dev && pod.ino === ino;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false; // this process cannot read /proc/1: a user namespace, hidepid
  }
}
