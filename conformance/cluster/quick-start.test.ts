import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { quickStart } from "./cases/ways.ts";

const page = readFileSync("docs/quick-start.md", "utf8");

test("the cluster types every command of the quick start, and saves its files", () => {
  const { files, commands } = quickStart(page);
  expect([...files.keys()]).toEqual(["lan.yaml", "web.yaml"]);
  const fenced = page.split("```").filter((_, i) => i % 2 === 1);
  const typed = fenced.filter((text) => text.startsWith("\n")).flatMap((text) => text.trim().split("\n"));
  expect(commands).toEqual(typed);
  expect(fenced.length).toBe(typed.length > 0 ? 7 : 0);
  for (const program of ["ctr", "kubectl", "podnic"])
    expect(commands.some((line) => line.startsWith(program))).toBe(true);
});

test("a file that is saved is one that a command names", () => {
  const { files, commands } = quickStart(page);
  for (const name of files.keys()) expect(commands.some((line) => line.includes(name))).toBe(true);
});
