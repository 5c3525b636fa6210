// The plan of the heap snapshot: which allocations stay, and which of these calls write to, mostly their reference counts. Such objects lie
// scattered over the heap, and each page that is written to costs a page fault and a copy, so they are laid together
// (docs/decisions.md). Found out by running calls with every store of the engine watched. An allocation is known by its
// number, which is the same in each evaluation of one bundle.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { train as toolchain } from "./engine.ts";
import { type Bytecode, link } from "./executable.ts";
import { linkPlugins } from "./links.ts";
import { BuildError, cache, root, run } from "./paths.ts";

const COLD = 1;
const HOT = 2;

/**
 * Where each allocation of the bundle's evaluation goes. Empty when that cannot be found out (it needs root, for the devices of a sandbox),
 * which is said: the executable is then larger and a little slower.
 */
export function learnPlan(bytecode: Bytecode): Uint8Array {
  const dir = mkdtempSync(join(cache, "train-"));
  try {
    const plugins = join(dir, "cni");
    linkPlugins(link(toolchain, dir, bytecode, []), plugins);
    const learned = join(dir, "learned");
    run(process.execPath, [join(root, "scripts/ts.mjs"), "scripts/train.ts", plugins], undefined, {
      PODNIC_TRAINED: learned,
    });
    return planOf(readFileSync(learned));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.log(`build: the snapshot is laid out as it comes, larger and slower: ${error.message}`);
    return new Uint8Array();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A byte for each allocation (the enum in native.c). A block that any call wrote to is hot. */
function planOf(learned: Buffer): Uint8Array {
  const lines = Array.from({ length: learned.length / 4 }, (_, i) => learned.readUInt32LE(i * 4));
  const numbers = lines.map((line) => line & 0x7fffffff);
  const plan = new Uint8Array(numbers.reduce((max, n) => Math.max(max, n + 1), 0));
  for (const [i, n] of numbers.entries()) plan[n] = lines[i] === n ? Math.max(plan[n]!, COLD) : HOT;
  return plan;
}
