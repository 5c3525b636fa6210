// Builds dist/podnic and the plugins' links to it: `npm run build -- [--no-snapshot] [--variants] [--entry FILE --output FILE]`.
//   --no-snapshot  evaluate the bundle at each start instead of starting from a heap snapshot
//   --variants     also dist/variants/{no-snapshot,sanitize,gc-stress}, which the tests run; --sanitize, --gc-stress: one of them
//   --entry, --output  another entry file (tests of the native layer), one executable, no links
import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundleOperator, bundlePlugins } from "./build/bundle.ts";
import { compileBytecode, gcStress, musl, sanitize } from "./build/engine.ts";
import { type Bytecode, buildExecutable } from "./build/executable.ts";
import { linkPlugins } from "./build/links.ts";
import { BuildError, dist, manifest, root } from "./build/paths.ts";
import { writeValidators } from "./schemas.ts";

const { values: flags } = parseArgs({
  options: {
    "no-snapshot": { type: "boolean", default: false },
    variants: { type: "boolean", default: false },
    sanitize: { type: "boolean", default: false },
    "gc-stress": { type: "boolean", default: false },
    entry: { type: "string", default: "src/host/quickjs/main.ts" },
    output: { type: "string" },
  },
});

async function bytecode(entry: string): Promise<Bytecode> {
  writeValidators(root);
  const operator = await bundleOperator();
  const plugins = await bundlePlugins(entry, operator.modules);
  return { main: compileBytecode(plugins), cli: compileBytecode(operator.code) };
}

async function main(): Promise<void> {
  const code = await bytecode(flags.entry);
  if (flags.output !== undefined) {
    const toolchain = flags.sanitize ? sanitize : flags["gc-stress"] ? gcStress : musl;
    buildExecutable(toolchain, code, !flags["no-snapshot"] && !flags.sanitize, resolve(flags.output));
    return;
  }
  const podnic = join(dist, "podnic");
  buildExecutable(musl, code, !flags["no-snapshot"], podnic);
  linkPlugins(podnic, join(dist, "cni"));
  const { size } = statSync(podnic);
  const budget = manifest().budgets.podnic;
  if (size > budget) throw new BuildError(`dist/podnic has ${size} bytes, its budget in pkg.config.json is ${budget}`);
  console.log(`dist/podnic: ${size} bytes, plugins: ${readdirSync(join(dist, "cni")).join(" ")}`);
  const variants = [
    ["no-snapshot", musl, false, flags.variants],
    ["sanitize", sanitize, false, flags.variants || flags.sanitize],
    ["gc-stress", gcStress, true, flags.variants || flags["gc-stress"]],
  ] as const;
  for (const [name, toolchain, snapshot, wanted] of variants) {
    if (!wanted) continue;
    const dir = join(dist, "variants", name);
    buildExecutable(toolchain, code, snapshot, join(dir, "podnic"));
    linkPlugins(join(dir, "podnic"), join(dir, "cni"));
    console.log(`dist/variants/${name}/podnic: ${statSync(join(dir, "podnic")).size} bytes`);
  }
}

main().catch((error: unknown) => {
  if (!(error instanceof BuildError)) throw error;
  console.error(`build: ${error.message}`);
  process.exitCode = 1;
});
