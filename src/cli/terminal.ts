// Output for people and programs: text on stdout, problems on stderr, tables, and colours on a terminal.
import { writeAll } from "../cni/stdio.ts";
import { TIOCGWINSZ } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { jsonText } from "../json-text.ts";
import { oneLine } from "../log.ts";
import { Exit, Status } from "./exit.ts";

/** The width of help and tables if the terminal does not provide one, in columns. */
export const DEFAULT_WIDTH = 100;

/**
 * Writes the whole text. If writing to stdout fails, prints a note and throws Exit, because the command has failed; prints no note if the
 * reader has exited (`| head`). Ignores errors on stderr.
 */
export function print(text: string, fd: Fd = 1): void {
  try {
    writeAll(fd, text);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (fd === 2) return;
    if (error.code !== "EPIPE") note(`cannot write the output: ${error.message}`);
    throw new Exit(Status.failed);
  }
}

/** A line for the user, in addition to the output. It goes to stderr, so that stdout contains only the output. */
export function note(line: string): void {
  print(`podnic: ${line.split("\n").map(oneLine).join("\n")}\n`, 2);
}

/** Prints one JSON document, which is the output for --json. */
export function printJson(value: unknown): void {
  print(`${jsonText(value, 2)}\n`);
}

/** The width of a terminal, in columns; undefined if the descriptor is not a terminal. */
export function terminalWidth(fd: Fd = 1): number | undefined {
  const size = new Uint8Array(8);
  try {
    host.ioctl(fd, TIOCGWINSZ, size);
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
  return size[2]! + size[3]! * 256 || DEFAULT_WIDTH;
}

export type Colour = "red" | "green" | "yellow" | "bold" | "dim";
const codes: { [colour in Colour]: number } = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 };

/** Text in a colour, for a terminal whose user has not set NO_COLOR (https://no-color.org). */
export function paint(text: string, colour: Colour): string {
  return isPainted() ? coloured(text, colour) : text;
}

function isPainted(): boolean {
  return terminalWidth() !== undefined && (host.getenv("NO_COLOR") ?? "") === "" && host.getenv("TERM") !== "dumb";
}

function coloured(text: string, colour: Colour): string {
  return `\x1b[${codes[colour]}m${text}\x1b[0m`;
}

/** A container's ID, shortened as in the container runtimes' tools. */
export function shortId(id: string): string {
  return id.slice(0, 13);
}

/** "1 error", "2 errors". */
export function plural(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** A cell of a table. `colour` is used only on a terminal. */
export type Cell = string | { text: string; colour: Colour };

/** Replaces control characters, because names and aliases can come from pods. */
const textOf = (cell: Cell): string => oneLine(typeof cell === "string" ? cell : cell.text);

/** The number of columns of a text. Counts code points, which is correct for the names and addresses that podnic prints. */
const lengthOf = (text: string): number => (/[^ -~]/.test(text) ? [...text].length : text.length);

/** If fewer columns than this remain for the last column, its text is not cut, and the terminal wraps the lines. */
const LEAST = 20;

/**
 * Prints a table. On a terminal, omits empty columns (those with only "-"), and cuts the last column at the edge. In a file or pipe, prints
 * everything.
 */
export function printTable(head: string[], rows: Cell[][]): void {
  const edge = terminalWidth() ?? Number.POSITIVE_INFINITY;
  const painted = isPainted();
  const texts = rows.map((row) => head.map((_, i) => textOf(row[i] ?? "")));
  const isSaid = (i: number): boolean => texts.some((row) => row[i] !== "" && row[i] !== "-");
  const shown = head.map((_, i) => i).filter((i) => i === 0 || edge === Number.POSITIVE_INFINITY || isSaid(i));
  const widths = shown.map((i) => widest(texts, i, lengthOf(head[i]!)));
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const room = edge - before < LEAST ? Number.POSITIVE_INFINITY : edge - before;
  const line = (row: string[], cells: Cell[]): string => {
    let out = "";
    for (const [at, i] of shown.entries()) {
      const text = row[i]!;
      const padded = at === shown.length - 1 ? cut(text, room) : padTo(text, widths[at]! + 2);
      const cell = cells[i] ?? "";
      out += typeof cell === "string" || !painted ? padded : coloured(padded, cell.colour);
    }
    return `${out.trimEnd()}\n`;
  };
  const top = line(
    head,
    head.map((text): Cell => ({ text, colour: "bold" })),
  );
  print(top + texts.map((row, at) => line(row, rows[at]!)).join(""));
}

function widest(rows: string[][], column: number, least: number): number {
  let width = least;
  for (const row of rows) {
    const text = row[column]!;
    // A text never has more characters than UTF-16 units.
    if (text.length > width) width = Math.max(width, lengthOf(text));
  }
  return width;
}

function padTo(text: string, width: number): string {
  const padded = text.padEnd(width);
  const missing = text.length - lengthOf(text);
  return missing === 0 ? padded : text + " ".repeat(width - lengthOf(text));
}

function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(width - 1, 0)).join("")}…`;
}
