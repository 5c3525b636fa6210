// The plugins' pages: the tables of keys are the schemas', and every key is described.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { pages, withTable } from "../scripts/keys.ts";

const root = process.cwd();

test.each(pages())("$file has the keys of its schema (npm run keys writes them)", (page) => {
  expect(readFileSync(join(root, page.file), "utf8")).toBe(withTable(page));
});

test.each(pages())("$file: every key has a meaning, and an example or values", ({ keys }) => {
  expect(keys.length).toBeGreaterThan(0);
  for (const { path, schema } of keys) {
    expect(schema.description, path).toMatch(/\.$/);
    if (schema.enum === undefined && schema.type !== "boolean" && schema.type !== "object")
      expect(schema.examples, `an example of ${path}`).toBeDefined();
  }
});

test.each(pages().slice(1))("$file says what the plugin is for, what goes wrong and what differs", ({ file }) => {
  const text = readFileSync(join(root, file), "utf8");
  for (const part of ["```json", "docs/differences.md", "docs/configuration.md"]) expect(text).toContain(part);
});

/** Links to files of the repository. */
function links(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map((match) => match[1]!).filter((to) => !to.includes(":"));
}

const tracked = spawnSync("git", ["ls-files", "*.md"], { cwd: root, encoding: "utf8" }).stdout.trim().split("\n");

test.each(tracked)("%s links to what exists", (file) => {
  for (const to of links(file)) expect(existsSync(join(root, dirname(file), to)), to).toBe(true);
});

/** GitHub's name of a heading, in links. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");

test("the index of decisions.md has every heading once", () => {
  const text = readFileSync(join(root, "docs/decisions.md"), "utf8");
  const headings = [...text.matchAll(/^## (.+)$/gm)].map((match) => match[1]!);
  const index = text.slice(0, text.indexOf("\n## "));
  const linked = [...index.matchAll(/\[([^\]]+)\]\(#([^)]+)\)/g)].map((match) => [match[1]!, match[2]!]);
  expect(linked.sort()).toEqual(headings.map((heading) => [heading, anchor(heading)]).sort());
});

const folders = readFileSync(join(root, "docs/architecture.md"), "utf8")
  .split("\n### ")
  .flatMap((section): [string, string][] => {
    const folder = /^((?:src|plugins)\/[\w/-]+)/.exec(section)?.[1];
    return folder === undefined ? [] : [[folder, section]];
  });

test.each(folders)("architecture.md lists the files of %s", (folder, list) => {
  const isOwn = (name: string): boolean => name.endsWith(".ts") && !/\.(test|schema|d)\.ts$/.test(name);
  const files = readdirSync(join(root, folder)).filter(isOwn);
  expect([...list.matchAll(/`([\w-]+\.ts)`/g)].map((match) => match[1]!).sort()).toEqual(files.sort());
});

test("architecture.md lists the folders that plugins share, and the plugins", () => {
  expect(folders.map(([folder]) => folder)).toHaveLength(17);
});
