// Gives each test its own host-local plugin, with lease directory and index in a temporary directory.
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { host, installHost } from "../../../src/host/host.ts";
import { type Given, ipsOf, run } from "../../../src/testing/calls.ts";
import { hostLocalPlugin } from "../plugin.ts";

export let root = "";
export let dataDir = "";
export let plugin = hostLocalPlugin("");
export const real = host;

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "podnic-host-local-"));
  dataDir = `${root}/networks`;
  plugin = hostLocalPlugin(`${root}/index`);
});
afterEach(() => {
  installHost(real);
  fs.rmSync(root, { recursive: true, force: true });
});

export type Raw = { name: string; cniVersion: string; [key: string]: unknown };
export function config(ipam: object, more: object = {}): Raw {
  return {
    name: "mynet",
    cniVersion: "1.1.0",
    type: "ipvlan",
    ipam: { type: "host-local", dataDir, ...ipam },
    ...more,
  };
}
export const net = (subnet: string, more: object = {}): Raw => config({ ranges: [[{ subnet, ...more }]] });
export const small = (): Raw => net("192.168.1.0/29");

export const add = (raw: Raw, id?: string, given: Given = {}): string[] =>
  ipsOf(run(plugin, "ADD", raw, id === undefined ? given : { id, ...given })).map((text) => text.split(" ")[0]!);
export const del = (raw: Raw, id = "dummy", ifName = "eth0"): unknown => run(plugin, "DEL", raw, { id, ifName });
export const path = (name: string, network = "mynet"): string => `${dataDir}/${network}/${name}`;
export const content = (name: string, network?: string): string => fs.readFileSync(path(name, network), "utf8");
/** Leases, without lock and cursor. */
export const leases = (network = "mynet"): string[] =>
  fs.existsSync(`${dataDir}/${network}`)
    ? fs
        .readdirSync(`${dataDir}/${network}`)
        .filter((name) => !/^(lock|last_reserved_ip\.\d+)$/.test(name))
        .sort()
    : [];
export function plant(name: string, text: string, network = "mynet"): void {
  fs.mkdirSync(`${dataDir}/${network}`, { recursive: true });
  fs.writeFileSync(path(name, network), text);
}

/** The host with some calls replaced. */
export function altered(changes: Partial<typeof host>): void {
  installHost(
    new Proxy(real, {
      get: (target, name) => {
        const value = (changes as Record<PropertyKey, unknown>)[name] ?? Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  );
}

/** How many directories were read to their end while `body` ran. */
export function scans(body: () => void): number {
  let count = 0;
  altered({
    readdir: (dir) => {
      count++;
      return real.readdir(dir);
    },
  });
  body();
  installHost(real);
  return count;
}
