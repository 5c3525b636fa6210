// The names an executable is called by.
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BuildError, manifest, root } from "./paths.ts";

/** Makes `dir` anew with the plugins' names for the executable: hard links, which survive a copy by any tool and cost nothing. */
export function linkPlugins(executable: string, dir: string): void {
  const plugins = manifest().plugins.filter((name) => existsSync(join(root, "plugins", name, "plugin.ts")));
  const unknown = readdirSync(join(root, "plugins")).filter((name) => !manifest().plugins.includes(name));
  if (unknown.length > 0) throw new BuildError(`pkg.config.json does not name plugins/${unknown.join(", plugins/")}`);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const name of plugins) linkSync(executable, join(dir, name));
}
