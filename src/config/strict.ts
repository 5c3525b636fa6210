// Finds mistakes in the node's policy that the schema accepts: for example, a misspelled "deny" would have no effect. podnic does not apply
// these checks to configurations, because the Go plugins accept such mistakes there.
import { isPciAddress } from "../sysfs/device.ts";
import { hasControl } from "./formats.ts";
import { repeatedKey } from "./json-limits.ts";
import { didYouMean, humanPath, type Problem } from "./messages.ts";
import type { Shape } from "./shape.ts";

/** Lists unknown and repeated keys, nulls, and list entries that match nothing or too much. `value` is the parsed `text`. */
export function slips(text: string, value: unknown, shape: Shape): Problem[] {
  const problems: Problem[] = [];
  look(value, shape, "", problems);
  const twice = repeatedKey(text, isComment);
  if (twice !== undefined) problems.push(problem("", `has the key ${JSON.stringify(twice)} twice`));
  return problems;
}

function look(value: unknown, shape: Shape, pointer: string, problems: Problem[]): void {
  if (value === null) problems.push(problem(pointer, "must not be null"));
  else if (Array.isArray(value))
    for (const [n, item] of value.entries()) lookAtEntry(item, `${pointer}/${n}`, problems);
  else if (typeof value === "object" && shape !== null && "keys" in shape) {
    for (const [key, child] of Object.entries(value)) {
      const below = `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      if (key in shape.keys) look(child, shape.keys[key] ?? null, below, problems);
      else if (!isComment(key)) problems.push(unknown(below, key, Object.keys(shape.keys)));
    }
  }
}

/** True for keys that people commonly use for comments, which JSON does not have. */
function isComment(key: string): boolean {
  return key[0] === "_" || key.startsWith("//");
}

function unknown(pointer: string, key: string, known: string[]): Problem {
  const cure = `Known keys: ${known.join(", ")}. A later version of podnic may have more.`;
  return { ...problem(pointer, `is not a known key${didYouMean(key, known)}`), cure };
}

function lookAtEntry(entry: unknown, pointer: string, problems: Problem[]): void {
  if (typeof entry !== "string") return;
  const found = ` (found ${JSON.stringify(entry.slice(0, 64))})`;
  if (entry === "") problems.push(problem(pointer, "must not be empty"));
  else if (entry.trim() !== entry) problems.push(problem(pointer, `must not begin or end with white space${found}`));
  else if (hasControl(entry)) problems.push(problem(pointer, `must not contain control characters${found}`));
  // lspci prints PCI addresses without the domain.
  else if (/^(pf:)?[\da-f]{2}:[\da-f]{2}\.[0-7]$/i.test(entry))
    problems.push(problem(pointer, `must be a PCI address with its domain, such as 0000:3b:00.1${found}`));
  else if (ofDevices.test(pointer) && matchesNothing(entry.replace(/^pf:/, "")))
    problems.push(problem(pointer, `must be ${deviceForms}${found}`));
}

/** The pointers of the lists that src/plugin/device-list.ts matches. */
const ofDevices = /^\/(devices\/|bridges\/(names|filterVlans|forceAddress)\/)/;
const deviceForms =
  "the name of one interface, a MAC address such as 02:00:5e:10:00:01, a PCI address such as 0000:3b:00.1, or a pattern for one of these with * and ?";

/**
 * The name of a device on the platform bus, as ACPI assigns it ("MLNXBF17:00"), or on the MDIO bus ("30be0000.ethernet-1:00"). The number
 * can be a pattern.
 */
const onOtherBus = /^([A-Z\d]{3,4}[\dA-F]{4}|[\w.]*[g-z][\w.]*-\w+):([\da-f?]{2}|\*)$/;

/**
 * True if the entry cannot match any device, or not the one that its author means: for example a path, a list, a set of characters, or an
 * address in another notation.
 */
function matchesNothing(entry: string): boolean {
  // Alternative names have at most 127 bytes.
  if (entry.length > 127 || /[/,[\]\s]/.test(entry)) return true;
  if (/^([\da-f]{4}\.){2}[\da-f]{4}$|^[\da-f]{12}$/i.test(entry)) return true;
  if (/^[\da-f]{1,2}(-[\da-f]{1,2}){5,}$/i.test(entry)) return !/^[\da-f]{2}(-[\da-f]{2})*$/i.test(entry);
  // An interface name cannot contain a colon.
  if (!entry.includes(":") || onOtherBus.test(entry)) return false;
  if (/[*?]/.test(entry)) return /[^\da-f:.*?-]/i.test(entry);
  const isMac = /^[\da-f]{2}(:[\da-f]{2}){5,}$/i.test(entry);
  const isUsb = /^\d+-[\d.]+:\d+\.\d+$/.test(entry);
  return !isMac && !isUsb && !isPciAddress(entry);
}

const problem = (pointer: string, what: string): Problem => ({
  pointer,
  missing: false,
  text: `${pointer === "" ? "the policy" : humanPath(pointer)} ${what}`,
});
