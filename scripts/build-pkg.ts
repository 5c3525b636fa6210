// `npm run build:pkg`: builds dist/podnic-node, one executable of the plugins on Node, and the plugins' links to it in dist/pkg/cni. @yao-pkg/pkg
// makes it in its "SEA" mode from the Node that runs this script, because pkg's other mode downloads patched Nodes. The options are in
// pkg.config.json.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { build } from "esbuild";
import { linkPlugins } from "./build/links.ts";
import { BuildError, cache, dist, manifest, root, run } from "./build/paths.ts";
import { writeValidators } from "./schemas.ts";

const require = createRequire(join(root, "package.json"));

/** The interface of pkg's module, which has no types. pkg's command line would download Node instead of using the current one. */
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

/** Node's mark that says whether the executable contains an application. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:";

/** Bundles everything into one CommonJS file, as SEA requires. koffi comes from the executable's assets. */
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

/** Copies Node without its symbols, which makes it smaller by an eighth. */
function strippedNode(output: string): void {
  copyFileSync(process.execPath, output);
  run("strip", [output]);
}

/** Runs pkg. pkg looks for `postject` in its temporary directory and the directories above, and says nothing if it is missing: see check(). */
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

/** Throws unless the executable contains podnic. If pkg's last step fails, pkg says nothing and leaves a plain Node. */
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
  // The directory must be below the clone, so that npx finds the clone's postject.
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
