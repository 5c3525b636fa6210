// Compiles the schemas of the plugins and of the node's policy into generated/validators.mjs (ajv standalone code and shapes for key
// folding), and collects them in generated/schemas.json. The executable never compiles a schema: its engine has no eval.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { wanted } from "../src/config/formats.ts";
import type { Shape } from "../src/config/shape.ts";

type Schema = { [key: string]: unknown };

const base = "file:///";
const defsPath = "src/config/defs.schema.json";

/** The schemas to compile: their path in the repository by their name in the executable. */
export function schemaPaths(root: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const plugin of readdirSync(join(root, "plugins")).sort()) {
    const path = `plugins/${plugin}/config.schema.json`;
    if (readdirSync(join(root, "plugins", plugin)).includes("config.schema.json")) paths.set(plugin, path);
  }
  paths.set("policy", "src/config/policy.schema.json");
  return paths;
}

/** Generates the module's text for these schemas (by path, including the shared definitions). */
export function generate(names: Map<string, string>, schemas: Map<string, Schema>): string {
  // Loaded only if there is something to compile, because loading ajv takes longer than most tests run.
  const require = createRequire(import.meta.url);
  const { _, Ajv } = require("ajv") as typeof import("ajv");
  const { default: standalone } = require("ajv/dist/standalone") as typeof import("ajv/dist/standalone/index.js");
  const ajv = new Ajv({
    allErrors: true,
    inlineRefs: false, // one function for each shared definition instead of a copy at each use
    strict: true,
    strictTypes: false,
    strictRequired: false,
    unicode: false, // lengths in UTF-16 units: this needs no runtime import, and no schema limits characters
    messages: false, // src/config/messages.ts writes them
    logger: false, // it would warn that `unicode` is deprecated; real errors throw in strict mode
    code: { source: true, esm: true, lines: false, formats: _`formats` },
  });
  // Only the names matter here, because the code refers to the table of src/config/formats.ts.
  for (const format of Object.keys(wanted)) ajv.addFormat(format, () => true);
  for (const [path, schema] of schemas) ajv.addSchema({ ...(bare(schema) as Schema), $id: base + path });
  const exports: Record<string, string> = {};
  for (const [name, path] of names) exports[identifier(name)] = base + path;
  const code = standalone(ajv, exports);
  if (code.includes("require(")) throw new Error("the compiled schemas want a run-time import; the engine has none");
  const shared = new Map<string, string>();
  const shapes = [...names].map(
    ([name, path]) => `${JSON.stringify(name)}: ${shapeText(shapeOf(schemas, path), shared)}`,
  );
  const table = [...names.keys()].map((name) => `${JSON.stringify(name)}: ${identifier(name)}`);
  return [
    `import { formats } from "../src/config/formats.ts";`,
    REPORT,
    withReport(code.replace(/^"use strict";/, "")),
    ...[...shared].map(([text, constant]) => `const ${constant} = ${text};`),
    `export const validators = { __proto__: null, ${table.join(", ")} };`,
    `export const shapes = { __proto__: null, ${shapes.join(", ")} };`,
    "",
  ].join("\n");
}

const REPORT = `function report(found, instancePath, keyword, params) {
  const error = { instancePath, keyword, params };
  if (found === null) return [error];
  found.push(error);
  return found;
}`;
const WRITTEN_OUT =
  /const (err\d+) = \{instancePath(?::(.+?))?,schemaPath:"[^"]*",keyword:("\w+"),params:(\{.*?\})\};if\(vErrors === null\)\{vErrors = \[\1\];\}else \{vErrors\.push\(\1\);\}/g;

/** ajv repeats the same code at some 200 places. A call of one function instead makes the executable 20 KB smaller. */
function withReport(code: string): string {
  const short = code.replaceAll(
    WRITTEN_OUT,
    (_, _name, path = "instancePath", keyword, params) => `vErrors = report(vErrors, ${path}, ${keyword}, ${params});`,
  );
  if (short.includes("schemaPath:"))
    throw new Error("ajv reports errors in another form than scripts/schemas.ts knows");
  return short;
}

function identifier(name: string): string {
  return `validate_${name.replaceAll("-", "_")}`;
}

function shapeOf(schemas: Map<string, Schema>, path: string): Shape {
  const load = (file: string): Schema => {
    const schema = schemas.get(file);
    if (schema === undefined) throw new Error(`${path} refers to ${file}, which does not exist`);
    return schema;
  };
  const resolve = (schema: Schema, file: string): { schema: Schema; file: string }[] => {
    const parts = [{ schema, file }];
    if (typeof schema.$ref === "string") {
      const url = new URL(schema.$ref, base + file);
      const target = url.pathname.slice(1);
      let found: unknown = load(target);
      for (const step of url.hash.slice(1).split("/").filter(Boolean))
        found = (found as Schema)[decodeURIComponent(step)];
      if (found === undefined) throw new Error(`${file}: ${schema.$ref} leads nowhere`);
      parts.push(...resolve(found as Schema, target));
    }
    for (const part of (schema.allOf as Schema[] | undefined) ?? []) parts.push(...resolve(part, file));
    return parts;
  };
  const shape = (wholes: { schema: Schema; file: string }[]): Shape => {
    const parts = wholes.flatMap(({ schema, file }) => resolve(schema, file));
    const properties = new Map<string, { schema: Schema; file: string }[]>();
    for (const { schema, file } of parts) {
      for (const [key, value] of Object.entries((schema.properties as Record<string, Schema> | undefined) ?? {})) {
        properties.set(key, [...(properties.get(key) ?? []), { schema: value, file }]);
      }
    }
    if (properties.size > 0) {
      const keys: Record<string, Shape> = {};
      const lower: Record<string, string> = {};
      for (const [key, value] of properties) {
        keys[key] = shape(value);
        if (lower[key.toLowerCase()] !== undefined)
          throw new Error(`${path}: ${key} differs from another key only by case`);
        lower[key.toLowerCase()] = key;
      }
      return { keys, lower };
    }
    const items = parts.filter(({ schema }) => schema.items !== undefined);
    if (items.length === 0) return null;
    const limits = parts.map(({ schema }) => schema.maxItems).filter((max) => typeof max === "number");
    if (limits.length === 0) throw new Error(`${path}: a list without maxItems`);
    return {
      items: shape(items.map(({ schema, file }) => ({ schema: schema.items as Schema, file }))),
      max: Math.min(...limits),
    };
  };
  return shape([{ schema: load(path), file: path }]);
}

