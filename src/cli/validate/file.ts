// Checks one file, and reports its errors and their positions.
import { findJsonError } from "../../config/json-error.ts";
import { countMarks, hasTooManyKeys, isTooDeep, MOST_KEYS } from "../../config/json-limits.ts";
import { humanPath } from "../../config/messages.ts";
import { isObject } from "../../state/shape.ts";
import { cut, type Omitted } from "./cut.ts";
import { type NetworkText, type Remark, readContents } from "./documents.ts";
import type { Level } from "./finding.ts";
import { checkNetwork } from "./network.ts";
import { findPlaces, placeAt } from "./places.ts";

/** Maximum number of brackets, commas and colons in all networks of a file, because checking one value can take 30 µs. */
const MOST_MARKS = 20_000;
/** A network takes additional time, which corresponds to this number of brackets, commas and colons. */
const NETWORK_MARKS = 10;

export interface CheckedFile {
  file: string;
  networks: { name: string; plugins: string[] }[];
  findings: Located[];
  /** Further findings that are counted and not listed. */
  omitted: Omitted;
}

/** A finding and its position in the file. */
export interface Located {
  level: Level;
  /** Lines and columns begin at 1. Columns count UTF-16 units. 0: the finding concerns the whole file. */
  line: number;
  column: number;
  /** The path of the value, such as "spec.config plugins[0].mode". */
  path: string;
  message: string;
  /** What to do, or "". */
  cure: string;
  /** The text of the line. If the line is long, because the JSON has no line breaks, only the part around the position. */
  source: string;
  /** The index of the position in `source`. */
  mark: number;
}

/** Checks the contents of a file. `name` is the file's name in messages. */
export function validateFile(name: string, text: string): CheckedFile {
  if (text.startsWith("\ufeff")) {
    const mark: Remark = {
      level: "error",
      offset: 0,
      path: "",
      text: "it begins with a byte order mark",
      cure: "Save it as UTF-8 without one.",
    };
    return { file: name, networks: [], findings: locate(text, [mark]), omitted: cut([]).omitted };
  }
  const { networks, remarks } = readContents(name, text);
  let left = MOST_MARKS;
  const checked = networks.map((network) => {
    if (isTooDeep(network.json)) return { remarks: [tooDeep(network)] };
    left -= NETWORK_MARKS + countMarks(network.json, left);
    return left < 0 ? { remarks: [tooMuch(network)] } : validateNetwork(network);
  });
  const { listed, omitted } = cut([...remarks, ...checked.flatMap((each) => each.remarks)]);
  return {
    file: name,
    networks: checked.flatMap(({ network }) => network ?? []),
    findings: locate(text, listed),
    omitted,
  };
}

function validateNetwork(text: NetworkText): { network?: CheckedFile["networks"][number]; remarks: Remark[] } {
  const refused = refusedAmount(text);
  if (refused !== undefined) return { remarks: [refused] };
  let raw: unknown;
  try {
    raw = JSON.parse(text.json);
  } catch {
    return { remarks: [notJson(text)] };
  }
  // A value that is not an object is wrong as a whole, so only its beginning matters.
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
    const words = `${humanPath(pointer)} appears twice; only the last one is used`;
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

/** The error for a network that plugins refuse because of its depth. It does not give the position of a syntax error. */
function tooDeep({ path, position }: NetworkText): Remark {
  return { level: "error", offset: position(0), path, text: "not JSON: it is nested too deeply", cure: "" };
}

function tooMuch({ path, position }: NetworkText): Remark {
  const text = `not checked, because it and the networks before it have more than ${MOST_MARKS} commas, colons and brackets`;
  return {
    level: "error",
    offset: position(0),
    path,
    text,
    cure: "Split the file. A network needs a few hundred at most.",
  };
}

/** The error for a network with more keys than plugins accept. */
function refusedAmount({ json, path, position }: NetworkText): Remark | undefined {
  if (!hasTooManyKeys(json)) return undefined;
  const text = `it has more than ${MOST_KEYS} different keys, and no plugin reads such a file`;
  return { level: "error", offset: position(0), path, text, cure: "No network configuration has that many." };
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

/** Converts offsets to lines and columns, and sorts the findings by position. Does not store the lines, because there may be a million. */
function locate(file: string, remarks: Remark[]): Located[] {
  let number = 1;
  let start = 0;
  let end = endOfLine(file, 0);
  let line: string | undefined;
  return [...remarks]
    .sort((a, b) => a.offset - b.offset)
    .map(({ level, offset, path, text: message, cure }) => {
      for (; end < offset; end = endOfLine(file, start)) {
        start = end + 1;
        number++;
        line = undefined;
      }
      line ??= file.slice(start, file[end - 1] === "\r" && end > start ? end - 1 : end);
      const column = offset - start + 1;
      return { level, line: number, column, path, message, cure, ...excerptOf(line, column - 1) };
    });
}

function endOfLine(file: string, start: number): number {
  const end = file.indexOf("\n", start);
  return end < 0 ? file.length : end;
}

/** Maximum number of characters to show of a line, and of those before the position. */
const SHOWN = 110;
const BEFORE = 59;

function excerptOf(line: string, at: number): Pick<Located, "source" | "mark"> {
  const from = line.length > SHOWN ? Math.max(0, at - BEFORE) : 0;
  if (from === 0) return { source: line.slice(0, SHOWN), mark: at };
  return { source: `…${line.slice(from, from + SHOWN)}`, mark: at - from + 1 };
}
