// The plugins in this executable. main.ts fills it from plugins.ts; a table instead of imports, because IPAM plugins are called by the
// layer that they themselves are written against.
import type { Plugin } from "./plugin.ts";

const plugins = new Map<string, Plugin>();

export function registerPlugins(list: readonly Plugin[]): void {
  for (const plugin of list) plugins.set(plugin.name, plugin);
}

export function findPlugin(name: string): Plugin | undefined {
  return plugins.get(name);
}

export function pluginNames(): string[] {
  return [...plugins.keys()];
}
