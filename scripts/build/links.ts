// Creates the names under which an executable is called.
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BuildError, manifest, root } from "./paths.ts";

/** Names of the plugins, checked against plugins/. */
function pluginNames(): string[] {
  const { plugins, names } = manifest();
  const built = [...plugins, ...Object.keys(names)].filter((name) => isBuilt(names[name] ?? name));
  const unknown = readdirSync(join(root, "plugins")).filter((name) => !plugins.includes(name));
  if (unknown.length > 0) throw new BuildError(`pkg.config.json does not name plugins/${unknown.join(", plugins/")}`);
  return built;
}

const isBuilt = (plugin: string): boolean => existsSync(join(root, "plugins", plugin, "plugin.ts"));

function makeAnew(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
}

/** Creates `dir` anew with hard links to the executable under the plugins' names. Hard links survive a copy by any tool and take no room. */
export function linkPlugins(executable: string, dir: string): void {
  makeAnew(dir);
  for (const name of pluginNames()) linkSync(executable, join(dir, name));
}

/** The same for an executable that this machine runs in an emulator: creates scripts that call it under their own name. */
export function wrapPlugins(executable: string, emulator: string, dir: string): void {
  makeAnew(dir);
  const script = `#!/bin/sh\nexec ${emulator} -0 "$0" ${executable} "$@"\n`;
  for (const name of pluginNames()) writeFileSync(join(dir, name), script, { mode: 0o755 });
}
