// The part of a schema that key folding needs. scripts/schemas.ts derives it at build time.

/** null: a value that `fold` does not change (a scalar, a map, or any value). */
export type Shape = ObjectShape | ArrayShape | null;

export interface ObjectShape {
  /** The keys in the schema's spelling. Has a null prototype. */
  readonly keys: Readonly<Record<string, Shape>>;
  /** Maps the lower-case spelling to the schema's. Has a null prototype. */
  readonly lower: Readonly<Record<string, string>>;
}

export interface ArrayShape {
  readonly items: Shape;
  /** The schema's maxItems. `fold` checks it first, so that nothing visits the entries of a list that is too long. */
  readonly max: number;
}
