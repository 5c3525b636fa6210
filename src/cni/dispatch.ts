// Runs a complete call: checks the request, runs the plugin, prints one document on stdout, and undoes the changes if something fails.
import { relaxPolicy } from "../config/policy.ts";
import { addDetails, Failure } from "../errors.ts";
import { SIGINT, SIGTERM } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { configureLog, isLogged, log, logLeftOut, oneLine } from "../log.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { type Confine, prepareCall } from "./call.ts";
import { isLenient } from "./config.ts";
import { delegateMark } from "./delegate.ts";
import { codeOf, errorDocument, toFailure } from "./failure.ts";
import { excerpt } from "./names.ts";
import type { Call, Plugin } from "./plugin.ts";
import { findPlugin, pluginNames } from "./registry.ts";
import { type Request, readRequest } from "./request.ts";
import { writeResult } from "./result-json.ts";
import { readWithin, writeAll } from "./stdio.ts";
import { checkVersion, isSupported, isVersion, newestVersion, supportedVersions } from "./version.ts";

/** Milliseconds that VERSION waits for a configuration if the runtime keeps stdin open (case VRS-05). */
const versionPatience = 50;

/** Writing the result to stdout failed. podnic then writes no error document, because stdout may contain a part of the result. */
class OutputError extends Failure {
  constructor(
    readonly thrown: unknown,
    undone = "All changes were undone.",
  ) {
    super("io", `cannot write the result to stdout: ${toFailure(thrown).message}`, undone);
  }
}

/**
 * Answers one call of a container runtime. `name` is the name under which podnic was started, and `named` the plugin of this name, if there
 * is one. `confine` permanently gives up the rights that the call does not need, so it is only for a process that serves no other call.
 * Returns the exit status.
 */
export function serve(command: string, named: Plugin | undefined, name: string, confine?: Confine): number {
  let version: string = newestVersion;
  configureLog({ sparing: true });
  try {
    if (command === "VERSION") {
      answerVersion();
      return 0;
    }
    const request = readRequest(command);
    if (isSupported(request.version)) version = request.version;
    checkVersion(request.command, request.version);
    run(named ?? pluginOfType(request.type, name), request, confine);
    return 0;
  } catch (error) {
    return fail(error, version);
  } finally {
    logLeftOut();
  }
}

/** Logs the error and writes the error document to stdout. Returns the exit status. */
function fail(thrown: unknown, version: string): number {
  const error = toFailure(thrown);
  const words = error.details === "" ? error.message : `${error.message}: ${error.details}`;
  log("error", words, { code: codeOf(error) });
  if (thrown instanceof OutputError) return 1;
  try {
    writeAll(1, errorDocument(error, version));
  } catch (cause) {
    if (!(cause instanceof SystemError)) throw cause;
    log("error", "cannot write to stdout", { cause: cause.message });
  }
  return 1;
}

/**
 * Finds the plugin by the configuration's `type`, but only if the executable's name begins with "podnic". Under any other name, podnic may
 * be running as an IPAM delegate, and would start itself again and again.
 */
function pluginOfType(type: string, name: string): Plugin {
  if (!name.startsWith("podnic")) {
    const served = `Its plugins are ${pluginNames().join(", ")}. Remove the file, or run podnic install again.`;
    throw new Failure(
      "invalid config",
      `podnic was started as ${JSON.stringify(excerpt(name))}, which is not one of its plugins`,
      served,
    );
  }
  const plugin = findPlugin(type);
  if (plugin !== undefined) return plugin;
  const what = type === "" ? 'the configuration has no "type"' : `unknown plugin type ${JSON.stringify(excerpt(type))}`;
  throw new Failure("invalid config", what, `"type" must be one of ${pluginNames().join(", ")}.`);
}

function answerVersion(): void {
  let given = "";
  try {
    const config: unknown = JSON.parse(host.decode(readWithin(versionPatience, 1 << 20)));
    if (typeof config === "object" && config !== null && "cniVersion" in config) given = String(config.cniVersion);
  } catch {
    // There is no configuration, or it is not valid. VERSION does not need one (C-072).
  }
  // C-071: the answer has the version of the input. The Go plugins print their newest version.
  const cniVersion = isVersion(given) ? given : newestVersion;
  writeAll(1, versionDocument(cniVersion));
}

