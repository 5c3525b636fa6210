// Runs a TypeScript file on Node: `node scripts/ts.mjs FILE [ARG …]`. Node 20 cannot strip types, so esbuild bundles the file into .cache/ts (without
// npm packages), and this script imports the result.
import { accessSync, constants, mkdirSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [file, ...args] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node scripts/ts.mjs FILE [ARG …]");
  process.exit(2);
}
const entry = resolve(file);
// One output per process, so that parallel runs do not read one another's half-written file.
const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))[0];
const outfile = join(root, ".cache", "ts", `${entry.replaceAll("/", "_")}.${namespace}-${process.pid}.mjs`);
try {
  mkdirSync(dirname(outfile), { recursive: true });
  accessSync(dirname(outfile), constants.W_OK);
} catch (error) {
  console.error(`${file}: cannot write to .cache/ts (${error.code}); run it as the owner of this checkout, or as root`);
  process.exit(2);
}
// Remove the outputs of killed processes. In another PID namespace, it is unknown whether the process still exists, so its output stays for a day.
for (const name of readdirSync(dirname(outfile))) {
  const old = join(dirname(outfile), name);
  const [, where, pid] = /\.(\d+)-(\d+)\.mjs$/.exec(name) ?? [];
  const age = Date.now() - (statSync(old, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  if (age > 86_400_000 || (where === namespace && hasEnded(Number(pid)))) rmSync(old, { force: true });
}
function hasEnded(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === "ESRCH";
  }
  return false;
}

await build({
  entryPoints: [entry],
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning",
});
process.argv = [process.argv[0], entry, ...args];
process.on("exit", () => rmSync(outfile, { force: true }));
await import(pathToFileURL(outfile).href);
