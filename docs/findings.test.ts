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

test("there is a table for each source, and each row has its four cells", () => {
  expect(cells.filter((row) => row.length !== 4)).toEqual([]);
  expect(rows.length).toBeGreaterThanOrEqual(80);
  const entries = (pattern: RegExp) => cells.filter(([entry]) => pattern.test(entry!)).length;
  expect(["A", "B", "C", "D", "W", ""].map((letter) => entries(new RegExp(`^\\| ${letter}\\d+: `)))).toEqual([
    5, 7, 3, 6, 12, 8,
  ]);
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
