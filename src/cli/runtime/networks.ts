// NETWORK on the command line: the path of a file, or the name of a network, which podnic finds in the same way as libcni.

import { findJsonError } from "../../config/json-error.ts";
import { countMarks, DEEPEST, isTooDeep } from "../../config/json-limits.ts";
import { didYouMean } from "../../config/messages.ts";
import { Failure } from "../../errors.ts";
import { S_IFMT, S_IFREG } from "../../host/constants.ts";
import { type Fd, host, SystemError } from "../../host/host.ts";
import { closing } from "../../state/files.ts";
import { isObject } from "../../state/shape.ts";
import { openNamedDirectory, readInput } from "../input.ts";
import { CONFIG_DIRECTORIES } from "../node/configurations.ts";
import { note } from "../terminal.ts";
import { readContents } from "../validate/documents.ts";

export type Config = { [key: string]: unknown };

/** A network as a runtime sees it: a list of plugins. */
export interface Network {
  name: string;
  /** "" if the file has none. */
  cniVersion: string;
  plugins: Config[];
  disableCheck: boolean;
  /** The list as JSON, for the cache. */
  text: string;
}

/** podnic searches for a syntax error only in texts with at most this many commas, colons and brackets. */
const LOOKED_AT = 20_000;

/** Throws Failure("invalid config"). */
function readNetwork(file: string, text: string): Network {
  // Parsing and formatting the text would take time quadratic in its depth. Plugins refuse such a text too.
  if (isTooDeep(text)) throw unusable(file, `${file}: objects and lists are nested more than ${DEEPEST} levels deep`);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    // Search for the error's position only if the text is small enough to be written by hand.
    const found = countMarks(text, LOOKED_AT) > LOOKED_AT ? undefined : findJsonError(text);
    const where = found === undefined ? "" : `: line ${found.line}, column ${found.column}: ${found.text}`;
    throw unusable(file, `${file} is not JSON${where}`);
  }
  if (!isObject(raw)) throw unusable(file, `${file} is not an object {…}`);
  const { name, cniVersion, plugins } = raw;
  const version = typeof cniVersion === "string" ? cniVersion : "";
  if (plugins === undefined) {
    if (typeof raw.type !== "string") throw unusable(file, `${file} has neither "type" nor "plugins"`);
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
    throw unusable(file, `${file} "plugins" is not a list of objects`);
  }
  const disableCheck = raw.disableCheck === true || raw.disableCheck === "true";
  return { name: typeof name === "string" ? name : "", cniVersion: version, plugins, disableCheck, text };
}

function unusable(file: string, text: string): Failure {
  return new Failure("invalid config", text, `Run podnic validate ${file} for details.`);
}

/** The option for another directory. */
export const CONF_DIR: [flags: string, description: string] = [
  "--conf-dir <dir>",
  `where to look for a network by name (default: ${CONFIG_DIRECTORIES.join(", ")})`,
];

/** The directories to search: the one on the command line, or in cnitool's variable, or those of the runtime and Multus. */
export function directoriesFor(confDir: string | undefined): string[] {
  const named = confDir ?? (host.getenv("NETCONFPATH") || undefined);
  return named === undefined ? CONFIG_DIRECTORIES : [named];
}

/** The file that NETWORK on the command line refers to, by its path or by the name of the network in it. */
export interface Source {
  file: string;
  byName: boolean;
}

/**
 * Finds the file. `given` is a path ("-" is stdin), or the name of a network in one of the directories. If several files define the network,
 * selects the first one in libcni's order: lists before single configurations, each in lexical order. Throws Failure("invalid config").
 */
