// Reads a plugin's configuration. It is strict if the call acts on the configuration, and lenient if a clean-up must not fail because of it.
import { readConfig, readWhatIsValid } from "../config/validate.ts";
import { log } from "../log.ts";
import type { Call, Command, NetworkConfig, Plugin } from "./plugin.ts";

/** True for the commands that ignore the invalid parts of a configuration: they clean up. */
export function isLenient(command: Command): boolean {
  return command === "DEL" || command === "GC";
}

/** True for the commands that refuse unknown CNI_ARGS. A clean-up must not fail because of them. */
export function isStrictAboutArgs(command: Command): boolean {
  return command === "ADD" || command === "CHECK";
}

/**
 * The plugin's configuration. On DEL and GC, it contains only the valid parts; this function logs the first eight invalid ones and adds them
 * to `call.ignored`. On other commands, it throws Failure("invalid config").
 */
export function configFor(plugin: Plugin, call: Pick<Call, "command" | "raw" | "ignored">): NetworkConfig {
  if (!isLenient(call.command)) return readConfig<NetworkConfig>(plugin.schema, call.raw);
  const { config, problems } = readWhatIsValid<NetworkConfig>(plugin.schema, call.raw);
  for (const { text } of problems.slice(0, 8)) {
    log("warning", "ignoring part of the configuration", { cause: text });
    call.ignored.push(text);
  }
  return config;
}
