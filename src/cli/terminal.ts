// What people and programs see: text on stdout, problems on stderr, tables, colour when a person looks.
import { type Fd, host, SystemError } from "../host/host.ts";

/** ioctl_tty(2): rows, columns and pixels of a terminal, as four 16-bit numbers. */
const TIOCGWINSZ = 0x5413;

/** Columns of help and tables where no terminal says otherwise. */
export const DEFAULT_WIDTH = 100;

/** Writes all of it. Throws SystemError: a command whose answer did not arrive has failed. */
export function print(text: string, fd: Fd = 1): void {
  let rest = host.encode(text);
  while (rest.length > 0) rest = rest.subarray(host.write(fd, rest));
}

/** A line for the person at the keyboard, beside the answer: on stderr, so that stdout stays the answer. */
export function note(line: string): void {
  print(`podnic: ${line}\n`, 2);
}

/** The answer for programs: one JSON document. */
export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}

/** Columns of the terminal behind a descriptor; undefined when it is no terminal. */
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
  if (terminalWidth() === undefined || (host.getenv("NO_COLOR") ?? "") !== "" || host.getenv("TERM") === "dumb")
    return text;
  return `\x1b[${codes[colour]}m${text}\x1b[0m`;
}

/** A container's id as its runtime's own tools show it. */
export function shortId(id: string): string {
  return id.slice(0, 13);
}

/** "1 error", "2 errors". */
export function plural(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

/** A cell of a table; `colour` is how it is shown to people. */
export type Cell = string | { text: string; colour: Colour };

const textOf = (cell: Cell): string => (typeof cell === "string" ? cell : cell.text);

/** Characters a terminal shows: code points, which is right for the names and addresses we print. */
const lengthOf = (text: string): number => [...text].length;

/**
 * Prints rows under a head, in columns as wide as they need to be. On a terminal the last column is cut at its edge; in a file or a
 * pipe nothing is cut.
 */
export function printTable(head: string[], rows: Cell[][]): void {
  const widths = head.map((title, i) =>
    Math.max(lengthOf(title), ...rows.map((row) => lengthOf(textOf(row[i] ?? "")))),
  );
  const edge = terminalWidth() ?? Number.POSITIVE_INFINITY;
  const line = (cells: Cell[]): string => {
    let at = 0;
    const shown = cells.map((cell, i) => {
      const last = i === cells.length - 1;
      const text = last ? cut(textOf(cell), edge - at) : textOf(cell);
      at += widths[i]! + 2;
      const padded = last ? text : text + " ".repeat(widths[i]! - lengthOf(text) + 2);
      return typeof cell === "string" ? padded : paint(padded, cell.colour);
    });
    return `${shown.join("").trimEnd()}\n`;
  };
  print(line(head.map((text): Cell => ({ text, colour: "bold" }))) + rows.map(line).join(""));
}

function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(width - 1, 0)).join("")}…`;
}
