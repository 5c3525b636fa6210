// `npm run release [-- [--output DIR] [--targets NAMES]]`: builds the published files in dist/release. Two runs of one commit give the same bytes.
//   podnic-linux-ARCH-vVERSION.tgz   the executable and its names, to unpack into a directory of CNI plugins
//   podnic-image-vVERSION.tar        the container image for all architectures
//   podnic-vVERSION.cdx.json         the list of components
// Each file has a .sha256 and a .sha512 file.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { calledNames, dist, manifest, root } from "./build/paths.ts";
import { type Architecture, buildArchitectures, bundledPackages, version } from "./release/built.ts";
import { imageArchive } from "./release/image.ts";
import { sbom } from "./release/sbom.ts";
import { gzip, tar } from "./release/tar.ts";
import { writeValidators } from "./schemas.ts";

/** Has the layout of the Go plugins' archives. The plugins' names are hard links, so that they unpack to a single file. */
function archive({ executable }: Architecture): Buffer {
  const text = (name: string) => ({ name: `./${name}`, mode: 0o644, data: readFileSync(join(root, name)) });
  return gzip(
    tar([
      { name: "./", mode: 0o755 },
      { name: "./podnic", mode: 0o755, data: executable },
      ...calledNames().map((name) => ({ name: `./${name}`, mode: 0o755, link: "./podnic" })),
      text("LICENSE"),
      text("README.md"),
    ]),
  );
}

async function main(): Promise<void> {
  const all = [...manifest().targets, ...manifest().alsoReleased].join(",");
  const { values } = parseArgs({
    options: {
      output: { type: "string", default: join(dist, "release") },
      targets: { type: "string", default: all },
    },
  });
  const dir = values.output;
  writeValidators(root);
  const architectures = buildArchitectures(values.targets.split(","));
  const files: [name: string, data: Uint8Array][] = [
    ...architectures.map((a): [string, Buffer] => [`podnic-linux-${a.name}-v${version}.tgz`, archive(a)]),
    [`podnic-image-v${version}.tar`, imageArchive(architectures, version)],
  ];
  const executables = architectures.map((a): [string, Uint8Array] => [`podnic-linux-${a.name}`, a.executable]);
  const made = sbom(version, await bundledPackages(), architectures, [...executables, ...files]);
  files.push([`podnic-v${version}.cdx.json`, Buffer.from(made)]);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const [name, data] of files) {
    writeFileSync(join(dir, name), data);
    for (const algorithm of ["sha256", "sha512"]) {
      const hash = createHash(algorithm).update(data).digest("hex");
      writeFileSync(join(dir, `${name}.${algorithm}`), `${hash}  ${name}\n`);
    }
    console.log(`${name}: ${data.length} bytes`);
  }
}

await main();
