// Reads a plugin's configuration. It is strict if the call acts on the configuration, and lenient if a clean-up must not fail because of it.
import { readConfig, readWhatIsValid } from "../config/validate.ts";
import { log } from "../log.ts";
import type { Call, Command, NetworkConfig, Plugin } from "./plugin.ts";

/** Commands that take what they can get. */
export function isLenient(command: Command): boolean {
  return command === "DEL" || command === "GC";
}

/** Unknown CNI_ARGS fail where they could be meant, and never stop a clean-up. */
export function isStrictAboutArgs(command: Command): boolean {
  return command === "ADD" || command === "CHECK";
}

/** The plugin's configuration; for DEL and GC what is valid of it. What is not is logged and put on call.ignored. */
export function configFor(plugin: Plugin, call: Pick<Call, "command" | "raw" | "ignored">): NetworkConfig {
  if (!isLenient(call.command)) return readConfig<NetworkConfig>(plugin.schema, call.raw);
  const { config, problems } = readWhatIsValid<NetworkConfig>(plugin.schema, call.raw);
  for (const { text } of problems.slice(0, 8)) {
    log("warning", "ignoring part of the configuration", { cause: text });
    call.ignored.push(text);
  }
  return config;
}
