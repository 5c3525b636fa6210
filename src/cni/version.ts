// Versions of the CNI specification.
import { Failure } from "../errors.ts";
import type { Command } from "./plugin.ts";

/** All versions that podnic supports, oldest first. */
export const supportedVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export const newestVersion = "1.1.0";

/** The first version that has the command. */
const since: { [command in Command]?: string } = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

export function isSupported(version: string): boolean {
  return (supportedVersions as readonly string[]).includes(version);
}

/** True if the text consists of three numbers, whether podnic supports this version or not. */
export function isVersion(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 3 && parts.every(isNumber);
}

function isNumber(part: string): boolean {
  return part !== "" && part.length < 10 && [...part].every((char) => char >= "0" && char <= "9");
}

/** True if the Go library accepts the text as a version: up to three numbers, with or without a sign. */
function isNumbers(text: string): boolean {
  const parts = text.split(".");
  return (
    parts.length <= 3 &&
    parts.every((part) => isNumber(part) || ("+-".includes(part[0] ?? " ") && isNumber(part.slice(1))))
  );
}

/** podnic must support both versions. */
export function isBefore(version: string, other: string): boolean {
  const order = supportedVersions as readonly string[];
  return order.indexOf(version) < order.indexOf(other);
}

/** Results of 0.1.0 and 0.2.0 contain at most one address of each family, and no interfaces. */
export function isLegacy(version: string): boolean {
  return isBefore(version, "0.3.0");
}

/**
 * Throws Failure("incompatible version") if podnic does not support the version, or if the version does not have the command. Throws
 * Failure("not decodable") if the text is not a version.
 */
export function checkVersion(command: Command, version: string): void {
  if (!isSupported(version)) {
    // The Go library parses the version only for commands that some versions do not have.
    if (since[command] !== undefined && !isNumbers(version)) {
      throw new Failure(
        "not decodable",
        `"cniVersion" ${JSON.stringify(version.slice(0, 64))} is not a version`,
        `${command} was introduced in ${since[command]}. A version consists of three numbers, such as ${newestVersion}.`,
      );
    }
    const known = supportedVersions.map((each) => JSON.stringify(each)).join(" ");
    const details = `config is ${JSON.stringify(version.slice(0, 64))}, plugin supports [${known}]`;
    throw new Failure("incompatible version", "incompatible CNI versions", details);
  }
  const first = since[command];
  if (first === undefined || !isBefore(version, first)) return;
  throw new Failure(
    "incompatible version",
    `config version does not allow ${command}`,
    `The configuration's cniVersion is ${version}. ${command} was introduced in ${first}.`,
  );
}
