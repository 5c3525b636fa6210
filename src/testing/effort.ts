// How much a unit test does. `npm run unit` is for somebody at work and takes a few of each thing; CI and `npm run unit:whole` take all.

/** True when everything is to be tried. */
export const whole = process.env.PODNIC_UNIT === "whole";

/** Runs of a property. */
export function runs(all: number): { numRuns: number } {
  return { numRuns: whole ? all : Math.min(all, Math.max(25, Math.ceil(all / 20))) };
}

/** The size of something large, or the distance between two points of a list that is tried from end to end. */
export function effort<T>(all: T, few: T): T {
  return whole ? all : few;
}
