// Which of the objects that the snapshot freezes calls write to: mostly reference counts. Such objects lie scattered over the heap, and each
// page that is written to costs a page fault and a copy; laid together they fill a fifth of the pages (docs/decisions.md).
// Found out by running calls with every store of the engine watched. An object is known by how many were allocated before it, which is
// the same in each evaluation of one bundle.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { train as toolchain } from "./engine.ts";
import { type Bytecode, link } from "./executable.ts";
import { linkPlugins } from "./links.ts";
import { BuildError, cache, root, run } from "./paths.ts";

/**
 * A bit for each allocation of the bundle's evaluation: whether the usual calls write to it. Needs root, for the devices of a sandbox: where
 * it cannot be found out that is said, and the executable is a little slower.
 */
export function hotAllocations(bytecode: Bytecode): Uint8Array {
  const dir = mkdtempSync(join(cache, "train-"));
  try {
    const plugins = join(dir, "cni");
    linkPlugins(link(toolchain, dir, bytecode, []), plugins);
    const learned = join(dir, "learned");
    run(process.execPath, [join(root, "scripts/ts.mjs"), "scripts/train.ts", plugins], undefined, {
      PODNIC_TRAINED: learned,
    });
    return bitmap(readFileSync(learned));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.log(`build: the snapshot is laid out as it comes, calls take 0.3 ms more: ${error.message}`);
    return new Uint8Array();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function bitmap(numbers: Buffer): Uint8Array {
  const all = Array.from({ length: numbers.length / 4 }, (_, i) => numbers.readUInt32LE(i * 4));
  const bits = new Uint8Array((Math.max(0, ...all) >> 3) + 1);
  for (const n of all) bits[n >> 3]! |= 1 << (n & 7);
  return bits;
}
