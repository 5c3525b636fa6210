// npm installs exactly what was reviewed (A22): package-lock.json pins every package by hash. The plugins need none of the packages.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const json = (file: string) => JSON.parse(readFileSync(file, "utf8"));
const packages: [string, { integrity?: string; link?: boolean; dev?: boolean; devOptional?: boolean }][] =
  Object.entries(json("package-lock.json").packages);

test("every package is pinned by SHA-512", () => {
  const installed = packages.filter(([path, { link }]) => path !== "" && link !== true);
  expect(installed.length).toBeGreaterThan(20);
  expect(
    installed.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? "")).map(([path]) => path),
  ).toEqual([]);
});

test("all are for development: nothing is needed at run time", () => {
  expect(json("package.json").dependencies ?? {}).toEqual({});
  const needed = packages.filter(([path, { dev, devOptional }]) => path !== "" && dev !== true && devOptional !== true);
  expect(needed.map(([path]) => path)).toEqual([]);
});
