// Reads a runtime's request: environment and stdin. The checks run in the Go plugins' order (spec C-002 to C-025), before anything is changed.

import { fold } from "../config/fold.ts";
import { findJsonError } from "../config/json-error.ts";
import { DEEPEST, hasTooManyKeys, isTooDeep, MOST_KEYS } from "../config/json-limits.ts";
import { describe } from "../config/messages.ts";
import type { ObjectShape } from "../config/shape.ts";
import { Failure } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { checkContainerId, checkIfName, checkNetworkName, excerpt } from "./names.ts";
import type { Command } from "./plugin.ts";
import { readAll } from "./stdio.ts";

/** Bytes. The Go plugins have no limit; the largest configurations in use have about 10 KiB. */
export const inputLimit = 1 << 20;

/** In longer texts, podnic does not search for the position of the syntax error: for 1 MiB, the search takes a second. */
const locateLimit = 1 << 17;

export interface Request {
  command: Command;
  containerId: string;
  netns: string;
  ifName: string;
  /** Directories of CNI_PATH, absolute ones only. */
  path: string[];
  /** CNI_ARGS as given. */
  args: string;
  stdin: Uint8Array;
  /** stdin, parsed. The keys keep the spelling of the input. */
  raw: object;
  name: string;
  /** `type` of the config, or "". */
  type: string;
  /** cniVersion of the configuration, or "0.1.0" if it has none. It has not been checked yet. */
  version: string;
}

const attachmentCommands = ["ADD", "CHECK", "DEL"];
const commands: readonly string[] = [...attachmentCommands, "GC", "STATUS", "VERSION"];

/**
 * Checks the variables that the command needs. Reports missing ones in the Go library's order, because runtimes compare messages. Throws
 * Failure("invalid environment"), which names the variables.
 */
function checkEnvironment(command: string): void {
  const missing: string[] = [];
  const need = (name: string, check: (value: string) => void = () => {}) => {
    const value = host.getenv(name) ?? "";
    if (value === "") missing.push(name);
    else check(value);
  };
  if (attachmentCommands.includes(command)) {
    need("CNI_CONTAINERID", checkContainerId);
    if (command !== "DEL") need("CNI_NETNS");
    need("CNI_IFNAME", checkIfName);
  }
  // For the other commands, only findDelegate needs CNI_PATH, and it reports a missing one itself (spec 1.1.0, Parameters).
  if (command === "GC") need("CNI_PATH");
  if (missing.length === 0) return;
  throw new Failure(
    "invalid environment",
    `required env variables [${missing.join(",")}] missing`,
    `${command} needs ${missing.join(", ")} in the environment. The container runtime sets the CNI_* variables.`,
  );
}

/** Reads the request. Checks everything except the version and the plugin's own keys. VERSION does not use this function. Throws Failure. */
export function readRequest(command: string): Request {
  checkEnvironment(command);
  const stdin = readStdin();
  const { raw, name, type, version } = readBasics(decode(stdin));
  if (!commands.includes(command)) {
    throw new Failure(
      "invalid environment",
      `unknown CNI_COMMAND: ${excerpt(command)}`,
      `CNI_COMMAND must be one of ${commands.join(", ")}, in upper case.`,
    );
  }
  const ofAttachment = attachmentCommands.includes(command);
  return {
    command: command as Command,
    // Runtimes may leave old values in variables that a command does not use.
    containerId: ofAttachment ? (host.getenv("CNI_CONTAINERID") ?? "") : "",
    netns: ofAttachment ? (host.getenv("CNI_NETNS") ?? "") : "",
    ifName: ofAttachment ? (host.getenv("CNI_IFNAME") ?? "") : "",
    path: (host.getenv("CNI_PATH") ?? "").split(":").filter((entry) => entry.startsWith("/")),
    args: host.getenv("CNI_ARGS") ?? "",
    stdin,
    raw,
    name,
    type,
    version,
  };
}

function readStdin(): Uint8Array {
  let data: Uint8Array | undefined;
  try {
    data = readAll(inputLimit);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new Failure(
      "io",
      `error reading from stdin: ${error.message}`,
      "podnic reads the network configuration from stdin.",
    );
  }
  if (data !== undefined) return data;
  throw undecodable(`stdin is larger than ${inputLimit} bytes`, "No network configuration needs to be that large.");
}

function undecodable(what: string, cure: string): Failure {
  return new Failure("not decodable", `error unmarshall network config: ${what}`, cure);
}

function decode(stdin: Uint8Array): unknown {
  if (stdin.length === 0)
    throw undecodable("stdin is empty", "podnic reads the network configuration, a JSON object, from stdin.");
  if (stdin[0] === 0xef || stdin[0] === 0xfe || stdin[0] === 0xff) {
    throw undecodable("stdin begins with a byte order mark", "JSON must be UTF-8 without a byte order mark.");
  }
  const text = host.decode(stdin);
  if (isTooDeep(text)) {
    throw undecodable(
      `objects and lists are nested more than ${DEEPEST} levels deep`,
      "No network configuration is nested that deep.",
    );
  }
  if (hasTooManyKeys(text)) {
    throw undecodable(`it has more than ${MOST_KEYS} different keys`, "No network configuration has that many.");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const found = text.length > locateLimit ? undefined : findJsonError(text);
    const where = found === undefined ? "" : `: line ${found.line}, column ${found.column}: ${found.text}`;
    throw undecodable(`stdin is not valid JSON${where}`, `Correct the network configuration (${stdin.length} bytes).`);
  }
}

const basics: ObjectShape = {
  keys: { __proto__: null, name: null, type: null, cniVersion: null } as unknown as ObjectShape["keys"],
  lower: {
    __proto__: null,
    name: "name",
    type: "type",
    cniversion: "cniVersion",
  } as unknown as ObjectShape["lower"],
};

interface Basics {
  name?: unknown;
  type?: unknown;
  cniVersion?: unknown;
}

/**
 * The basic keys, if all three are strings in exactly this spelling. This spelling wins over all others, so there is no need to search for
 * others with `fold`. undefined: use `fold`.
 */
function spelledOut(raw: unknown): Basics | undefined {
  const { name, type, cniVersion } = (raw ?? {}) as Basics;
  const isSo = typeof name === "string" && typeof type === "string" && typeof cniVersion === "string";
  return isSo ? { name, type, cniVersion } : undefined;
}

function refuseOtherThanText(key: string, value: unknown): void {
  if (typeof value !== "string")
    throw undecodable(`"${key}" is ${describe(value)}`, "The value must be a string in quotes.");
}

/** Reads the keys that are needed to determine the plugin, and therefore before a schema is known. */
function readBasics(raw: unknown): Pick<Request, "raw" | "name" | "type" | "version"> {
  if (typeof raw !== "object" || Array.isArray(raw)) {
    throw undecodable(`${describe(raw)} is not an object`, "A network configuration must be an object: {…}.");
  }
  const { name = "", type = "", cniVersion = "" } = spelledOut(raw) ?? (fold(raw ?? {}, basics) as Basics);
  refuseOtherThanText("name", name);
  refuseOtherThanText("cniVersion", cniVersion);
  if (name === "") {
    throw new Failure(
      "invalid config",
      "missing network name",
      'Add a "name" to the configuration. If the name is missing, Multus uses the name of the NetworkAttachmentDefinition.',
    );
  }
  checkNetworkName(name as string);
  return {
    raw: raw ?? {},
    name: name as string,
    type: typeof type === "string" ? type : "",
    version: cniVersion === "" ? "0.1.0" : (cniVersion as string),
  };
}
