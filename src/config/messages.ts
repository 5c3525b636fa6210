// Converts ajv's errors to messages: where the value is, what it is, and what was expected.
import type { ErrorObject } from "ajv";
import { wanted } from "./formats.ts";

/** One problem of a configuration. */
export interface Problem {
  /** JSON pointer of the wrong value, or of the object that lacks a key. */
  pointer: string;
  /** True if the value at `pointer` lacks a key; false if the value itself is wrong. */
  missing: boolean;
  /** The key that is missing. */
  key?: string;
  text: string;
  /** How to correct the configuration, if that is clear. */
  cure?: string;
}

const typeNames: Record<string, string> = {
  string: "a string in quotes",
  integer: "a whole number without quotes",
  number: "a number without quotes",
  boolean: "true or false, without quotes",
  object: "an object {…}",
  array: "a list […]",
  null: "null",
};

/** "/ipam/routes/3/gw" → "ipam.routes[3].gw". */
export function humanPath(pointer: string): string {
  let path = "";
  for (const step of pointer.split("/").slice(1)) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    const isIndex = key !== "" && [...key].every((char) => char >= "0" && char <= "9");
    path += isIndex ? `[${key}]` : path === "" ? key : `.${key}`;
  }
  return path === "" ? "the configuration" : path;
}

/** The value at a JSON pointer; undefined when there is none. */
export function valueAt(root: unknown, pointer: string): unknown {
  let value = root;
  for (const step of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[step.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  return value;
}

/** A short description of a value, on one line, for a message. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value))
    return value.length === 0 ? "an empty list" : `a list with ${counted(value.length, "entry", "entries")}`;
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  return value.length > 64
    ? `${JSON.stringify(value.slice(0, 64))}… (${value.length} characters)`
    : JSON.stringify(value);
}

function counted(number: unknown, one: string, many: string): string {
  return `${String(number)} ${number === 1 ? one : many}`;
}

/** The edit distance of two strings. Returns 4 for strings whose lengths differ by more than 3, and for long ones. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3 || a.length > 64) return 4;
  let row = [...Array(b.length + 1).keys()];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** `; did you mean "bridge"?` if one of the known values is similar to `value`, otherwise "". */
export function didYouMean(value: unknown, known: readonly unknown[]): string {
  if (typeof value !== "string" || value === "") return "";
  let best: { name: string; edits: number } | undefined;
  for (const name of known) {
    if (typeof name !== "string") continue;
    const edits = distance(value.toLowerCase(), name.toLowerCase());
    if (edits <= Math.min(3, Math.ceil(name.length / 2)) && (best === undefined || edits < best.edits))
      best = { name, edits };
  }
  return best === undefined ? "" : `; did you mean "${best.name}"?`;
}

function expectation(error: ErrorObject, value: unknown): string {
  const params = error.params as { [key: string]: unknown };
  switch (error.keyword) {
    case "type":
      return `must be ${[params.type]
        .flat()
        .map((type) => typeNames[String(type)] ?? String(type))
        .join(" or ")}`;
    case "format":
      return `must be ${wanted[String(params.format)] ?? String(params.format)}`;
    case "enum": {
      const allowed = (params.allowedValues as unknown[]).filter((value) => value !== "");
      return `must be one of ${allowed.map(describe).join(", ")}${didYouMean(value, allowed)}`;
    }
    case "const":
      return `must be ${describe(params.allowedValue)}`;
    case "minimum":
    case "exclusiveMinimum":
      return `must be ${error.keyword === "minimum" ? "at least" : "more than"} ${String(params.limit)}`;
    case "maximum":
    case "exclusiveMaximum":
      return `must be ${error.keyword === "maximum" ? "at most" : "less than"} ${String(params.limit)}`;
    case "minLength":
      return params.limit === 1 ? "must not be empty" : `must have at least ${String(params.limit)} characters`;
    case "maxLength":
      return `must have at most ${counted(params.limit, "character", "characters")}`;
    case "minItems":
      return params.limit === 1 ? "must not be an empty list" : `must have at least ${String(params.limit)} entries`;
    case "maxItems":
      return `must have at most ${counted(params.limit, "entry", "entries")}`;
    default:
      return `does not match the schema (${error.keyword})`;
  }
}

/** The cure for a value that is wrong only because it is in quotes, which is the most common mistake. */
function unquoted(error: ErrorObject, value: unknown): string | undefined {
  const type = (error.params as { type?: unknown }).type;
  if (error.keyword !== "type" || typeof value !== "string") return undefined;
  const looksRight =
    type === "boolean" ? value === "true" || value === "false" : value.trim() !== "" && Number.isInteger(Number(value));
  if (!looksRight || (type !== "integer" && type !== "boolean")) return undefined;
  const key = error.instancePath.slice(error.instancePath.lastIndexOf("/") + 1);
  return `Write ${JSON.stringify(key)}: ${value}.`;
}

/** Converts one of ajv's errors to a Problem. */
export function problemOf(error: ErrorObject, config: unknown): Problem {
  const pointer = error.instancePath;
  if (error.keyword === "required") {
    const missing = (error.params as { missingProperty: string }).missingProperty;
    return { pointer, missing: true, key: missing, text: `${humanPath(`${pointer}/${missing}`)} is missing` };
  }
  const value = valueAt(config, pointer);
  const problem: Problem = {
    pointer,
    missing: false,
    text: `${humanPath(pointer)} ${expectation(error, value)} (found ${describe(value)})`,
  };
  const cure = unquoted(error, value);
  if (cure !== undefined) problem.cure = cure;
  return problem;
}
