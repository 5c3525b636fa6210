// Where things are, and running a tool. Shared by the scripts; paths are absolute.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Root of the clone: above the script that scripts/ts.mjs runs, else (vitest) above the current directory. */
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

/** pkg.config.json: what is built, for our own build and for pkg, which takes `name` and `pkg`. */
export interface Manifest {
  name: string;
  plugins: string[];
  /** Other names of a plugin, by which it is called too. */
  names: Record<string, string>;
  /** As Node and pkg call them: linux-x64, linux-arm64. */
  targets: string[];
  /** By `npm run release` besides: CI builds these in the full tier only. */
  alsoReleased: string[];
  /** Bytes each executable may have. */
  budgets: { podnic: number; "podnic-node": number };
  pkg: { targets: string[]; outputPath: string; seaConfig: object };
}

export function manifest(): Manifest {
  return JSON.parse(readFileSync(join(root, "pkg.config.json"), "utf8"));
}

/** Every name that the executable is installed under, but for its own. */
export function calledNames(): string[] {
  const { plugins, names } = manifest();
  return [...plugins, ...Object.keys(names)];
}

export class BuildError extends Error {
  override readonly name = "BuildError";
}

/** Runs a program to its end; throws BuildError with its stderr when it fails. Returns its stdout. */
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
