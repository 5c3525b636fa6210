// The plugins in this executable. main.ts fills this table from plugins.ts. It is a table and not a list of imports, because the layer below
// the plugins also calls IPAM plugins.
import type { Plugin } from "./plugin.ts";

const plugins = new Map<string, Plugin>();

/** Replaces the table with these plugins. */
export function registerPlugins(list: readonly Plugin[]): void {
  plugins.clear();
  for (const plugin of list) for (const name of [plugin.name, ...(plugin.names ?? [])]) plugins.set(name, plugin);
}

export function findPlugin(name: string): Plugin | undefined {
  return plugins.get(name);
}

/** Each interface plugin once, even if it has several names. */
export function interfacePlugins(): Plugin[] {
  return [...new Set(plugins.values())].filter(({ kind }) => kind === "interface");
}

/** All names, including the alternative names of plugins. */
export function pluginNames(): string[] {
  return [...plugins.keys()];
}

export function ipamNames(): string[] {
  return pluginNames().filter((name) => findPlugin(name)?.kind === "ipam");
}
