// `npm run image`: builds dist/podnic-image.tar, the container image for all targets.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { dist, root } from "./build/paths.ts";
import { buildArchitectures, version } from "./release/built.ts";
import { imageArchive, imageName } from "./release/image.ts";

const archive = imageArchive(buildArchitectures(), version);
const target = join(dist, "podnic-image.tar");
mkdirSync(dist, { recursive: true });
writeFileSync(target, archive);
console.log(`${relative(root, target)}: ${imageName(version)}, ${archive.length} bytes`);
