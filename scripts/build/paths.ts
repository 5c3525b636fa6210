// Paths of the repository, and functions that run a tool. All scripts use this. Paths are absolute.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** The root of the clone. Searches upwards from the script that scripts/ts.mjs runs, and then (in vitest) from the current directory. */
function findRoot(): string {
  const script = process.argv[1] ?? "";
  for (let dir = script.endsWith(".ts") ? resolve(script) : process.cwd(); dir !== "/"; dir = dirname(dir)) {
    if (existsSync(join(dir, "pkg.config.json"))) return dir;
  }
  throw new Error("no pkg.config.json above this script or the current directory");
}

export const root = findRoot();
export const cache = join(root, ".cache");
export const dist = join(root, "dist");

/** pkg.config.json describes what our build and pkg make. pkg reads only `name` and `pkg`. */
export interface Manifest {
  name: string;
  plugins: string[];
  /** Other names under which plugins can be called. */
  names: Record<string, string>;
  /** In the spelling of Node and pkg: linux-x64, linux-arm64. */
  targets: string[];
  /** Targets that `npm run release` adds. CI builds them only in the full tier. */
  alsoReleased: string[];
  /** Maximum size of each executable in bytes. */
  budgets: { podnic: number; "podnic-node": number };
  pkg: { targets: string[]; outputPath: string; seaConfig: object };
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(join(root, "pkg.config.json"), "utf8"));
}

/** Every name under which the executable is installed, except its own. */
export function calledNames(): string[] {
  const { plugins, names } = manifest();
  return [...plugins, ...Object.keys(names)];
}

export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** Runs a program to its end and returns its stdout. Throws BuildError with its stderr if it fails. */
export function run(program: string, args: string[], input?: Uint8Array, env?: Record<string, string>): Buffer {
  const options = { input, maxBuffer: 256 << 20, env: { ...process.env, ...env } };
  const { status, signal, error, stdout, stderr } = spawnSync(program, args, options);
  if (error !== undefined) throw new BuildError(`${program}: ${error.message}`);
  if (status !== 0) {
    throw new BuildError(`${program} ${args.join(" ")}\n${stderr}ended with ${signal ?? `status ${status}`}`);
  }
  if (stderr.length > 0) process.stderr.write(stderr);
  return stdout;
}
