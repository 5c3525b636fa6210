// Entry of the bundle that the fuzzer evaluates (engine/fuzz.c), and the test of the corpus (fuzz.test.ts).
import { mutate } from "./mutate.ts";
import { configurations, prepare, said, tryOne } from "./targets.ts";
import type { Conversions } from "./world/world.ts";

declare const native: Conversions;

Reflect.deleteProperty(Math, "random");
Error.captureStackTrace ??= () => {};

const world = prepare(native);

Object.assign(globalThis, {
  /** What is wrong, or "". */
  podnic: (target: string, input: Uint8Array, behind?: number) => tryOne(world, target, input, behind),
  podnicMutate: (target: string, input: Uint8Array, seed: number) => mutate(target, input, seed, native),
  /** What the last call said. */
  podnicSaid: () => said,
  podnicConfigurations: configurations.length,
});
