// `npm run keys`: writes the tables of keys from the schemas into the plugins' pages and docs/configuration.md. In a page, a table is between <!--
// keys --> and <!-- /keys -->. docs/pages.test.ts checks that the tables are current and complete.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { manifest, root } from "./build/paths.ts";

export interface Schema {
  $ref?: string;
  type?: string;
  enum?: string[];
  format?: string;
  minimum?: number;
  maximum?: number;
  default?: unknown;
  examples?: unknown[];
  description?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
}

export interface Key {
  /** The path of the key with dots, and [] for the items of a list: ipam.addresses[].gateway. */
  path: string;
  schema: Schema;
  /** The file of the schema, to which its references are relative. */
  file: string;
}

/** A page with tables, and the keys of the schema that it contains. */
export interface Page {
  file: string;
  keys: Key[];
}

const DEFS = "src/config/defs.schema.json";

function read(file: string): Schema & { $defs?: Record<string, Schema> } {
  return JSON.parse(readFileSync(join(root, file), "utf8"));
}

/** Returns the schema merged with what it refers to. Its own properties take precedence. */
function resolve(schema: Schema, file: string): { schema: Schema; file: string } {
  if (schema.$ref === undefined) return { schema, file };
  const [path, pointer] = schema.$ref.split("#") as [string, string];
  const target = path === "" ? file : join(dirname(file), path);
  let found: unknown = read(target);
  for (const step of pointer.split("/").filter(Boolean)) found = (found as Record<string, unknown>)[step];
  const resolved = resolve(found as Schema, target);
  const { $ref: _, ...own } = schema;
  return { schema: { ...resolved.schema, ...own }, file: resolved.file };
}

/** Every key below the schema, depth first. */
function keysBelow(schema: Schema, file: string, prefix: string): Key[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const child = resolve(value, file);
    const path = prefix + name;
    const own = { path, ...child };
    return [own, ...inside(child.schema, child.file, path)];
  });
}

function inside(schema: Schema, file: string, path: string): Key[] {
  if (schema.items === undefined) return keysBelow(schema, file, `${path}.`);
  const items = resolve(schema.items, file);
  return inside(items.schema, items.file, `${path}[]`);
}

/** All pages: one for each plugin with the plugin's own keys, and one with the common keys. */
export function pages(): Page[] {
  const common = resolve({ $ref: `${DEFS.split("/").pop()}#/$defs/network` }, DEFS);
  const own = manifest().plugins.map((name) => {
    const file = `plugins/${name}/config.schema.json`;
    return { file: `plugins/${name}/README.md`, keys: keysBelow(read(file), file, "").filter(isDescribed) };
  });
  const routes = resolve({ $ref: `${DEFS.split("/").pop()}#/$defs/routes` }, DEFS);
  const all = [...keysBelow(common.schema, common.file, ""), ...inside(routes.schema, routes.file, "ipam.routes")];
  return [{ file: "docs/configuration.md", keys: all }, ...own];
}

/**
 * False for an object that needs no line of its own, because its keys have lines. Also false for the routes and dns of IPAM, which
 * docs/configuration.md describes.
 */
function isDescribed({ path, schema }: Key): boolean {
  if (/^ipam\.(routes\[\]|dns)\./.test(path)) return false;
  return schema.properties === undefined || schema.description !== undefined;
}

const formats: Record<string, string> = {
  interface: "interface name",
  bridge: "interface name",
  mac: "MAC address",
  pci: "PCI address",
  path: "absolute path",
  ip: "IP address",
  "optional-ip": "IP address",
  "ip-or-cidr": "IP address, with or without prefix length",
  cidr: "IP address with prefix length",
  word: "text without blanks",
};

/** The type of a key, in words. */
function typeOf(schema: Schema, file: string): string {
  if (schema.enum !== undefined)
    return schema.enum
      .filter(Boolean)
      .map((value) => `\`${value}\``)
      .join(", ");
  if (schema.items !== undefined) {
    const items = resolve(schema.items, file);
    return `list (${typeOf(items.schema, items.file)})`;
  }
  if (schema.type === "boolean") return "`true`, `false`";
  if (schema.type === "integer") return `number, ${schema.minimum} to ${schema.maximum}`;
  if (schema.type !== "string") return schema.type ?? "any";
  return formats[schema.format ?? ""] ?? "text";
}

function code(value: unknown): string {
  return value === undefined ? "" : `\`${JSON.stringify(value)}\``;
}

export function table(keys: Key[]): string {
  const rows = keys.map(({ path, schema, file }) => [
    `\`${path}\``,
    typeOf(schema, file),
    schema.default === undefined ? "none" : code(schema.default),
    code(schema.examples?.[0]),
    (schema.description ?? "").replaceAll("|", "\\|"),
  ]);
  const all = [["key", "type", "default", "example", "meaning"], ["---", "---", "---", "---", "---"], ...rows];
  return all.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const BETWEEN = /(<!-- keys[^>]*-->\n)[\s\S]*?(<!-- \/keys -->)/;

/** The page's text with the current table. */
export function withTable({ file, keys }: Page): string {
  const text = readFileSync(join(root, file), "utf8");
  if (!BETWEEN.test(text)) throw new Error(`${file} has no place for its keys: <!-- keys --> … <!-- /keys -->`);
  return text.replace(BETWEEN, (_, before: string, after: string) => `${before}\n${table(keys)}\n\n${after}`);
}

if (process.argv[1]?.endsWith("scripts/keys.ts"))
  for (const page of pages()) writeFileSync(join(root, page.file), withTable(page));
