// `npm run build:pkg`: dist/podnic-node, the plugins on Node as one executable, and the plugins' links to it in dist/pkg/cni.
// @yao-pkg/pkg makes it in its "SEA" mode from the Node that runs this: its other mode downloads patched Nodes. Options: pkg.config.json.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { build } from "esbuild";
import { linkPlugins } from "./build/links.ts";
import { BuildError, cache, dist, manifest, root, run } from "./build/paths.ts";
import { writeValidators } from "./schemas.ts";

const require = createRequire(join(root, "package.json"));

/** Of pkg, which has no types for it. Its command line would download Node instead of taking the one at hand. */
interface Sea {
  default(
    entry: string,
    options: {
      targets: { nodeRange: string; platform: string; arch: string; output: string }[];
      nodePath: string;
      seaConfig: object;
    },
  ): Promise<void>;
}

/** Node's mark of whether an application was put into it. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:";

/** All of it in one CommonJS file, as SEA wants it; koffi comes from the executable's assets. */
async function bundle(outfile: string): Promise<void> {
  writeValidators(root);
  await build({
    absWorkingDir: root,
    entryPoints: ["src/entry/node.ts"],
    outfile,
    alias: { koffi: "./src/host/node/koffi-asset.ts" },
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    minify: true,
    keepNames: true,
    legalComments: "none",
    logLevel: "warning",
  });
}

function koffiLibrary(): string {
  const target = `${process.platform}-${process.arch}`;
  if (!manifest().targets.includes(target)) throw new BuildError(`pkg.config.json has no target ${target}`);
  const libc = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const triplet = `${libc.header.glibcVersionRuntime === undefined ? "musl" : process.platform}_${process.arch}`;
  const koffi = dirname(require.resolve("koffi"));
  return join(koffi, "../@koromix", `koffi-${target}`, triplet, "koffi.node");
}

/** Node without its symbols: an eighth of its size. */
function strippedNode(output: string): void {
  copyFileSync(process.execPath, output);
  run("strip", [output]);
}

/** Runs pkg. It looks for `postject` from its temporary directory upwards, and says nothing when it is not there: see check(). */
async function runPkg(main: string, dir: string, output: string): Promise<void> {
  const sea: Sea = require("@yao-pkg/pkg/lib-es5/sea.js");
  const { pkg } = manifest();
  strippedNode(join(dir, "node"));
  const saved = { ...process.env };
  process.env.TMPDIR = dir;
  process.env.PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  try {
    await sea.default(main, {
      targets: [{ nodeRange: "node20", platform: "linux", arch: process.arch, output }],
      nodePath: join(dir, "node"),
      seaConfig: { ...pkg.seaConfig, assets: { "koffi.node": koffiLibrary() } },
    });
  } finally {
    process.env = saved;
  }
}

/** Throws unless podnic is in the executable. pkg lets its last step fail without a word, and leaves a plain Node then. */
function check(executable: string): void {
  const bytes = readFileSync(executable);
  const fuse = String.fromCharCode(bytes[bytes.indexOf(FUSE) + FUSE.length] ?? 0);
  if (fuse !== "1") throw new BuildError(`pkg put nothing into ${executable} (fuse ${fuse}): is postject installed?`);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const { status, stdout, stderr } = spawnSync(executable, ["version"], { encoding: "utf8" });
  if (status !== 0 || stdout !== `podnic ${version}\n`)
    throw new BuildError(`${executable} version: exit ${status}, stdout ${JSON.stringify(stdout)}, stderr ${stderr}`);
}

async function main(): Promise<void> {
  mkdirSync(dist, { recursive: true });
  // Below the clone, or npx does not find the clone's postject.
  const dir = mkdtempSync(join(cache, "pkg-"));
  try {
    const executable = join(dir, "podnic-node");
    await bundle(join(dir, "main.cjs"));
    await runPkg(join(dir, "main.cjs"), dir, executable);
    check(executable);
    const { size } = statSync(executable);
    const budget = manifest().budgets["podnic-node"];
    if (size > budget)
      throw new BuildError(`podnic-node has ${size} bytes, its budget in pkg.config.json is ${budget}`);
    renameSync(executable, join(dist, "podnic-node"));
    linkPlugins(join(dist, "podnic-node"), join(dist, "pkg/cni"));
    console.log(`dist/podnic-node: ${size} bytes, Node ${process.version}; plugins in dist/pkg/cni`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  console.error(`build:pkg: ${error.message}`);
  process.exitCode = 1;
});
