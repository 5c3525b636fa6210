// Written by scripts/schemas.ts into generated/ (not in git) from plugins/*/config.schema.json and src/config/*.schema.json.
declare module "#validators" {
  import type { ErrorObject } from "ajv";
  import type { Shape } from "./shape.ts";

  interface Validator {
    (data: unknown): boolean;
    errors?: ErrorObject[] | null;
  }

  /** By plugin name, and "policy" for the node's policy. */
  export const validators: Record<string, Validator | undefined>;
  export const shapes: Record<string, Shape | undefined>;
}

declare module "#schemas" {
  /** By plugin name: the contents of plugins/NAME/config.schema.json. */
  const schemas: Record<string, { [key: string]: unknown }>;
  export default schemas;
}
