// One file checked: what is wrong in it, and where.
import { isTooDeep } from "../../cni/request.ts";
import { findJsonError } from "../../config/json-error.ts";
import { humanPath } from "../../config/messages.ts";
import { isObject } from "../../state/shape.ts";
import { cut, type Omitted } from "./cut.ts";
import { type NetworkText, type Remark, readContents } from "./documents.ts";
import type { Level } from "./finding.ts";
import { checkNetwork } from "./network.ts";
import { findPlaces, placeAt } from "./places.ts";

export interface CheckedFile {
  file: string;
  networks: { name: string; plugins: string[] }[];
  findings: Located[];
  /** Further findings that are counted and not listed. */
  omitted: Omitted;
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
  /** The line, for people; of a long one (JSON is often written on one) the part around the place. */
  source: string;
  /** Where in `source` it is, from 0. */
  mark: number;
}

/** `name` is what messages call the file. */
export function validateFile(name: string, text: string): CheckedFile {
  if (text.startsWith("\ufeff")) {
    const mark: Remark = {
      level: "error",
      offset: 0,
      path: "",
      text: "it begins with a byte order mark",
      cure: "Save it as UTF-8 without one.",
    };
    return { file: name, networks: [], findings: [locate(linesOf(text), mark)], omitted: cut([]).omitted };
  }
  const { networks, remarks } = readContents(name, text);
  const checked = networks.map(validateNetwork);
  const lines = linesOf(text);
  const { listed, omitted } = cut([...remarks, ...checked.flatMap((each) => each.remarks)]);
  return {
    file: name,
    networks: checked.flatMap(({ network }) => network ?? []),
    findings: listed.map((each) => locate(lines, each)).sort((a, b) => a.line - b.line || a.column - b.column),
    omitted,
  };
}

function validateNetwork(text: NetworkText): { network?: CheckedFile["networks"][number]; remarks: Remark[] } {
  // What a plugin refuses to read.
  if (isTooDeep(text.json)) return { remarks: [notJson(text)] };
  let raw: unknown;
  try {
    raw = JSON.parse(text.json);
  } catch {
    return { remarks: [notJson(text)] };
  }
  // What is no object is wrong as a whole.
  const { root, repeated } = findPlaces(isObject(raw) ? text.json : text.json.replace(/\S.*/s, "0"));
  const { name, types, findings } = checkNetwork(raw, text.origin);
  const path = (pointer: string) =>
    [text.path, pointer === "" ? "" : humanPath(pointer)].filter((part) => part !== "").join(" ");
  const remarks = findings.map((each): Remark => {
    const { start, key } = placeAt(root, each.pointer);
    const offset = text.position(each.atKey === true ? key : start);
    return { level: each.level, offset, path: path(each.pointer), text: each.text, cure: each.cure };
  });
  for (const { pointer, key } of repeated) {
    const words = `${humanPath(pointer)} appears twice; only the last one counts`;
    remarks.push({
      level: "warning",
      offset: text.position(key),
      path: path(pointer),
      text: words,
      cure: "Remove one of them.",
    });
  }
  return { network: { name, plugins: types }, remarks };
}

function notJson({ json, path, position }: NetworkText): Remark {
  const blank = json.trim() === "";
  const found = blank ? { line: 1, column: 1, text: "the file is empty" } : findJsonError(json);
  const { line, column, text } = found ?? { line: 1, column: 1, text: "it is nested too deeply" };
  const before =
    json
      .split("\n")
      .slice(0, line - 1)
      .join("\n").length + (line > 1 ? 1 : 0);
  const cure = blank ? "A network configuration must be an object: {…}." : "";
  return { level: "error", offset: position(before + column - 1), path, text: `not JSON: ${text}`, cure };
}

function locate(lines: Line[], { level, offset, path, text: message, cure }: Remark): Located {
  let number = 0;
  for (let above = lines.length; number + 1 < above; ) {
    const middle = (number + above) >> 1;
    if (lines[middle]!.start <= offset) number = middle;
    else above = middle;
  }
  const { start, text } = lines[number]!;
  const column = offset - start + 1;
  const shown = excerptOf(text, column - 1);
  return { level, line: number + 1, column, path, message, cure, ...shown };
}

interface Line {
  /** Offset in the file. */
  start: number;
  text: string;
}

function linesOf(text: string): Line[] {
  let start = 0;
  return text.split("\n").map((line) => {
    const found = { start, text: line.replace(/\r$/, "") };
    start += line.length + 1;
    return found;
  });
}

/** Characters of a line that are shown, and at most so many of them before the place. */
const SHOWN = 110;
const BEFORE = 59;

function excerptOf(line: string, at: number): Pick<Located, "source" | "mark"> {
  const from = line.length > SHOWN ? Math.max(0, at - BEFORE) : 0;
  if (from === 0) return { source: line.slice(0, SHOWN), mark: at };
  return { source: `…${line.slice(from, from + SHOWN)}`, mark: at - from + 1 };
}
