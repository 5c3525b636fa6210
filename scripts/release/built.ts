// Builds the executables of all targets anew.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { bundleOperator, bundlePlugins } from "../build/bundle.ts";
import { BuildError, cache, manifest, root, run } from "../build/paths.ts";

export const version: string = JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;

export interface Architecture {
  /** In the spelling of Go and OCI: "amd64". */
  name: string;
  executable: Uint8Array;
}

/** The names of Go and OCI, by Node's names. */
const names: Record<string, string> = { "linux-x64": "amd64", "linux-arm64": "arm64", "linux-s390x": "s390x" };

function build(target: string, output: string): Architecture {
  const name = names[target];
  if (name === undefined) throw new BuildError(`pkg.config.json: no name for the target ${target}`);
  run(process.execPath, ["scripts/ts.mjs", "scripts/build.ts", "--target", target, "--output", output]);
  const executable = readFileSync(output);
  const budget = manifest().budgets.podnic;
  if (executable.length > budget)
    throw new BuildError(`podnic for ${target} has ${executable.length} bytes, its budget is ${budget}`);
  return { name, executable };
}

/** Builds the executable of each target, by default of those in pkg.config.json. */
export function buildArchitectures(targets = manifest().targets): Architecture[] {
  const dir = mkdtempSync(join(cache, "targets-"));
  try {
    return targets.map((target) => build(target, join(dir, target)));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The npm packages that are part of the executables. */
export async function bundledPackages(): Promise<string[]> {
  const operator = await bundleOperator();
  const plugins = await bundlePlugins("src/entry/quickjs.ts", operator.modules);
  return [...new Set([...operator.packages, ...plugins.packages])].sort();
}
