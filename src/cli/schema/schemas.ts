// The schemas for editors: one for each plugin (including the keys of its IPAM plugins), one for lists, and one for the node's policy.
import ownSchemas from "#schemas";
import { findPlugin, pluginNames } from "../../cni/registry.ts";
import { supportedVersions } from "../../cni/version.ts";
import defs from "../../config/defs.schema.json";
import policy from "../../config/policy.schema.json";
import { inOnePiece, type Schema } from "./bundle.ts";

/** Maps each plugin's name, and its alternative names, to its schema. */
function pluginSchemas(): Map<string, Schema> {
  return new Map(pluginNames().map((name) => [name, ownSchemas[findPlugin(name)!.schema]!]));
}

/** Maps each schema's name to its title. */
export function schemaTitles(): Map<string, string> {
  const title = (schema: Schema) => {
    const text = String(schema.title);
    return text.slice(text.indexOf(": ") + 2);
  };
  return new Map([
    ...[...pluginSchemas()].map(([name, schema]): [string, string] => [name, title(schema)]),
    ["conflist", "a list of plugins (.conflist)"],
    ["policy", `/etc/cni/podnic.json: ${title(policy)}`],
  ]);
}

/** `name` must be a key of schemaTitles. */
export function schemaOf(name: string): Schema {
  if (name === "policy") return inOnePiece(policy, defs);
  if (name === "conflist") return listSchema();
  return pluginSchema(name, pluginSchemas().get(name)!);
}

function isIpam(name: string): boolean {
  return findPlugin(name)?.kind === "ipam";
}

/** If a value matches `condition`, it must also match the definition. */
function when(condition: Schema, definition: string): Schema {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  return { if: condition, then: { $ref: `#/$defs/${definition}` } };
}

function ofType(type: string): Schema {
  return { required: ["type"], properties: { type: { const: type } } };
}

function pluginSchema(name: string, schema: Schema): Schema {
  const whole = inOnePiece(schema, defs);
  if (isIpam(name)) return whole;
  const definitions: Schema = { ...(whole.$defs as Schema) };
  const conditions: Schema[] = [];
  for (const [ipam, ipamSchema] of [...pluginSchemas()].filter(([each]) => isIpam(each))) {
    const { $defs, $schema: _, ...part } = inOnePiece(ipamSchema, defs, `${ipam}-`);
    Object.assign(definitions, $defs, { [ipam]: part });
    conditions.push(when({ required: ["ipam"], properties: { ipam: ofType(ipam) } }, ipam));
  }
  const { allOf = [], properties } = whole as { allOf?: Schema[]; properties?: Schema };
  return {
    ...whole,
    properties: { type: { const: name }, ...properties },
    allOf: [...allOf, ...conditions],
    $defs: definitions,
  };
}

/** The schema of a list. Checks the entries of podnic's plugins; other plugins' entries can contain anything. */
function listSchema(): Schema {
  const definitions: Schema = {};
  const conditions: Schema[] = [];
  for (const [name, schema] of pluginSchemas()) {
    if (isIpam(name)) continue;
    const { $defs, $schema: _, ...part } = pluginSchema(name, schema);
    Object.assign(definitions, $defs, { [name]: part });
    conditions.push(when(ofType(name), name));
  }
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "a list of CNI plugins",
    type: "object",
    required: ["name", "plugins"],
    properties: {
      cniVersion: { enum: [...supportedVersions], description: "Version of the CNI specification." },
      name: { type: "string", description: "Name of the network." },
      disableCheck: { type: "boolean", description: "If true, runtimes do not call CHECK." },
      disableGC: { type: "boolean", description: "If true, runtimes do not call GC." },
      plugins: {
        type: "array",
        minItems: 1,
        items: { type: "object", required: ["type"], properties: { type: { type: "string" } }, allOf: conditions },
      },
    },
    $defs: definitions,
  };
}
