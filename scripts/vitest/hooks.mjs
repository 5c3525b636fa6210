// Makes Node's own module loader accept TypeScript in tests, because Node 20 cannot strip types. vite's loader takes some 25 ms of CPU for each of
// our files; this one takes about one.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";

export async function load(url, context, next) {
  const path = url.startsWith("file:") ? fileURLToPath(url) : "";
  const kind = /\.(ts|json)$/.exec(path)?.[1];
  if (kind === undefined || path.includes("/node_modules/")) return next(url, context);
  const { code } = await transform(await readFile(path, "utf8"), {
    loader: kind,
    format: "esm",
    target: "node20",
    sourcemap: "inline",
    sourcefile: path,
    sourcesContent: false,
  });
  return { format: "module", source: code, shortCircuit: true };
}
