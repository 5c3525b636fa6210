// Builds dist/podnic and its links under the plugins' names:
// `npm run build -- [--target NAME] [--no-snapshot] [--variants] [--entry FILE --output FILE]`.
//   --target       one of pkg.config.json's targets (default: linux-x64), or linux-riscv64 or linux-ppc64le, which are not released (docs/kernels.md
//                  says why). A target other than linux-x64 is built into dist/TARGET, and dist/TARGET/emulated contains scripts that run its plugins
//                  on this machine.
//   --no-snapshot  evaluate the bundle at each start instead of starting from a heap snapshot
//   --variants     also build dist/variants/{no-snapshot,sanitize,gc-stress,refuse,escape}, which the tests run. --sanitize, --gc-stress, --refuse
//                  and --escape build one of these.
//   --entry, --output  build one executable without links from another entry file, for tests of the native layer
import { readdirSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleOperator, bundlePlugins } from "./build/bundle.ts";
import {
  compileBytecode,
  gcStress,
  musl,
  muslArm64,
  muslPpc64le,
  muslRiscv64,
  muslS390x,
  refusing,
  sanitize,
  type Toolchain,
} from "./build/engine.ts";
import { buildExecutable, type Program } from "./build/executable.ts";
import { linkPlugins, wrapPlugins } from "./build/links.ts";
import { BuildError, dist, manifest, root } from "./build/paths.ts";
import { learnPlan } from "./build/plan.ts";
import { writeValidators } from "./schemas.ts";

const shipped = "src/entry/quickjs.ts";
/** Entry point of plugins that try to escape from their confinement. */
const escaping = "src/entry/escape.ts";

const { values: flags } = parseArgs({
  options: {
    "no-snapshot": { type: "boolean", default: false },
    variants: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
    "gc-stress": { type: "boolean", default: false },
    refuse: { type: "boolean", default: false },
    escape: { type: "boolean", default: false },
    target: { type: "string", default: "linux-x64" },
    entry: { type: "string", default: shipped },
    output: { type: "string" },
  },
});

async function compile(entry: string): Promise<Program> {
  writeValidators(root);
  const operator = await bundleOperator();
  const plugins = await bundlePlugins(entry, operator.modules);
  const { bigEndian = false } = toolchainOf(flags.target);
  const compiled = (toolchain: Partial<Toolchain>) => ({
    main: compileBytecode(plugins.code, toolchain),
    cli: compileBytecode(operator.code, toolchain),
  });
  // Learned with the executable for this machine, which can run the calls.
  const plan = entry === shipped ? learnPlan(compiled({})) : new Uint8Array();
  return { ...compiled({ bigEndian }), plan };
}

const toolchains: Record<string, Toolchain> = {
  "linux-x64": musl,
  "linux-arm64": muslArm64,
  "linux-s390x": muslS390x,
  "linux-riscv64": muslRiscv64,
  "linux-ppc64le": muslPpc64le,
};

/** Targets that are built for tests but not released: no case that handles a device has run on such a kernel. */
const tried = ["linux-riscv64", "linux-ppc64le"];

function toolchainOf(target: string): Toolchain {
  const toolchain = toolchains[target];
  if (toolchain === undefined || ![...manifest().targets, ...manifest().alsoReleased, ...tried].includes(target))
    throw new BuildError(`no target ${target}; pkg.config.json has ${manifest().targets.join(", ")}`);
  return toolchain;
}

/** Builds the executable that is shipped, checks its size against the budget, and makes its links. Returns the directory of the links. */
function buildTarget(target: string, code: Program): string {
  const dir = target === "linux-x64" ? dist : join(dist, target);
  const podnic = join(dir, "podnic");
  const toolchain = toolchainOf(target);
  buildExecutable(toolchain, code, !flags["no-snapshot"], podnic);
  linkPlugins(podnic, join(dir, "cni"));
  if (toolchain.emulator !== undefined) wrapPlugins(podnic, toolchain.emulator, join(dir, "emulated"));
  const { size } = statSync(podnic);
  const budget = manifest().budgets.podnic;
  if (size > budget) throw new BuildError(`${podnic} has ${size} bytes, its budget in pkg.config.json is ${budget}`);
  console.log(`${relative(root, podnic)}: ${size} bytes, plugins: ${readdirSync(join(dir, "cni")).join(" ")}`);
  return dir;
}

/** Builds the other variants of the executable, which the tests run. */
function buildVariants(code: Program): void {
  const variants = [
    ["no-snapshot", musl, false, flags.variants],
    ["sanitize", sanitize, false, flags.variants || flags.sanitize],
    ["gc-stress", gcStress, true, flags.variants || flags["gc-stress"]],
    ["refuse", refusing, true, flags.variants || flags.refuse],
  ] as const;
  for (const [name, toolchain, snapshot, wanted] of variants) {
    if (wanted) buildVariant(name, toolchain, snapshot, code);
  }
}

function buildVariant(name: string, toolchain: Toolchain, snapshot: boolean, code: Program): void {
  const dir = join(dist, "variants", name);
  buildExecutable(toolchain, code, snapshot, join(dir, "podnic"));
  linkPlugins(join(dir, "podnic"), join(dir, "cni"));
  console.log(`dist/variants/${name}/podnic: ${statSync(join(dir, "podnic")).size} bytes`);
}

async function main(): Promise<void> {
  const code = await compile(flags.entry);
  if (flags.output === undefined) {
    buildTarget(flags.target, code);
    buildVariants(code);
    if (flags.variants || flags.escape) buildVariant("escape", musl, true, await compile(escaping));
    return;
  }
  const toolchain = flags.sanitize ? sanitize : flags["gc-stress"] ? gcStress : toolchainOf(flags.target);
  buildExecutable(toolchain, code, !flags["no-snapshot"] && !flags.sanitize, resolve(flags.output));
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
});
