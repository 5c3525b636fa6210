// Uses real files in a test directory.
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { host, installHost } from "../../src/host/host.ts";
import { forgetSlaves, KNOWN_SLAVES } from "./known-slave.ts";

const real = host;
let root = "";

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "podnic-slaves-"));
  installHost(
    new Proxy(real, {
      get: (target, name) => {
        const value = Reflect.get(target, name, target);
        if (name !== "open") return typeof value === "function" ? value.bind(target) : value;
        return (path: string, ...more: unknown[]) =>
          Reflect.apply(value, target, [path === `${KNOWN_SLAVES}/ipvlan` ? root : path, ...more]);
      },
    }),
  );
});
afterEach(() => {
  installHost(real);
  fs.rmSync(root, { recursive: true, force: true });
});

const write = (file: string, containerId: string): void =>
  fs.writeFileSync(
    join(root, file),
    JSON.stringify({ netns: `/run/netns/${containerId}`, network: "net1", containerId, ifName: "eth0" }),
  );
const list = (): string[] =>
  fs
    .readdirSync(root)
    .filter((name) => name !== "lock")
    .sort();

test("files of attachments that are gone are removed, others stay", () => {
  write("7-1", "old");
  write("7-2", "new");
  fs.writeFileSync(join(root, "7-3"), "damaged");
  forgetSlaves(({ containerId }) => containerId === "old");
  expect(list()).toEqual(["7-2", "7-3"]);
});

// npm run interleave -- --pair "ipvlan ADD, gc --all", 1:368,0,1
test("a file that an ADD has written meanwhile stays", () => {
  write("7-1", "old");
  forgetSlaves(({ containerId }) => {
    if (containerId === "old") write("7-1", "new");
    return containerId === "old";
  });
  expect(list()).toEqual(["7-1"]);
});
