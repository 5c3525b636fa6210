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

/** Brackets, commas and colons of all networks: each value may take some 30 us, which is why all of a file's are counted. */
const MOST_MARKS = 20_000;
/** A network takes as long as so many. */
const NETWORK_MARKS = 10;

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

/** What a plugin refuses to read. Where it stops being JSON is not looked for. */
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

/** What a plugin refuses to read although it is JSON. */
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

/** In the order of the file. Its lines are counted and not kept: there may be a million. */
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

/** Characters of a line that are shown, and at most so many of them before the place. */
const SHOWN = 110;
const BEFORE = 59;

function excerptOf(line: string, at: number): Pick<Located, "source" | "mark"> {
  const from = line.length > SHOWN ? Math.max(0, at - BEFORE) : 0;
  if (from === 0) return { source: line.slice(0, SHOWN), mark: at };
  return { source: `…${line.slice(from, from + SHOWN)}`, mark: at - from + 1 };
}
