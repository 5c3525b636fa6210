// Finds the networks in a file. The file contains either CNI's own JSON, or Kubernetes objects in YAML, whose NetworkAttachmentDefinitions
// contain this JSON as a string.
import { type Document, isMap, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from "yaml";
import { hasTooManyKeys } from "../../config/json-limits.ts";
import { didYouMean } from "../../config/messages.ts";
import type { Level } from "./finding.ts";
import type { Origin } from "./network.ts";
import { offsetsOf } from "./scalar.ts";
import { DEEPEST, MOST_TOKENS, parseYaml, type Refused, repeatedKey } from "./yaml.ts";

/** The JSON text of a network. It has not been checked yet. */
export interface NetworkText {
  json: string;
  /** Converts an offset in `json` to an offset in the file. */
  position: (offset: number) => number;
  /** The path of the text in the file: "spec.config", or "". */
  path: string;
  origin: Origin;
}

/** A finding with its offset in the file. */
export interface Remark {
  level: Level;
  offset: number;
  path: string;
  text: string;
  cure: string;
}

export interface Contents {
  networks: NetworkText[];
  remarks: Remark[];
}

const API_VERSION = "k8s.cni.cncf.io/v1";
const KIND = "NetworkAttachmentDefinition";
const RESOURCE_NAME = "k8s.v1.cni.cncf.io/resourceName";

/** Finds the networks in a file. The ending of `name` determines the format. If the ending is not known, the text does. */
export function readContents(name: string, text: string): Contents {
  const ending = name.slice(name.lastIndexOf(".") + 1);
  const isYaml = ["yaml", "yml"].includes(ending);
  const isJson = ["conf", "conflist", "json"].includes(ending);
  const looksLikeJson = ["{", "["].includes(text.trimStart()[0] ?? "");
  if ((isJson || (looksLikeJson && !isYaml)) && !isKubernetes(text)) {
    const origin = { defaultName: undefined, allotted: false };
    return { networks: [{ json: text, position: (offset) => offset, path: "", origin }], remarks: [] };
  }
  return readYaml(text);
}

/** True if the text is a Kubernetes object in JSON, which the YAML parser can read. */
function isKubernetes(text: string): boolean {
  // A text with too many keys is not parsed, because it would take too long.
  if (hasTooManyKeys(text)) return false;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "kind" in value && "apiVersion" in value;
  } catch {
    return false;
  }
}

const yamlCures: { [code: string]: string } = {
  TAB_AS_INDENT: "Indent with spaces.",
  BAD_INDENT: "All entries of one level must begin in the same column.",
  MULTILINE_IMPLICIT_KEY: "Check the line above: a colon, a quote or indentation is missing.",
  BLOCK_AS_IMPLICIT_KEY: "Quote strings that contain a colon and a space, and indent the lines below a key.",
  MISSING_CHAR: "Add the missing colon, comma or space, or close the quote or bracket.",
};

function readYaml(text: string): Contents {
  const contents = readObjects(text);
  const action = text.indexOf("{{");
  if (action < 0 || !contents.remarks.some(({ level }) => level === "error")) return contents;
  const template = {
    text: "this looks like a Helm template, not YAML",
    cure: "Render it first: helm template CHART | podnic validate -",
  };
  return { networks: [], remarks: [{ level: "error", offset: action, path: "", ...template }] };
}

function readObjects(text: string): Contents {
  const contents: Contents = { networks: [], remarks: [] };
  const documents = parseYaml(text);
  if (!Array.isArray(documents)) {
    contents.remarks.push(refusal(documents));
    return contents;
  }
  for (const document of documents) {
    const wrong = whatIsNotYaml(document);
    if (wrong !== undefined) contents.remarks.push(wrong);
    else readObject(text, document.contents, contents);
  }
  const nothing = contents.networks.length + contents.remarks.length === 0;
  if (nothing)
    contents.remarks.push(
      remark("error", undefined, "", "it does not contain a network", "Check whether this is the right file."),
    );
  return contents;
}

function refusal({ offset, reason }: Refused): Remark {
  const deep = {
    text: `not checked, because it is nested more than ${DEEPEST} levels deep`,
    cure: "No network needs that many levels. A bracket is not closed, or this is the wrong file.",
  };
  const long = {
    text: `not checked, because it has more than ${MOST_TOKENS} YAML tokens and lines`,
    cure: "Pass only the objects that are networks, or split the file.",
  };
  const copied = {
    text: "not checked, because it has too many YAML tokens in long lines, or is large and has too many quotes",
    cure: "Break the long lines, or pass only the objects that are networks.",
  };
  return { level: "error", offset, path: "", ...{ deep, long, copied }[reason] };
}

function whatIsNotYaml(document: Document): Remark | undefined {
  const error = document.errors[0];
  if (error !== undefined) {
    const text = `not YAML: ${error.message}`;
    return { level: "error", offset: error.pos[0], path: "", text, cure: yamlCures[error.code] ?? "" };
  }
  const key = repeatedKey(document);
  if (key === undefined) return undefined;
  return remark("error", key, "", "not YAML: Map keys must be unique", "Only one of them is used. Remove the others.");
}

function remark(level: Level, node: Node | null | undefined, path: string, text: string, cure = ""): Remark {
  return { level, offset: node?.range?.[0] ?? 0, path, text, cure };
}

