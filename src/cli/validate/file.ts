// One file judged: what is wrong in it, and where.
import { isTooDeep } from "../../cni/request.ts";
import { findJsonError } from "../../config/json-error.ts";
import { humanPath } from "../../config/messages.ts";
import { type NetworkText, type Remark, readContents } from "./documents.ts";
import type { Level } from "./finding.ts";
import { checkNetwork } from "./network.ts";
import { findPlaces, placeAt } from "./places.ts";

export interface Judged {
  file: string;
  networks: { name: string; plugins: string[] }[];
  findings: Located[];
}

/** A finding in its file. */
export interface Located {
  level: Level;
  /** From 1; columns are UTF-16 units. */
  line: number;
  column: number;
  /** Of the value: "spec.config plugins[0].mode". */
  path: string;
  message: string;
  /** What to do, or "". */
  cure: string;
  /** The line, for people. */
  source: string;
}

/** `name` is what messages call the file. */
export function judge(name: string, text: string): Judged {
  if (text.startsWith("\ufeff")) {
    const mark = {
      level: "error",
      offset: 0,
      path: "",
      text: "it begins with a byte order mark",
      cure: "Save it as UTF-8 without one.",
    };
    return { file: name, networks: [], findings: [locate(text, mark as Remark)] };
  }
  const { networks, remarks } = readContents(name, text);
  const judged = networks.map((network) => judgeNetwork(network));
  const all = [...remarks, ...judged.flatMap((each) => each.remarks)];
  return {
    file: name,
    networks: judged.flatMap(({ network }) => network ?? []),
    findings: all.map((each) => locate(text, each)).sort((a, b) => a.line - b.line || a.column - b.column),
  };
}

function judgeNetwork(text: NetworkText): { network?: Judged["networks"][number]; remarks: Remark[] } {
  // What a plugin refuses to read.
  if (isTooDeep(text.json)) return { remarks: [notJson(text)] };
  let raw: unknown;
  try {
    raw = JSON.parse(text.json);
  } catch {
    return { remarks: [notJson(text)] };
  }
  const { root, repeated } = findPlaces(text.json);
  const { name, types, findings } = checkNetwork(raw, text.origin);
  const path = (pointer: string) =>
    [text.path, pointer === "" ? "" : humanPath(pointer)].filter((part) => part !== "").join(" ");
  const remarks = findings.map((each): Remark => {
    const { start, key } = placeAt(root, each.pointer);
    const offset = text.position(each.atKey === true ? key : start);
    return { level: each.level, offset, path: path(each.pointer), text: each.text, cure: each.cure };
  });
  for (const { pointer, key } of repeated) {
    const words = `${humanPath(pointer)} is given twice; the last one counts`;
    remarks.push({
      level: "warning",
      offset: text.position(key),
      path: path(pointer),
      text: words,
      cure: "Remove one.",
    });
  }
  return { network: { name, plugins: types }, remarks };
}

function notJson({ json, path, position }: NetworkText): Remark {
  const blank = json.trim() === "";
  const found = blank ? { line: 1, column: 1, text: "there is nothing in it" } : findJsonError(json);
  const { line, column, text } = found ?? { line: 1, column: 1, text: "nested too deep" };
  const before =
    json
      .split("\n")
      .slice(0, line - 1)
      .join("\n").length + (line > 1 ? 1 : 0);
  const cure = blank ? "A network configuration is an object: {…}." : "";
  return { level: "error", offset: position(before + column - 1), path, text: `not JSON: ${text}`, cure };
}

function locate(text: string, { level, offset, path, text: message, cure }: Remark): Located {
  const lines = text.slice(0, offset).split("\n");
  const line = lines.length;
  const source = text.split("\n")[line - 1] ?? "";
  return { level, line, column: lines.at(-1)!.length + 1, path, message, cure, source: source.replace(/\r$/, "") };
}