export function sourceOf(given: string, directories: string[]): Source {
  if (isPath(given)) return { file: given, byName: false };
  const { files, names } = search(given, directories);
  const [file, ...others] = files;
  if (file !== undefined) {
    if (others.length > 0) note(`network "${given}" is also in ${others.join(", ")}; using ${file}, which comes first`);
    return { file, byName: true };
  }
  if (isFile(given)) return { file: given, byName: false };
  const where = directories.join(" and ");
  const there = names.length === 0 ? "No network is defined there." : `Networks there: ${names.join(", ")}.`;
  throw new Failure(
    "invalid config",
    `no network "${given}" in ${where}${didYouMean(given, names)}`,
    `${there} Specify a name or the path of a file; --conf-dir selects another directory.`,
  );
}

/** Like sourceOf. If `given` is a name, prints the file's path on stderr. */
export function fileOf(given: string, directories: string[]): string {
  const { file, byName } = sourceOf(given, directories);
  if (byName) note(`network "${given}" is defined in ${file}`);
  return file;
}

/** Whether NETWORK must be the path of a file, and not a name. */
export function isPath(given: string): boolean {
  return given === "-" || given.includes("/") || ENDINGS.some((ending) => given.endsWith(ending));
}

const ENDINGS = [".conf", ".conflist", ".json", ".yaml", ".yml"];

function isFile(path: string): boolean {
  try {
    return (host.stat(path).mode & S_IFMT) === S_IFREG;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return false;
  }
}

/** The files that define the network, in the first directory that has one. If there are none, the names of all networks. */
function search(wanted: string, directories: string[]): { files: string[]; names: string[] } {
  const names = new Set<string>();
  for (const directory of directories) {
    const files = filesIn(directory, directories.length > 1).filter((file) => {
      const name = nameIn(file);
      if (name !== "") names.add(name);
      return name === wanted;
    });
    if (files.length > 0) return { files, names: [] };
  }
  return { files: [], names: [...names].sort() };
}

/** The name of the network in a file; "" if it has none. Prints a note if the file cannot be read. */
function nameIn(file: string): string {
  try {
    return readNetwork(file, readInput(file)).name;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    note(`skipped: ${error.message}`);
    return "";
  }
}

function filesIn(dir: string, mayBeMissing: boolean): string[] {
  let fd: Fd;
  try {
    fd = openNamedDirectory(dir, "podnic looks for networks in it; --conf-dir selects another directory.");
  } catch (error) {
    if (mayBeMissing && error instanceof Failure) return [];
    throw error;
  }
  const names = closing(fd, () => host.readdir(fd));
  return asRead(names.map((name) => ({ file: `${dir}/${name}` }))).map(({ file }) => file);
}

/** The files that a runtime reads, in libcni's order: lists before single configurations, each in lexical order. */
export function asRead<T extends { file: string }>(files: readonly T[]): T[] {
  const sorted = [...files].sort((a, b) => (a.file < b.file ? -1 : 1));
  const ending = (...endings: string[]) => sorted.filter(({ file }) => endings.some((each) => file.endsWith(each)));
  return [...ending(".conflist"), ...ending(".conf", ".json")];
}

/** All networks in a file, which contains CNI's JSON or NetworkAttachmentDefinitions in YAML. Throws Failure("invalid config"). */
export function networksIn(file: string): Network[] {
  const { networks, remarks } = readContents(file, readInput(file));
  const wrong = remarks.find(({ level }) => level === "error");
  if (wrong !== undefined) throw unusable(file, `${file}: ${wrong.text}`);
  return networks.map(({ json, origin }) => {
    const network = readNetwork(file, json);
    // If the network has no name, Multus uses the name of its NetworkAttachmentDefinition.
    return { ...network, name: network.name || (origin.defaultName ?? "") };
  });
}

/** The network of a file. Throws Failure("invalid config") if the file does not have exactly one. */
export function networkIn(file: string): Network {
  const networks = networksIn(file);
  const [network, ...others] = networks;
  if (network !== undefined && others.length === 0) return network;
  throw new Failure(
    "invalid config",
    `${file} has ${networks.length} networks: ${networks.map(({ name }) => name).join(", ")}`,
    "This command needs a file with one network. Put the network into a separate file.",
  );
}
