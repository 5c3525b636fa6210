// Runs the plugins of a network one after the other, for ADD, CHECK and DEL, as libcni does.
import { runDelegate } from "../../cni/delegate.ts";
import { AnsweredFailure, toFailure } from "../../cni/failure.ts";
import { findDelegate } from "../../cni/find-delegate.ts";
import { excerpt } from "../../cni/names.ts";
import { findPlugin } from "../../cni/registry.ts";
import { isBefore, isSupported } from "../../cni/version.ts";
import { addDetails, Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { log } from "../../log.ts";
import { closing } from "../../state/files.ts";
import { isObject } from "../../state/shape.ts";
import { type Attachment, environmentOf } from "./attachment.ts";
import { DIRECTORY, forgetResult, keepResult, keptResult } from "./cache.ts";
import type { Config, Network } from "./networks.ts";
import type { Stage } from "./stage.ts";

export type Verb = "ADD" | "CHECK" | "DEL";

/** A plugin's stdin: its part of the list, with the keys that a runtime adds. */
export function configFor(network: Network, plugin: Config, attachment: Attachment, prevResult: unknown): string {
  const { name, cniVersion } = network;
  const wanted = Object.entries((plugin.capabilities ?? {}) as Config).filter(([, enabled]) => enabled === true);
  const given = wanted.flatMap(([key]) =>
    key in attachment.capabilityArgs ? [[key, attachment.capabilityArgs[key]]] : [],
  );
  return JSON.stringify({
    ...plugin,
    name,
    ...(cniVersion === "" ? {} : { cniVersion }),
    ...(given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) }),
    ...(prevResult === undefined ? {} : { prevResult }),
  });
}

/** Runs one plugin: podnic's own in this process, and others from CNI_PATH. Returns its stdout. Throws a Failure with the plugin's error. */
function runPlugin(stage: Stage, verb: Verb, plugin: Config, attachment: Attachment, stdin: string): string {
  const type = String(plugin.type ?? "");
  const environment = environmentOf(verb, attachment);
  const own = findPlugin(type);
  if (own === undefined) {
    const delegate = findDelegate(type, attachment.path);
    const call = { stdin: host.encode(stdin) };
    return closing(
      delegate.file,
      () => stage.within(environment, stdin, () => runDelegate(delegate, call, verb)).value,
    );
  }
  const { status, stdout } = stage.play(own, environment, stdin);
  if (status === 0) return stdout;
  const { code, msg, details } = JSON.parse(stdout);
  throw new AnsweredFailure(code, msg, details);
}

/**
 * Parses a result. Keeps it unchanged, because a third-party plugin may write keys that podnic does not know. Throws a Failure that names
 * the plugin.
 */
function parseResult(type: string, stdout: string): Config {
  try {
    const result: unknown = JSON.parse(stdout);
    if (isObject(result)) return result;
  } catch {
    // reported below
  }
  const said =
    stdout.trim() === "" ? "The plugin printed nothing." : `The plugin printed: ${JSON.stringify(excerpt(stdout))}`;
  throw new Failure("failed", `plugin ${JSON.stringify(type)} exited with status 0 but printed no result`, said);
}

/**
 * Runs ADD. Returns the last plugin's result. Stops at the first plugin that fails, and keeps the changes of the plugins before it. Throws
 * Failure.
 */
export function add(stage: Stage, network: Network, attachment: Attachment): unknown {
  let result: unknown;
  for (const [i, plugin] of network.plugins.entries()) {
    try {
      const stdout = runPlugin(stage, "ADD", plugin, attachment, configFor(network, plugin, attachment, result));
      result = parseResult(String(plugin.type), stdout);
    } catch (error) {
      if (!(error instanceof Failure) || i === 0) throw error;
      const done = network.plugins.slice(0, i).map(({ type }) => String(type));
      const kept = `The earlier changes made by ${done.join(", ")} remain until DEL.`;
      throw error.reworded(error.message, addDetails(error.details, kept));
    }
  }
  try {
    keepResult(network, attachment, result);
  } catch (error) {
    const failure = toFailure(error);
    const cure = "ADD created the interface, which remains until DEL.";
    throw failure.reworded(
      `cannot store the result in ${DIRECTORY}: ${failure.message}`,
      addDetails(failure.details, cure),
    );
  }
  return result;
}

/** Runs CHECK. Throws Failure if something has changed since ADD. */
export function check(stage: Stage, network: Network, attachment: Attachment): void {
  if (network.disableCheck) {
    throw new Failure(
      "invalid config",
      `network "${network.name}" has disableCheck`,
      "Runtimes do not call CHECK for this network.",
    );
  }
  const kept = keptResult(network, attachment);
  if (kept === undefined) {
    const { containerId, netns, ifName } = attachment;
    const what = `network "${network.name}" as ${ifName} in ${netns}, container ${containerId}`;
    throw new Failure(
      "unknown container",
      `there is no cached result for ${what}`,
      "CHECK compares the interface with the result of ADD. Add the network first.",
    );
  }
  for (const plugin of network.plugins) {
    runPlugin(stage, "CHECK", plugin, attachment, configFor(network, plugin, attachment, kept));
  }
}

/** Accesses the cached result on DEL. Like libcni, DEL continues if this fails. */
function attempt<T>(what: string, act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    const { message, details } = toFailure(error);
    log("warning", `the cached result of ADD cannot be ${what}: ${message}`, { details });
    return undefined;
  }
}

/** Runs DEL of the plugins in reverse order. If one fails, still runs the others, and then throws the first error. */
export function del(stage: Stage, network: Network, attachment: Attachment): void {
  const { cniVersion } = network;
  const isWanted = isSupported(cniVersion) && !isBefore(cniVersion, "0.4.0");
  const kept = isWanted ? attempt("read", () => keptResult(network, attachment)) : undefined;
  let first: Failure | undefined;
  for (const plugin of [...network.plugins].reverse()) {
    try {
      runPlugin(stage, "DEL", plugin, attachment, configFor(network, plugin, attachment, kept));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (first !== undefined) log("error", error.message, { details: error.details });
      first ??= error;
    }
  }
  if (first !== undefined) throw first;
  attempt("removed", () => forgetResult(network, attachment));
}
