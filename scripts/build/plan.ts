// The plan of the heap snapshot: which allocations stay, which of these calls write to, and which they read. Such objects lie scattered over
// the heap. Each page that is written to costs a page fault and a copy, and each that is read a part of a page fault and some misses of the
// processor's caches, so they are laid together (docs/decisions.md). Found out by running calls with every access of the engine watched. An
// allocation is known by its number, which is the same in each evaluation of one bundle.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { train as toolchain } from "./engine.ts";
import { type Bytecode, link } from "./executable.ts";
import { linkPlugins } from "./links.ts";
import { BuildError, cache, root, run } from "./paths.ts";

const COLD = 1;
const HOT = 2;
const WARM = 3;
/** What fewer calls read may be by chance: a random name, a wait. Usual calls are made four times (scripts/train.ts). */
const SELDOM = 3;

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
    const { buffer } = Uint8Array.from(readFileSync(learned));
    return planOf(new Uint32Array(buffer));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.log(`build: the snapshot is laid out as it comes, larger and slower: ${error.message}`);
    return new Uint8Array();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/**
 * The size of all warm blocks together, in four bytes, least first; then a byte for each allocation (the enum in native.c). A block that any
 * call wrote to is hot, another one that not just a few calls read is warm.
 */
export function planOf(learned: Uint32Array): Uint8Array {
  const blocks = new Map<number, { size: number; written: boolean; readers: number }>();
  for (let i = 0; i < learned.length; i += 2) {
    const [line, size] = [learned[i]!, learned[i + 1]!];
    const number = line & 0x3fffffff;
    const { written = false, readers = 0 } = blocks.get(number) ?? {};
    blocks.set(number, { size, written: written || line >>> 31 === 1, readers: readers + ((line >>> 30) & 1) });
  }
  const plan = new Uint8Array(4 + 1 + [...blocks.keys()].reduce((max, n) => Math.max(max, n), -1));
  let warm = 0;
  for (const [number, { size, written, readers }] of blocks) {
    const place = written ? HOT : readers >= SELDOM ? WARM : COLD;
    plan[4 + number] = place;
    if (place === WARM) warm += size;
  }
  new DataView(plan.buffer).setUint32(0, warm, true);
  return plan;
}
