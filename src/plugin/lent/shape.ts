// Is what a record holds what a plugin writes? A record that is not is passed over, and podnic doctor --fix removes it.
import type { CapturedNetwork } from "../../link/capture.ts";
import type { NamedNamespace } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";

type Fields = { [key: string]: unknown };

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function all(value: Fields, type: string, keys: string[]): boolean {
  return keys.every((key) => typeof value[key] === type);
}

/** What every record of a device has. */
export function isLoanData(data: unknown): data is { netns: NamedNamespace } {
  if (!isObject(data) || !isObject(data.netns)) return false;
  return all(data.netns, "string", ["path"]) && all(data.netns, "number", ["dev", "ino"]);
}

export function isNetwork(network: unknown): network is CapturedNetwork {
  return isObject(network) && Array.isArray(network.addresses) && Array.isArray(network.routes);
}

export function isSnapshot(was: unknown): was is LinkSnapshot {
  if (!isObject(was)) return false;
  return (
    all(was, "string", ["name", "alias", "kind", "parentDevice", "permanentMac", "mac"]) &&
    all(was, "number", ["index", "parent", "mtu", "txqlen"]) &&
    all(was, "boolean", ["up", "promisc", "allmulti"]) &&
    Array.isArray(was.altnames) &&
    was.altnames.every((name) => typeof name === "string")
  );
}