/** The answer to VERSION. src/host/quickjs/version.h gives the same answer to a plain VERSION, before the engine starts. */
export function versionDocument(cniVersion: string): string {
  return `${JSON.stringify({ cniVersion, supportedVersions })}\n`;
}

function run(plugin: Plugin, request: Request, confine: Confine | undefined): void {
  if (isLenient(request.command)) {
    // Finish the clean-up despite SIGTERM: half a clean-up is worse than a late one (F26).
    ignoreTermination();
    relaxPolicy();
  }
  // The pod already has the device, so it does not matter if the policy has become stricter since.
  if (request.command === "CHECK") relaxPolicy();
  refuseLoop(plugin);
  const call = prepareCall(plugin, request, confine);
  const begin = isLogged("info") ? host.monotonic() : undefined;
  if (request.command === "ADD") add(plugin, call);
  else others(plugin, call);
  if (begin !== undefined) logDone(begin);
}

/**
 * Refuses to run an interface plugin as a delegate, because only IPAM plugins are delegates. This also detects chains that prepareIpam
 * cannot see, such as a link with another name, or a third-party plugin that delegates to podnic.
 */
function refuseLoop(plugin: Plugin): void {
  if (plugin.kind !== "interface" || (host.getenv(delegateMark) ?? "") === "") return;
  throw new Failure(
    "invalid config",
    `${plugin.name} was started as the IPAM plugin of another podnic plugin`,
    `"ipam.type" must name an IPAM plugin (${delegateMark} is set in the environment).`,
  );
}

/** podnic has already written its answer, so an error here must not produce a second document. */
function logDone(begin: number): void {
  try {
    log("info", "done", { microseconds: Math.round((host.monotonic() - begin) * 1000) });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}

function ignoreTermination(): void {
  host.ignoreSignal(SIGTERM);
  host.ignoreSignal(SIGINT);
}

function add(plugin: Plugin, call: Call): void {
  const { transaction } = call;
  try {
    // Format and write the result inside the transaction, so that podnic undoes the ADD if the version cannot express the result, or if
    // writing fails.
    const text = writeResult(plugin.add(call), call.version);
    transaction.settle();
    try {
      writeAll(1, text);
    } catch (cause) {
      throw new OutputError(cause);
    }
    transaction.commit();
  } catch (error) {
    ignoreTermination();
    const problems = transaction.rollback();
    plugin.addFailed?.(call.attachment);
    for (const problem of problems) log("error", "cannot undo a change", { cause: problem });
    const isOutput = error instanceof OutputError;
    if (problems.length === 0) throw isOutput ? error : withName(error, call);
    const left = `Some changes were not undone: ${problems.map(oneLine).join("; ")}. DEL will try again to undo what belongs to the pod.`;
    if (isOutput) throw new OutputError(error.thrown, left);
    const failure = withName(error, call);
    const { message, details } = failure;
    throw failure.reworded(message, addDetails(details, left));
  }
}

/**
 * Adds the interface's name to the kernel's ENODEV. The requests contain only the interface's index, so the error does not say which
 * interface has disappeared during ADD.
 */
function withName(error: unknown, { attachment }: Call): Failure {
  const failure = toFailure(error);
  if (!(error instanceof NetlinkError) || error.code !== "ENODEV") return failure;
  return failure.reworded(
    failure.message,
    addDetails(failure.details, `The error occurred while podnic was setting up ${attachment.ifName}.`),
  );
}

function others(plugin: Plugin, call: Call): void {
  switch (call.command) {
    case "CHECK":
      plugin.check(call);
      break;
    case "STATUS":
      plugin.status(call);
      break;
    case "GC":
      plugin.gc(call);
      reportIgnored(call);
      break;
    default:
      plugin.del(call);
  }
}

/** GC uses the valid parts of the configuration, and then reports the first invalid one. DEL only logs it: runtimes expect no error from DEL. */
function reportIgnored({ ignored }: Call): void {
  if (ignored.length === 0) return;
  const done = "GC ignored this value and cleaned up everything that does not depend on it.";
  throw new Failure("invalid config", `failed to load netconf: ${ignored[0]}`, done);
}
