// Writes log lines to stderr or to the file in the configuration. stdout is only for the one JSON document.
import { type Fd, host } from "./host/host.ts";

export type Level = "error" | "warning" | "info" | "debug";
export type Fields = { [key: string]: string | number };

const ranks: { [level in Level]: number } = { error: 0, warning: 1, info: 2, debug: 3 };

/** Names that configurations use, those of sriov-cni among them. Unknown ones mean info, as there. */
const aliases: { [name: string]: Level | undefined } = {
  panic: "error",
  error: "error",
  warning: "warning",
  debug: "debug",
  verbose: "debug",
};

export function levelOf(name: string): Level {
  return aliases[name] ?? "info";
}

interface Sink {
  level: Level;
  /** Lines are JSON in a file, for a collector, and words on stderr, for a person. */
  file: Fd | undefined;
  /** On every line: plugin, command, container, trace. */
  context: Fields;
  /** Of a message that is repeated, only the first lines are written. */
  sparing: boolean;
}

const sink: Sink = { level: "warning", file: undefined, context: {}, sparing: false };

/**
 * Lines of one message in a call: a configuration may be the reason for a thousand, and the runtime repeats a failed call for ever. What differs from
 * line to line is in the fields.
 */
const MOST_LINES = 20;
/** Characters of a message or a field: twice the longest path. */
const LONGEST = 8192;
const counts = new Map<string, number>();

export function configureLog(change: Partial<Sink>): void {
  Object.assign(sink, change);
}

/** Whether a line of this level is written anywhere. */
export function isLogged(level: Level): boolean {
  return ranks[level] <= ranks[sink.level];
}

/** One line. Control characters of values are escaped. Never fails: a full disk does not stop a pod. */
export function log(level: Level, message: string, fields: Fields = {}): void {
  if (!isLogged(level)) return;
  if (sink.sparing) {
    const count = (counts.get(message) ?? 0) + 1;
    counts.set(message, count);
    if (count > MOST_LINES) return;
  }
  write(level, message, fields);
}

/** At the end of a call: how many lines were not written. */
export function logLeftOut(): void {
  for (const [message, count] of counts)
    if (count > MOST_LINES)
      write("warning", "left out more lines with the same message", { message, count: count - MOST_LINES });
  counts.clear();
}

function write(level: Level, message: string, fields: Fields): void {
  const all: Fields = { ...sink.context };
  for (const [key, value] of Object.entries(fields)) all[key] = typeof value === "string" ? cut(value) : value;
  const msg = cut(message);
  const line =
    sink.file === undefined
      ? `podnic: ${level}: ${oneLine(msg)}${words(all)}\n`
      : `${JSON.stringify({ time: timestamp(host.now()), level, msg, ...all })}\n`;
  try {
    host.write(sink.file ?? 2, host.encode(line));
  } catch {
    // nowhere left to say it
  }
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function words(fields: Fields): string {
  return Object.entries(fields)
    .map(([key, value]) => ` ${key}=${typeof value === "number" ? value : oneLine(JSON.stringify(value))}`)
    .join("");
}

/** Changes the order in which a terminal shows what follows: marks, embeddings, overrides and isolates of the bidirectional algorithm. */
function isDirection(unit: number): boolean {
  const isMark = unit === 0x61c || unit === 0x200e || unit === 0x200f;
  return isMark || (unit >= 0x202a && unit <= 0x202e) || (unit >= 0x2066 && unit <= 0x2069);
}

/** Text for a terminal or a log: without the characters (ESC, newlines, C1, directions) by which input could forge lines. */
export function oneLine(text: string): string {
  if (!/[^ -~]/.test(text)) return text;
  let out = "";
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const unsafe =
      unit < 0x20 || (unit >= 0x7f && unit < 0xa0) || unit === 0x2028 || unit === 0x2029 || isDirection(unit);
    out += unsafe ? `\\u${unit.toString(16).padStart(4, "0")}` : text[at];
  }
  return out;
}

const day = 86_400_000;

/** RFC 3339, from milliseconds since the epoch. Date is one more thing the engine would have to carry. */
export function timestamp(milliseconds: number): string {
  // Days since 0000-03-01, so that leap days come last in a year (Howard Hinnant, civil_from_days).
  const days = Math.floor(milliseconds / day) + 719_468;
  const era = Math.floor(days / 146_097);
  const ofEra = days - era * 146_097;
  const year = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * year + Math.floor(year / 4) - Math.floor(year / 100));
  const march = Math.floor((5 * ofYear + 2) / 153);
  const month = march < 10 ? march + 3 : march - 9;
  const date = ofYear - Math.floor((153 * march + 2) / 5) + 1;
  const rest = milliseconds - Math.floor(milliseconds / day) * day;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const clock = `${two(rest / 3_600_000)}:${two((rest / 60_000) % 60)}:${two((rest / 1000) % 60)}`;
  const fraction = String(Math.floor(rest % 1000)).padStart(3, "0");
  return `${String(year + era * 400 + (month <= 2 ? 1 : 0)).padStart(4, "0")}-${two(month)}-${two(date)}T${clock}.${fraction}Z`;
}
