// Checks whether a value from a file has the structure of its interface. The checks are typed by the interface, so a field without a check
// does not compile. podnic uses a record only if all fields are valid.

/** Tells whether a value is a T. */
export type Shape<T> = (value: unknown) => value is T;

export const text: Shape<string> = (value) => typeof value === "string";
export const integer: Shape<number> = (value): value is number => Number.isSafeInteger(value);
export const flag: Shape<boolean> = (value) => typeof value === "boolean";

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value): value is T | undefined => value === undefined || shape(value);
}

/** A list with at least `least` items. */
export function listOf<T>(shape: Shape<T>, least = 0): Shape<T[]> {
  return (value): value is T[] => Array.isArray(value) && value.length >= least && value.every(shape);
}

/** An object with any keys. */
export function mapOf<T>(shape: Shape<T>): Shape<{ [key: string]: T }> {
  return (value): value is { [key: string]: T } => isObject(value) && Object.values(value).every(shape);
}

/** An object with these keys. Other keys are allowed, because a later version may have written them. */
export function objectOf<T>(fields: { [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  const keys = Object.keys(fields) as (keyof T & string)[];
  const shapes = keys.map((key) => fields[key]) as ((value: unknown) => boolean)[];
  return (value): value is T => {
    if (!isObject(value)) return false;
    for (let i = 0; i < keys.length; i++) if (!shapes[i]!(value[keys[i]!])) return false;
    return true;
  };
}

/** True for objects that are not lists. */
export function isObject(value: unknown): value is { [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
