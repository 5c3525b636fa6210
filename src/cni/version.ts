// Versions of the CNI specification.
import { Failure } from "../errors.ts";
import type { Command } from "./plugin.ts";

/** All that we speak, oldest first. */
export const supportedVersions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export const newestVersion = "1.1.0";

/** First version that has the command. */
const since: { [command in Command]?: string } = { CHECK: "0.4.0", GC: "1.1.0", STATUS: "1.1.0" };

export function isSupported(version: string): boolean {
  return (supportedVersions as readonly string[]).includes(version);
}

/** Three numbers. */
export function isVersion(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 3 && parts.every(isNumber);
}

function isNumber(part: string): boolean {
  return part !== "" && part.length < 10 && [...part].every((char) => char >= "0" && char <= "9");
}

/** What the Go library reads as a version: up to three numbers, those that are missing are 0. */
function isNumbers(text: string): boolean {
  const parts = text.split(".");
  return (
    parts.length <= 3 &&
    parts.every((part) => isNumber(part) || ("+-".includes(part[0] ?? " ") && isNumber(part.slice(1))))
  );
}

/** Both must be supported ones. */
export function isBefore(version: string, other: string): boolean {
  const order = supportedVersions as readonly string[];
  return order.indexOf(version) < order.indexOf(other);
}

/** Results of 0.1.0 and 0.2.0 hold at most one address of each family and no interfaces. */
export function isLegacy(version: string): boolean {
  return isBefore(version, "0.3.0");
}

/** Throws Failure("incompatible version") when the version is none of ours, or has no such command; Failure("not decodable") when it is no version at all. */
export function checkVersion(command: Command, version: string): void {
  if (!isSupported(version)) {
    // The Go library reads the numbers only for commands that not every version has.
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
