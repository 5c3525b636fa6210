// Schedules of two actors with few changes between them, written as step.c reads them.
import type { Random } from "../../src/testing/random.ts";

/** How many system calls each actor makes when it runs alone first. */
export type Lengths = readonly [number, number];

/** One actor stops once, in all places: the other runs from there to its end. */
export function oneChange([a, b]: Lengths): string[] {
  return [...upTo(a).map((k) => `0:${k},1,0`), ...upTo(b).map((k) => `1:${k},0,1`)];
}

/** Both stop once, in all places. */
export function twoChanges([a, b]: Lengths): string[] {
  const both = (first: 0 | 1, n: number, second: 0 | 1, m: number) =>
    upTo(n).flatMap((k) => upTo(m).map((l) => `${first}:${k},${second}:${l},${first},${second}`));
  return [...both(0, a, 1, b), ...both(1, b, 0, a)];
}

/** One is killed at each of its system calls, before or in the middle of the other. */
export function kills([a, b]: Lengths): string[] {
  const one = (killed: 0 | 1, n: number, other: 0 | 1, m: number) =>
    upTo(n).flatMap((k) => [`${killed}:${k}k,${other}`, `${other}:${(k * 7) % m},${killed}:${k}k,${other}`]);
  return [...one(0, a, 1, b), ...one(1, b, 0, a)];
}

export function isKill(schedule: string): boolean {
  return schedule.includes("k");
}

/** One of three or more actors: two of them stop once, and any of them goes first. */
export function manyActors(lengths: readonly number[], kill: boolean, random: Random): string {
  const order = drawn(
    lengths.map((_, n) => String(n)),
    lengths.length,
    random,
  );
  const stop = (actor: string) => `${actor}:${1 + random.below(Math.max(1, lengths[Number(actor)]! - 1))}`;
  const [first, second, ...others] = order as [string, string, ...string[]];
  if (kill) return [stop(first), `${stop(second)}k`, ...others, first].join(",");
  const rest = random.chance(0.5) ? [first, second] : [second, first];
  return [stop(first), stop(second), ...others, ...rest].join(",");
}

/** All orders of so many actors, one after the other. */
export function serialOrders(count: number): string[] {
  const orders = (rest: number[]): string[][] =>
    rest.length === 0
      ? [[]]
      : rest.flatMap((one) => orders(rest.filter((other) => other !== one)).map((more) => [String(one), ...more]));
  return orders(Array.from({ length: count }, (_, n) => n)).map((order) => order.join(","));
}

/** `count` of them in the order drawn, all when there are no more. */
export function drawn(all: readonly string[], count: number, random: Random): string[] {
  const rest = [...all];
  for (let at = 0; at < Math.min(count, rest.length); at++) {
    const other = at + random.below(rest.length - at);
    [rest[at], rest[other]] = [rest[other]!, rest[at]!];
  }
  return rest.slice(0, count);
}

const upTo = (length: number): number[] => Array.from({ length: Math.max(0, length - 1) }, (_, n) => n + 1);