function readObject(source: string, node: Document["contents"], contents: Contents): void {
  // The document is empty: there is nothing after "---".
  if (node === null || (isScalar(node) && node.value === null)) return;
  const { remarks } = contents;
  if (!isMap(node)) {
    remarks.push(
      remark(
        "error",
        node,
        "",
        "not a Kubernetes object",
        `It must have "apiVersion", "kind: ${KIND}", "metadata" and "spec".`,
      ),
    );
    return;
  }
  const kindNode = nodeOf(node, "kind");
  const kind = textOf(kindNode);
  const items = nodeOf(node, "items");
  if (kind?.endsWith("List") === true && isSeq(items)) {
    for (const item of items.items) readObject(source, item as Node, contents);
  } else if (kind === KIND) {
    readDefinition(source, node, contents);
  } else if (kind === undefined) {
    const isCni = node.has("type") || node.has("plugins");
    const cure = isCni
      ? `A CNI configuration is JSON. In Kubernetes, it is the string spec.config in a ${KIND}.`
      : `A network must have "kind: ${KIND}".`;
    remarks.push(remark("error", node, "", '"kind" is missing', cure));
  } else {
    const meant = didYouMean(kind, [KIND]);
    const level = meant === "" ? "note" : "error";
    remarks.push(
      remark(level, kindNode, "kind", `kind is "${kind}", not ${KIND}${meant}`, meant === "" ? "Skipped." : ""),
    );
  }
}

function nodeOf(map: YAMLMap, key: string): Node | undefined {
  return map.get(key, true) as Node | undefined;
}

function textOf(node: Node | undefined): string | undefined {
  return isScalar(node) && typeof node.value === "string" ? node.value : undefined;
}

/** The node at a path of keys in a map. */
function below(map: YAMLMap, ...keys: string[]): Node | undefined {
  const found = map.getIn(keys, true);
  return found === undefined ? undefined : (found as Node);
}

function readDefinition(source: string, map: YAMLMap, contents: Contents): void {
  const { networks, remarks } = contents;
  const version = nodeOf(map, "apiVersion");
  if (textOf(version) !== API_VERSION) {
    const found = textOf(version) === undefined ? "" : ` (found "${textOf(version)}")`;
    remarks.push(remark("error", version ?? map, "apiVersion", `apiVersion must be "${API_VERSION}"${found}`));
  }
  const nameNode = below(map, "metadata", "name");
  const name = textOf(nameNode) ?? "";
  if (!isObjectName(name)) {
    const cure = "Use lower-case letters, digits, '-' and '.'; begin and end with a letter or digit.";
    const text =
      nameNode === undefined ? "metadata.name is missing" : "metadata.name is not a valid Kubernetes object name";
    remarks.push(remark("error", nameNode ?? map, "metadata.name", text, cure));
  }
  const spec = nodeOf(map, "spec");
  if (isMap(spec)) checkSpecKeys(spec, remarks);
  else if (spec !== undefined && !(isScalar(spec) && spec.value === null)) {
    remarks.push(remark("error", spec, "spec", 'spec must be an object with the string "config"'));
    return;
  }
  const config = isMap(spec) ? nodeOf(spec, "config") : undefined;
  const isEmpty = config === undefined || (isScalar(config) && (config.value === null || config.value === ""));
  if (isEmpty) {
    const text = `there is no spec.config, so Multus uses the file in /etc/cni/multus/net.d whose "name" is "${name}"`;
    remarks.push(remark("note", config ?? map, "spec.config", text));
  } else if (!isScalar(config) || typeof config.value !== "string") {
    const cure = 'Write "config: |-" and indent the JSON below it.';
    remarks.push(remark("error", config, "spec.config", "spec.config must be a string of JSON, not YAML", cure));
  } else {
    const scalar = config as Scalar<string>;
    const allotted = below(map, "metadata", "annotations", RESOURCE_NAME) !== undefined;
    // All offsets are computed only for an error inside the text. For its beginning, one offset suffices, even if the text is too long.
    let offsets: number[] | undefined;
    const position = (offset: number) => {
      if (offset === 0) return offsetsOf(source, scalar, 1)[0] ?? 0;
      offsets ??= offsetsOf(source, scalar);
      return offsets[offset] ?? 0;
    };
    networks.push({ json: config.value, position, path: "spec.config", origin: { defaultName: name, allotted } });
  }
}

/** Reports unknown keys of spec, because the API server removes them. */
function checkSpecKeys(spec: YAMLMap, remarks: Remark[]): void {
  for (const { key } of spec.items) {
    const text = textOf(key as Node);
    if (text === undefined || text === "config") continue;
    const meant = didYouMean(text, ["config"]);
    remarks.push(
      remark(
        "error",
        key as Node,
        `spec.${text}`,
        `"${text}" is not a key of spec${meant}`,
        'The only key of spec is "config".',
      ),
    );
  }
}

/** True for a DNS subdomain (RFC 1123), which the API server requires as a name. */
function isObjectName(name: string): boolean {
  const ofLabel = (char: string) => (char >= "a" && char <= "z") || (char >= "0" && char <= "9");
  const isLabel = (label: string) =>
    ofLabel(label[0] ?? "") && ofLabel(label.at(-1)!) && [...label].every((char) => ofLabel(char) || char === "-");
  return name.length <= 253 && name.split(".").every(isLabel);
}
