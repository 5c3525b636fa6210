// The network configurations that this node's runtime and Multus read, and those in libcni's cache.

import { host } from "../../host/host.ts";
import { readFileAt } from "../../state/files.ts";
import { isObject } from "../../state/shape.ts";
import { note } from "../terminal.ts";
import { namesIn } from "./namespaces.ts";

export const CONFIG_DIRECTORIES = ["/etc/cni/net.d", "/etc/cni/multus/net.d"];
const LIMIT = 1 << 20;
/** Maximum number of files to check in one directory. Runtimes and Multus read only a few. `doctor` takes two milliseconds for each file. */
const MOST_FILES = 300;

/** The files that a runtime would read, in its order. Lists only the first MOST_FILES, because runtimes use the first files. */
export function configurationFiles(directories = CONFIG_DIRECTORIES): string[] {
  return directories.flatMap((directory) => {
    const names = namesIn(directory).filter((name) => /\.(conf|conflist|json)$/.test(name));
    if (names.length > MOST_FILES) {
      note(`${directory} has ${names.length} configurations; only the first ${MOST_FILES} are checked`);
    }
    return names.slice(0, MOST_FILES).map((name) => `${directory}/${name}`);
  });
}

export interface PluginConfiguration {
  network: string;
  version: string;
  /** One plugin's part of the configuration. The keys keep their spelling. */
  config: { [key: string]: unknown };
}

/** The plugins of a configuration or a list; empty if it is neither. */
export function pluginsOf(configuration: unknown): PluginConfiguration[] {
  if (!isObject(configuration)) return [];
  const { name, cniVersion } = configuration;
  const network = typeof name === "string" ? name : "";
  const version = typeof cniVersion === "string" ? cniVersion : "0.1.0";
  const plugins = Array.isArray(configuration.plugins) ? configuration.plugins : [configuration];
  return plugins.filter(isObject).map((config) => ({ network, version, config }));
}

/** Parses a configuration file. undefined: it cannot be read, or it is not valid JSON. */
export function readConfiguration(path: string): unknown {
  try {
    const data = readFileAt(path, LIMIT);
    return data === undefined ? undefined : JSON.parse(host.decode(data));
  } catch {
    return undefined;
  }
}
