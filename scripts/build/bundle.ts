// Makes the two bundles of the executable: the plugins, and the operator's commands, which use modules of the first bundle.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type BuildOptions, build, type Metafile, type Plugin } from "esbuild";
import { root } from "./paths.ts";

const options: BuildOptions & { write: false; metafile: true } = {
  absWorkingDir: root,
  bundle: true,
  format: "iife",
  // Neither browser nor Node, so that an import of a Node module is an error.
  platform: "neutral",
  mainFields: ["module", "main"],
  conditions: ["import", "require", "node"],
  target: "es2023",
  minify: true,
  metafile: true,
  write: false,
  logLevel: "warning",
  legalComments: "none",
  // Modules are strict, but the bundle is not a module. In sloppy mode, the engine assigns each destructured variable by its name (make_ref) and
  // creates an object for it.
  banner: { js: '"use strict";' },
};

/** Replacements for the Node modules that commander requires and the engine does not have. They are CommonJS, because commander requires them. */
const shims: Plugin = {
  name: "shims",
  setup(build) {
    build.onResolve({ filter: /^node:/ }, ({ path }) => {
      const file = join(root, "src/host/quickjs/shims", `${path.slice("node:".length)}.cjs`);
      return existsSync(file) ? { path: file } : { errors: [{ text: `${path} does not exist in the executable` }] };
    });
  },
};

/** Makes the operator's bundle use modules of the running plugin bundle. Its own copies would have no host. */
function shared(entry: string, found: Set<string>): Plugin {
  const own = dirname(resolve(root, "src/cli/main.ts"));
  return {
    name: "shared",
    setup(build) {
      build.onResolve({ filter: /^[.#]/ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
        if (pluginData === "asked" || !importer.startsWith(`${root}/`) || importer.includes("/node_modules/")) return;
        const { path: file, errors } = await build.resolve(path, { importer, resolveDir, kind, pluginData: "asked" });
        if (
          errors.length > 0 ||
          file === resolve(root, entry) ||
          file.startsWith(`${own}/`) ||
          !file.startsWith(`${root}/`)
        )
          return;
        // Constants are copied: the few that the operator's bundle uses cost less than all of them in the snapshot (24 KB).
        if (file.includes("/node_modules/") || file.endsWith(".json") || file.endsWith("/constants.ts")) return;
        found.add(relative(root, file));
        // By its extension, esbuild would treat .mjs as an ES module, which has no `module`.
        return { path: `${relative(root, file)}.cjs`, namespace: "shared" };
      });
      build.onLoad({ filter: /.*/, namespace: "shared" }, ({ path }) => ({
        contents: `module.exports = globalThis.podnicModules[${JSON.stringify(path.slice(0, -".cjs".length))}];`,
      }));
    },
  };
}

/** The npm packages whose modules are in a bundle. */
function packagesIn({ inputs }: Metafile): string[] {
  const names = Object.keys(inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

export interface Bundle {
  code: Uint8Array;
  /** npm packages in the bundle. */
  packages: string[];
}

/** Bundles the operator's commands. `modules`: what they use of the plugin bundle. */
export async function bundleOperator(): Promise<Bundle & { modules: string[] }> {
  const entry = "src/entry/operator.ts";
  const found = new Set<string>();
  // The package's file for Node requires Node's modules.
  const alias = { yaml: join(root, "node_modules/yaml/browser/index.js") };
  const plugins = [shims, shared(entry, found)];
  const { outputFiles, metafile } = await build({ ...options, entryPoints: [entry], plugins, alias });
  return { code: outputFiles[0]!.contents, packages: packagesIn(metafile), modules: [...found].sort() };
}

/** The names that modules export (by path in the repository), without types. */
async function exportedNames(modules: string[]): Promise<Map<string, string[]>> {
  const { metafile } = await build({
    ...options,
    bundle: false,
    format: "esm",
    entryPoints: modules,
    outdir: "exports",
  });
  return new Map(Object.values(metafile.outputs).map(({ entryPoint, exports }) => [entryPoint!, exports]));
}

/**
 * The source of an object with a module's exports. A namespace object would have a function for each name, which takes ten times as much room in the
 * snapshot. Only a variable that is assigned after the snapshot (`export let`) needs a getter.
 */
function exported(path: string, names: string[]): { imports: string; object: string } {
  const source = readFileSync(join(root, path), "utf8");
  const local = (name: string) => `${path}:${name}`.replaceAll(/\W/g, "_");
  const member = (name: string) =>
    new RegExp(`^export let ${name}\\b`, "m").test(source)
      ? `get ${name}() { return ${local(name)}; }`
      : `${name}: ${local(name)}`;
  const imports = names.map((name) => `${name} as ${local(name)}`).join(", ");
  return {
    imports: `import { ${imports} } from ${JSON.stringify(`./${path}`)};`,
    object: `${JSON.stringify(path)}: { ${names.map(member).join(", ")} }`,
  };
}

/** Bundles the plugins. Puts the exports of `modules` (paths in the repository) where the operator's bundle looks for them. */
export async function bundlePlugins(entry: string, modules: string[]): Promise<Bundle> {
  const shared = [...(await exportedNames(modules))].map(([path, names]) => exported(path, names));
  const text = [
    `import ${JSON.stringify(`./${relative(root, resolve(root, entry))}`)};`,
    ...shared.map(({ imports }) => imports),
    `globalThis.podnicModules = { ${shared.map(({ object }) => object).join(", ")} };`,
  ].join("\n");
  const stdin = { contents: text, resolveDir: root, sourcefile: "entry.ts", loader: "ts" } as const;
  const { outputFiles, metafile } = await build({ ...options, stdin });
  return { code: outputFiles[0]!.contents, packages: packagesIn(metafile) };
}

/** Bundles everything into one readable file, which the fuzzer runs (conformance/fuzz). */
export async function bundleFuzzer(entry: string): Promise<Uint8Array> {
  const alias = { yaml: join(root, "node_modules/yaml/browser/index.js") };
  const readable = { minify: false, entryPoints: [entry], plugins: [shims], alias };
  const { outputFiles } = await build({ ...options, ...readable });
  return outputFiles[0]!.contents;
}
