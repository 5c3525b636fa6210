// Key folding. Go's decoder accepts a key in any combination of upper and lower case, at every level of a struct but not inside maps, and
// existing configurations rely on this ("RuntimeConfig", "ipMasq"). This file converts keys to the spelling in the schema.
//
// This is safer than Go's decoder in two ways. A key in exactly the schema's spelling wins over other spellings, in any order; in Go, the last
// key wins, so "Name" could replace a "name" that another program has checked. And keys that the schema does not know are removed.
import { isObject } from "../state/shape.ts";
import type { ArrayShape, ObjectShape, Shape } from "./shape.ts";

/** A list with more entries than its schema allows. `fold` replaces it with an empty list. */
export interface Overlong {
  /** JSON pointer. */
  pointer: string;
  length: number;
  max: number;
}

/** Does not change `value`. The returned objects have null prototypes. Takes time linear in the number of keys and list entries. */
export function fold(value: unknown, shape: Shape, pointer = "", overlong: Overlong[] = []): unknown {
  if (shape === null || typeof value !== "object" || value === null) return value;
  if ("items" in shape) return Array.isArray(value) ? foldList(value, shape, pointer, overlong) : value;
  return Array.isArray(value) ? value : foldObject(value as Record<string, unknown>, shape, pointer, overlong);
}

function foldList(value: unknown[], shape: ArrayShape, pointer: string, overlong: Overlong[]): unknown[] {
  if (value.length > shape.max) {
    overlong.push({ pointer, length: value.length, max: shape.max });
    return [];
  }
  if (shape.items === null) return value.slice();
  return value.map((item, index) => fold(item, shape.items, `${pointer}/${index}`, overlong));
}

function foldObject(value: Record<string, unknown>, shape: ObjectShape, pointer: string, overlong: Overlong[]) {
  const out: Record<string, unknown> = Object.create(null);
  let variants: Record<string, unknown> | undefined;
  const keys = Object.keys(value);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const item = value[key];
    if (item === null) continue; // for Go, null means "not given"
    const child = shape.keys[key];
    if (child !== undefined) {
      out[key] = child === null ? item : fold(item, child, `${pointer}/${key}`, overlong);
      continue;
    }
    const name = shape.lower[foldName(key)];
    if (name === undefined) continue;
    variants ??= Object.create(null) as Record<string, unknown>;
    variants[name] = merge(variants[name], foldChild(item, shape, name, pointer, overlong));
  }
  for (const name in variants) out[name] = merge(variants[name], out[name]);
  return out;
}

function foldChild(item: unknown, shape: ObjectShape, name: string, pointer: string, overlong: Overlong[]): unknown {
  const child = shape.keys[name] ?? null;
  return child === null ? item : fold(item, child, `${pointer}/${name}`, overlong);
}

/** `over` wins. Two objects are merged, as Go merges two occurrences of the same struct. */
function merge(under: unknown, over: unknown): unknown {
  if (over === undefined) return under;
  if (!isObject(under) || !isObject(over)) return over;
  const out: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(under)) out[key] = under[key];
  for (const key of Object.keys(over)) out[key] = merge(out[key], over[key]);
  return out;
}

/** Converts a key to lower case as Go does: the Kelvin sign becomes k (toLowerCase does this too), and the long s becomes s. */
function foldName(key: string): string {
  return key.toLowerCase().replaceAll("ſ", "s");
}
