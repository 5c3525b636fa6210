// The cases, test files and tests that findings.md names exist.
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { tables } from "../conformance/cases/index.ts";
import { dhcpClients } from "../conformance/clients/dhcp.ts";

const page = readFileSync(new URL("findings.md", import.meta.url), "utf8");
const rows = page.split("\n").filter((line) => /^\| (?!entry|---)/.test(line));
const cells = rows.map((row) => row.split(" | "));
const held = cells.map((row) => row[2]!);

const cri = readFileSync("conformance/cri/main.ts", "utf8");
const cases = new Set([
  ...tables.flatMap(({ perMain, fixed }) => [...perMain, ...fixed].map(({ id }) => id)),
  ...dhcpClients.map(({ id }) => id),
  ...[...cri.matchAll(/id: "(CRI-\d+)"/g)].map((match) => match[1]!),
]);

test("every entry of each source is in a table, and each row has its four cells", () => {
  expect(cells.filter((row) => row.length !== 4)).toEqual([]);
  expect(rows.length).toBeGreaterThanOrEqual(80);
  const ids = new Set(cells.map(([entry]) => /^\| (\w\d+|\d|arguable|the driver|vfio-pci)\b/.exec(entry!)?.[1]));
  expect([...ids]).toEqual([
    ...["A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "C1", "C2", "C3"],
    ...["D1", "D2", "D3", "D4", "D5", "D6"],
    ...["W0", "W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "arguable", "the driver", "vfio-pci"],
    ...["1", "2", "3", "4", "5", "6", "7"],
    ...["L1", "L3", "L4", "L5", "L6", "M4", "M6"],
    // Of the faults, those without a test that could fail.
    ...["F3", "F4", "F7", "F8", "F11", "F12", "F13", "F15", "F23", "F28", "F29", "F30", "F31", "F35"],
    ...["O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10", "O11", "O12", "O13", "O14"],
  ]);
  expect(cells.filter(([entry]) => entry!.startsWith("| arguable")).length).toBe(9);
});

test("every case exists", () => {
  const named = held.flatMap(
    (cell) => cell.replace(/`[^`]*`/g, "").match(/\b[A-Z]{2,}X?-[A-Za-z0-9-]+(?:\.\w+)?/g) ?? [],
  );
  expect(named.length).toBeGreaterThan(100);
  expect(named.filter((id) => !cases.has(id))).toEqual([]);
});

/** A file, and the names of its tests in the parentheses behind it. */
const files = held.flatMap((cell) =>
  [...cell.matchAll(/`([\w./-]+\.ts)`(?: \((".*?")\)(?=[,;.]| |$))?/g)].map((match): [string, string[]] => [
    match[1]!,
    [...(match[2] ?? "").matchAll(/"(.*?)"(?=, "|$)/g)].map((title) => title[1]!),
  ]),
);

test("every name in quotes is that of a test in the file before it", () => {
  const quotes = held.join("\n").match(/"/g)!.length;
  expect(files.flatMap(([, titles]) => titles)).toHaveLength(quotes / 2);
});

test.each([...new Set(files.map(([file]) => file))])("%s exists and has the tests that are named", (file) => {
  expect(existsSync(file)).toBe(true);
  const text = readFileSync(file, "utf8").replaceAll('\\"', '"');
  const titles = files.filter(([other]) => other === file).flatMap(([, named]) => named);
  expect(titles.filter((title) => !title.split(/%\w/).every((part) => text.includes(part.trim())))).toEqual([]);
});
