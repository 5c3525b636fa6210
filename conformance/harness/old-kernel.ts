// Plugins on a kernel that behaves like Linux 4.18: see conformance/kernels/old.c.
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

/** From the root of the clone, where the suite runs; the suite needs nothing of podnic. */
const source = resolve("conformance/kernels/old.c");
const cache = resolve(".cache");
/** A shell on the old kernel: names that begin with a dot are no plugins. */
export const OLD_SHELL = ".sh";

/** Beside OLD_SHELL: what the tracer runs. */
const REAL = ".real";

/** A directory with the plugins of `bin`, each of which runs on the old kernel, and with OLD_SHELL. @throws with what is wrong, or the compiler's words */
export function onOldKernel(bin: string): string {
  if (process.arch !== "x64") throw new Error("the old kernel is for x86-64");
  if (existsSync(join(bin, REAL))) throw new Error(`${bin} is a directory that --old-kernel made`);
  const dir = join(cache, "old-kernel", encodeURIComponent(bin));
  const real = join(dir, REAL);
  mkdirSync(real, { recursive: true });
  const made = `${dir}/.old.${process.pid}`;
  const run = spawnSync("gcc", ["-static", "-O1", "-o", made, source], { encoding: "utf8" });
  if (run.status !== 0) throw new Error(`cannot compile old.c: ${run.error?.message ?? run.stderr}`);
  const names = readdirSync(bin);
  const programs = names.map((name) => [name, join(bin, name)] as const);
  for (const [name, path] of [...programs, [OLD_SHELL, "/bin/sh"] as const]) {
    // Also one that leads nowhere, as that in `bin` may.
    if (!lstatSync(join(real, name), { throwIfNoEntry: false })) symlinkSync(path, join(real, name));
    // Another run may use the one that is there.
    rmSync(`${made}.new`, { force: true });
    linkSync(made, `${made}.new`);
    renameSync(`${made}.new`, join(dir, name));
  }
  // Plugins that were in `bin` before.
  for (const name of readdirSync(dir).filter((name) => !name.startsWith(".") && !names.includes(name)))
    for (const place of [dir, real]) rmSync(join(place, name), { force: true });
  rmSync(made);
  rmSync(`${made}.new`, { force: true });
  return dir;
}
