// Combines a schema with all the schemas to which it refers, so that an editor needs only one file.

export type Schema = { [key: string]: unknown };

const SHARED = "shared-";

/**
 * Copies the parts of `shared` (src/config/defs.schema.json) that `schema` uses into its "$defs". Adds `prefix` to the names of the schema's
 * own definitions, so that the result can become a part of another schema.
 */
export function inOnePiece(schema: Schema, shared: Schema, prefix = ""): Schema {
  const definitions: Schema = {};
  const { $defs: own = {}, ...rest } = schema as Schema & { $defs?: Schema };
  const follow = (value: unknown, isShared: boolean): unknown => {
    if (Array.isArray(value)) return value.map((item) => follow(item, isShared));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => key !== "$comment")
        .map(([key, child]) => [key, key === "$ref" ? reference(String(child), isShared) : follow(child, isShared)]),
    );
  };
  const reference = (to: string, isShared: boolean): string => {
    const name = to.slice(to.lastIndexOf("/") + 1);
    const fromShared = isShared || !to.startsWith("#");
    const key = (fromShared ? SHARED : prefix) + name;
    if (!(key in definitions)) {
      definitions[key] = {}; // a definition can refer to itself
      const source = fromShared ? (shared.$defs as Schema) : own;
      definitions[key] = follow(source[name], fromShared);
    }
    return `#/$defs/${key}`;
  };
  const whole = follow(rest, false) as Schema;
  return Object.keys(definitions).length === 0 ? whole : { ...whole, $defs: definitions };
}
