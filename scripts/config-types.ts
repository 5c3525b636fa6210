// `npm run keys`: writes the TypeScript types of configurations from their schemas. NAME.schema.ts is checked in beside NAME.schema.json, so that an
// editor finds the types in a fresh clone. scripts/config-types.test.ts checks that they are current.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { root } from "./build/paths.ts";

interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  description?: string;
  items?: Schema;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: boolean;
  allOf?: Schema[];
  $defs?: Record<string, Schema>;
}

const DEFS = "src/config/defs.schema.json";
const POLICY = "src/config/policy.schema.json";

const read = (file: string): Schema => JSON.parse(readFileSync(join(root, file), "utf8"));

const capital = (text: string): string => text.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());

/** The name of the type for a definition that is an object with keys: RouteConfig for `route`. */
const typeName = (definition: string): string => `${capital(definition)}Config`;

/** One file of types. `file` is the path of its schema. */
class Types {
  readonly #imports = new Map<string, Set<string>>();

  constructor(readonly file: string) {}

  /** Returns the schema to which a reference leads, with its file and the name of the definition. */
  #follow(ref: string): { schema: Schema; file: string; name: string } {
    const [path, pointer] = ref.split("#/$defs/") as [string, string];
    const file = path === "" ? this.file : join(dirname(this.file), path);
    const schema = read(file).$defs?.[pointer];
    if (schema === undefined) throw new Error(`${this.file}: ${ref} leads nowhere`);
    return { schema, file, name: pointer };
  }

  #import(file: string, name: string): string {
    if (file !== this.file) this.#imports.set(file, (this.#imports.get(file) ?? new Set()).add(name));
    return name;
  }

  #typeOf(schema: Schema, indent: string): string {
    if (schema.$ref !== undefined) {
      const { schema: target, file, name } = this.#follow(schema.$ref);
      if (target.properties !== undefined) return this.#import(file, typeName(name));
      return this.#inlined(target, file, indent);
    }
    if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    if (schema.items !== undefined) {
      const item = this.#typeOf(schema.items, indent);
      return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
    }
    if (schema.properties !== undefined) return this.#object(schema, indent);
    if (schema.type === "object") return "{ [key: string]: unknown }";
    return { string: "string", boolean: "boolean", integer: "number" }[schema.type ?? ""] ?? "unknown";
  }

  /** Writes out a definition without keys. Its own references are relative to its file. */
  #inlined(schema: Schema, file: string, indent: string): string {
    const there = new Types(file);
    const text = there.#typeOf(schema, indent);
    for (const name of text.match(/\b[A-Z]\w*Config\b/g) ?? []) this.#import(file, name);
    return text;
  }

  /** The description of what a reference leads to; "" for a definition with its own type, which contains the description. */
  #meaning({ $ref }: Schema): string {
    const { schema } = $ref === undefined ? { schema: {} as Schema } : this.#follow($ref);
    return schema.properties === undefined ? (schema.description ?? "") : "";
  }

  #object(schema: Schema, indent: string): string {
    const inner = `${indent}  `;
    const lines = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
      const optional = schema.required?.includes(key) ? "" : "?";
      const description = value.description ?? this.#meaning(value);
      return [
        ...(description === "" ? [] : [`${inner}/** ${description} */`]),
        `${inner}${key}${optional}: ${this.#typeOf(value, inner)};`,
      ];
    });
    if (schema.additionalProperties) lines.push(`${inner}[key: string]: unknown;`);
    return ["{", ...lines, `${indent}}`].join("\n");
  }

  /** Writes the type of a plugin's configuration: its own keys, and inside objects such as `ipam` also the keys that every network has. */
  #plugin(name: string, schema: Schema): string {
    const bases = (schema.allOf ?? []).map(({ $ref }) => this.#follow($ref!));
    const properties = { ...schema.properties };
    for (const [key, own] of Object.entries(properties)) {
      for (const { schema: base } of bases) {
        const shared = base.properties?.[key]?.properties;
        if (shared !== undefined) properties[key] = { ...own, properties: { ...shared, ...own.properties } };
      }
    }
    // This type of the protocol declares the required keys.
    this.#import("src/cni/plugin.json", "NetworkConfig");
    return `export interface ${typeName(name)} extends NetworkConfig ${this.#object({ ...schema, properties }, "")}`;
  }

  text(): string {
    const schema = read(this.file);
    const definitions = Object.entries(schema.$defs ?? {}).filter(([, { properties }]) => properties !== undefined);
    const parts = definitions.map(([name, each]) => `export type ${typeName(name)} = ${this.#object(each, "")};`);
    if (this.file.startsWith("plugins/")) parts.push(this.#plugin(basename(dirname(this.file)), schema));
    else if (schema.properties !== undefined)
      parts.push(`export type ${typeName(basename(this.file, ".schema.json"))} = ${this.#object(schema, "")};`);
    const imports = [...this.#imports].sort().map(([file, names]) => {
      const path = relative(dirname(this.file), file).replace(/\.json$/, ".ts");
      return `import type { ${[...names].sort().join(", ")} } from "${path}";\n`;
    });
    const from = `// From ${basename(this.file)}, by \`npm run keys\`: what is valid. Not to be edited.\n`;
    return `${from}${imports.join("")}\n${parts.join("\n\n")}\n`;
  }
}

/** The text of each file of types, by its path. */
export function configTypes(): Map<string, string> {
  const plugins = readdirSync(join(root, "plugins")).map((name) => `plugins/${name}/config.schema.json`);
  return new Map([DEFS, POLICY, ...plugins].map((file) => [file.replace(/\.json$/, ".ts"), new Types(file).text()]));
}

if (process.argv[1]?.endsWith("scripts/config-types.ts"))
  for (const [path, text] of configTypes()) writeFileSync(join(root, path), text);
