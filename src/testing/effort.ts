// How much a unit test does. `npm run unit` is for a contributor at work and tries a few cases of each kind. CI and `npm run unit:whole` try all.

/** True if the tests must try everything. */
export const whole = process.env.PODNIC_UNIT === "whole";

/** The number of runs of a property. */
export function runs(all: number): { numRuns: number } {
  return { numRuns: whole ? all : Math.min(all, Math.max(25, Math.ceil(all / 20))) };
}

/** Returns the size of something large, or the distance between two tested entries of a list. */
export function effort<T>(all: T, few: T): T {
  return whole ? all : few;
}
