// Finds keys that no plugin reads. Plugins ignore unknown keys, as the Go plugins do, so a misspelled key would have no effect and cause no
// error.
import { didYouMean, humanPath } from "../../config/messages.ts";
import type { Shape } from "../../config/shape.ts";
import { type Finding, finding } from "./finding.ts";
import { escapeStep } from "./places.ts";

/** Keys whose contents are for the runtime or for third-party plugins. */
const foreign = ["args", "capabilities", "prevResult", "runtimeConfig"];

/** Maximum number of unknown keys to list for one object. Further ones are only counted. */
const LISTED = 20;
/** A message does not contain keys that are longer than this. */
const LONGEST = 256;

/** Warnings for the keys of `value` that none of the shapes has. `also` lists further known keys at this level. */
export function unknownKeys(value: unknown, shapes: Shape[], pointer = "", also: string[] = []): Finding[] {
  if (typeof value !== "object" || value === null) return [];
  // The schema does not describe the contents of this value.
  if (shapes.length === 0 || shapes.includes(null)) return [];
  if (Array.isArray(value)) {
    const items = shapes.flatMap((shape) => (shape !== null && "items" in shape ? [shape.items] : []));
    return value.flatMap((item, i) => unknownKeys(item, items, `${pointer}/${i}`));
  }
  const objects = shapes.flatMap((shape) => (shape !== null && "keys" in shape ? [shape] : []));
  // The value should be a list or a scalar, not an object. The schema reports this.
  if (objects.length === 0) return [];
  const known = [...new Set([...also, ...objects.flatMap(({ keys }) => Object.keys(keys))])];
  let count = 0;
  const findings = Object.entries(value).flatMap(([key, child]) => {
    // People use such keys for comments, which JSON does not have. libcni's own keys begin with "cni.dev/".
    if (key.startsWith("_") || key.startsWith("//") || key.startsWith("cni.dev/")) return [];
    if (foreign.includes(key)) return [];
    if (key.length > LONGEST)
      return [finding("warning", pointer, `${humanPath(pointer)} has a key of ${key.length} characters`)];
    const below = `${pointer}/${escapeStep(key)}`;
    const lower = key.toLowerCase();
    const found = objects.flatMap((shape) => {
      const name = key in shape.keys ? key : shape.lower[lower];
      return name === undefined ? [] : [shape.keys[name] ?? null];
    });
    if (found.length > 0) return unknownKeys(child, found, below);
    if (known.some((name) => name.toLowerCase() === lower)) return [];
    return ++count > LISTED ? [] : [unknown(below, key, known)];
  });
  if (count <= LISTED) return findings;
  const rest = `${humanPath(pointer)} has ${count - LISTED} more unknown keys`;
  return [...findings, finding("warning", pointer, rest, `Known keys: ${known.join(", ")}.`)];
}

function unknown(pointer: string, key: string, known: string[]): Finding {
  const meant = didYouMean(key, known);
  const cure = meant === "" ? `Known keys: ${known.join(", ")}.` : "";
  const text = `${humanPath(pointer)} is not a known key${meant}`;
  return { ...finding("warning", pointer, text, cure), atKey: true };
}