/** Writes objects with a null prototype, so that no key of a configuration finds a method of Object. Equal shapes become one constant. */
function shapeText(shape: Shape, shared: Map<string, string>): string {
  if (shape === null) return "null";
  let text: string;
  if ("items" in shape) text = `{ items: ${shapeText(shape.items, shared)}, max: ${shape.max} }`;
  else {
    const keys = Object.entries(shape.keys).map(
      ([key, value]) => `${JSON.stringify(key)}: ${shapeText(value, shared)}`,
    );
    const lower = Object.entries(shape.lower).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
    text = `{ keys: { __proto__: null, ${keys.join(", ")} }, lower: { __proto__: null, ${lower.join(", ")} } }`;
  }
  const constant = shared.get(text) ?? `shape${shared.size}`;
  shared.set(text, constant);
  return constant;
}

/** The schema without its descriptions, which the executable does not need. */
function bare(value: unknown, insideProperties = false): unknown {
  if (Array.isArray(value)) return value.map((item) => bare(item));
  if (typeof value !== "object" || value === null) return value;
  const prose = insideProperties ? [] : ["$schema", "$comment", "title", "description", "examples", "default"];
  const entries = Object.entries(value).filter(([key]) => !prose.includes(key));
  return Object.fromEntries(
    entries.map(([key, child]) => [key, bare(child, !insideProperties && (key === "properties" || key === "$defs"))]),
  );
}

/** Writes generated/validators.mjs and generated/schemas.json if the schemas have changed. Returns the path of the first. */
export function writeValidators(root: string): string {
  writeText(root, "schemas.json", schemaTable(root));
  return write(root, schemaPaths(root), "validators.mjs");
}

/**
 * The plugins' schemas with their descriptions, for the operator's command `schema`. They are JSON, which the build leaves out of the plugins'
 * bundle.
 */
function schemaTable(root: string): string {
  const paths = [...schemaPaths(root)].filter(([, path]) => path.startsWith("plugins/"));
  const read = (path: string): unknown => JSON.parse(readFileSync(join(root, path), "utf8"));
  return JSON.stringify(Object.fromEntries(paths.map(([name, path]) => [name, read(path)])));
}

/** Like writeValidators, but also compiles the schema "fixture" of the unit tests. */
export function writeFixture(root: string): string {
  const names = schemaPaths(root);
  names.set("fixture", "src/testing/fixture.schema.json");
  return write(root, names, "fixture.mjs");
}

/** Compiles only if the inputs of the file have changed, because each run of the unit tests calls this three times. */
function write(root: string, names: Map<string, string>, file: string): string {
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const texts = new Map([defsPath, ...names.values()].map((path) => [path, read(path)]));
  const made = createHash("sha256").update(JSON.stringify([[...names], [...texts], ...makers.map(read)]));
  const head = `// Generated by scripts/schemas.ts from ${made.digest("hex")}.\n`;
  const target = join(root, "generated", file);
  if (current(target).startsWith(head)) return target;
  const schemas = new Map([...texts].map(([path, text]): [string, Schema] => [path, JSON.parse(text)]));
  return writeText(root, file, head + generate(names, schemas));
}

/** The files besides the schemas on which the compiled text depends. */
const makers = ["scripts/schemas.ts", "src/config/formats.ts", "node_modules/ajv/package.json"];

function current(target: string): string {
  try {
    return readFileSync(target, "utf8");
  } catch {
    return "";
  }
}

function writeText(root: string, file: string, text: string): string {
  const target = join(root, "generated", file);
  if (current(target) === text) return target;
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, target);
  return target;
}

/**
 * The root of the repository. Searches upwards from the script that runs (this code may be bundled to another place), and then from the current
 * directory.
 */
function repositoryRoot(): string {
  const script = process.argv[1] ?? "";
  let directory = script.endsWith(".ts") ? dirname(script) : process.cwd();
  for (; directory !== "/"; directory = dirname(directory)) {
    try {
      if (JSON.parse(readFileSync(join(directory, "package.json"), "utf8")).name === "podnic") return directory;
    } catch {
      // not here
    }
  }
  throw new Error("no package.json of podnic above this script");
}

if (process.argv[1]?.endsWith("scripts/schemas.ts")) console.log(writeValidators(repositoryRoot()));
