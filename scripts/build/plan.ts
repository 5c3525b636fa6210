// Plans the heap snapshot: which allocations remain, which of these calls write to, and which they read. By default, such objects are scattered over
// the heap. Each page that a call writes to costs a page fault and a copy. Each page that it reads costs a part of a page fault and some cache
// misses. So the plan puts these objects together (docs/decisions.md). The build learns the plan by running calls while it watches every memory
// access of the engine. An allocation is identified by its number, which is the same in each evaluation of a bundle.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { train as toolchain } from "./engine.ts";
import { type Bytecode, link } from "./executable.ts";
import { linkPlugins } from "./links.ts";
import { BuildError, cache, root, run } from "./paths.ts";

const COLD = 1;
const TEPID = 2;
const WARM = 3;
const HOT = 4;
/** Fewer calls than this may have read an allocation by chance: a random name, a wait. Usual calls are made four times (scripts/train.ts). */
const SELDOM = 3;
/** In bytes. The engine's tables are larger. */
const LARGE = 4096;

/**
 * Learns where each allocation of the bundle's evaluation goes. If this fails (it needs root, for the devices of a sandbox), prints a message and
 * returns an empty plan: the executable is then larger and a little slower.
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
 * The plan: the total sizes of the warm blocks and of the hot blocks, in four bytes each, least significant first, and then a byte for each
 * allocation (the enum in native.c). A block is hot if at least half of the calls wrote to it and it is small. In a large block, calls write to
 * different places. Any other block that a call wrote to is tepid. A block that was only read is warm if at least SELDOM calls read it.
 */
export function planOf(learned: Uint32Array): Uint8Array {
  const blocks = new Map<number, { size: number; calls: number; writers: number; readers: number }>();
  for (let i = 0; i < learned.length; i += 2) {
    const [line, size] = [learned[i]!, learned[i + 1]!];
    const number = line & 0x3fffffff;
    const { calls = 0, writers = 0, readers = 0 } = blocks.get(number) ?? {};
    blocks.set(number, {
      size,
      calls: calls + 1,
      writers: writers + (line >>> 31),
      readers: readers + ((line >>> 30) & 1),
    });
  }
  const plan = new Uint8Array(8 + 1 + [...blocks.keys()].reduce((max, n) => Math.max(max, n), -1));
  const together = { [WARM]: 0, [HOT]: 0 };
  for (const [number, { size, calls, writers, readers }] of blocks) {
    const isHot = writers >= calls / 2 && size <= LARGE;
    const place = isHot ? HOT : writers > 0 ? TEPID : readers >= SELDOM ? WARM : COLD;
    plan[8 + number] = place;
    if (place === WARM || place === HOT) together[place] += size;
  }
  const sizes = new DataView(plan.buffer);
  sizes.setUint32(0, together[WARM], true);
  sizes.setUint32(4, together[HOT], true);
  return plan;
}
