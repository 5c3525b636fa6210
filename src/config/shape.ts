// The part of a schema that key folding needs. scripts/schemas.ts derives it at build time.

/** null: a value taken as it is (a scalar, a map, anything). */
export type Shape = ObjectShape | ArrayShape | null;

export interface ObjectShape {
  /** Keys as the schema spells them. Null prototype. */
  readonly keys: Readonly<Record<string, Shape>>;
  /** Lower-case spelling → the schema's. Null prototype. */
  readonly lower: Readonly<Record<string, string>>;
}

export interface ArrayShape {
  readonly items: Shape;
  /** maxItems of the schema: checked before anything walks the list. */
  readonly max: number;
}
