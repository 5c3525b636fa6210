// The networks of a node: files of a directory, found by name as libcni does it.
import { isObject } from "../../config/fold.ts";
import { findJsonError } from "../../config/json-error.ts";
import { didYouMean } from "../../config/messages.ts";
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { closing } from "../../state/files.ts";
import { openNamedDirectory, readInput } from "../input.ts";
import { note } from "../terminal.ts";

export type Config = { [key: string]: unknown };

/** A network as a runtime sees it: a list of plugins. */
export interface Network {
  name: string;
  /** "" when the file says none. */
  cniVersion: string;
  plugins: Config[];
  disableCheck: boolean;
  /** JSON of the list, for the cache. */
  text: string;
}

/** Where runtimes look. */
export const CONF_DIR = "/etc/cni/net.d";

/** Throws Failure("invalid config"). */
export function readNetwork(file: string, text: string): Network {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    const found = findJsonError(text);
    throw unusable(
      file,
      found === undefined ? "is not JSON" : `is not JSON: line ${found.line}, column ${found.column}: ${found.text}`,
    );
  }
  if (!isObject(raw)) throw unusable(file, "is not an object {…}");
  const { name, cniVersion, plugins } = raw;
  const version = typeof cniVersion === "string" ? cniVersion : "";
  if (plugins === undefined) {
    if (typeof raw.type !== "string") throw unusable(file, 'has neither "type" nor "plugins"');
    const list = { name, cniVersion, plugins: [raw] };
    return {
      name: typeof name === "string" ? name : "",
      cniVersion: version,
      plugins: [raw],
      disableCheck: false,
      text: JSON.stringify(list),
    };
  }
  if (!Array.isArray(plugins) || plugins.length === 0 || !plugins.every(isObject)) {
    throw unusable(file, '"plugins" is not a list of objects');
  }
  const disableCheck = raw.disableCheck === true || raw.disableCheck === "true";
  return { name: typeof name === "string" ? name : "", cniVersion: version, plugins, disableCheck, text };
}

function unusable(file: string, why: string): Failure {
  return new Failure("invalid config", `${file} ${why}`, `podnic validate ${file} says more`);
}

/** The names in lexical order: lists before single configurations, as libcni looks at them. */
function configFiles(dir: string): string[] {
  const fd = openNamedDirectory(dir, "It is where networks are looked for; --conf-dir names another.");
  const names = closing(fd, () => host.readdir(fd)).sort();
  const ending = (...endings: string[]) => names.filter((name) => endings.some((each) => name.endsWith(each)));
  return [...ending(".conflist"), ...ending(".conf", ".json")].map((name) => `${dir}/${name}`);
}

/** The first network of this name. A file that cannot be read is passed over with a note. Throws Failure("invalid config") without one. */
export function findNetwork(name: string, dir: string): Network {
  const others: string[] = [];
  for (const file of configFiles(dir)) {
    try {
      const network = readNetwork(file, readInput(file));
      if (network.name === name) return network;
      others.push(network.name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      note(`passed over: ${error.message}`);
    }
  }
  const meant = didYouMean(name, others);
  const there = others.length === 0 ? "it has none" : `it has ${[...new Set(others)].join(", ")}`;
  throw new Failure(
    "invalid config",
    `no network "${name}" in ${dir}${meant}`,
    `${there}; --conf-dir names another directory`,
  );
}
