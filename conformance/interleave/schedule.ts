// Schedules of two actors with few changes between them, written as step.c reads them.
import type { Random } from "../../src/testing/random.ts";

/** One part of a schedule. */
export interface Turn {
  readonly actor: number;
  /** How many system calls it makes; undefined: until it ends. */
  readonly calls?: number;
  /** It is killed then. */
  readonly kill: boolean;
}

/** step.c's array. */
const MOST_TURNS = 64;

/** @throws when it is no schedule, because step.c would read one into almost anything */
export function turnsOf(schedule: string): Turn[] {
  const parts = schedule.split(",");
  if (parts.length > MOST_TURNS) throw new Error(`a schedule has ${MOST_TURNS} turns at most`);
  return parts.map((part) => {
    const [, actor, calls, kill] = /^(\d)(?::([1-9]\d{0,8})(k?))?$/.exec(part) ?? [];
    if (actor === undefined)
      throw new Error(
        `${JSON.stringify(part)} in ${JSON.stringify(schedule)} is no turn; a schedule is like 0:17,1,0: call 0 makes 17 system calls, call 1 runs to its end, then call 0 (0:17k: call 0 is killed there)`,
      );
    return { actor: Number(actor), ...(calls !== undefined && { calls: Number(calls) }), kill: kill === "k" };
  });
}

/** How many system calls an actor makes, those that others can notice. */
export interface Length {
  /** When it runs before all others. */
  readonly first: number;
  /** In the order in which it makes most: a DEL after the ADD makes more than one that has nothing to undo. */
  readonly most: number;
}

export type Lengths = readonly [Length, Length];

/** All schedules of one shape: the actor that goes first stops before each of its calls, or is killed there; so may the other. */
export interface Shape {
  /** Places where the first can stop. */
  readonly first: number;
  /** Places where the second can stop; in the middle of the first it may make other calls than before or after it, so that there can be more. */
  readonly second: number;
  /** @param stop after how many calls, from 1 */
  text(stop: number, secondStop: number): string;
}

const inBothOrders = ([a, b]: Lengths, shape: (first: 0 | 1, n: number, second: 0 | 1, m: number) => Shape): Shape[] =>
  [shape(0, places(a.first), 1, places(b.most)), shape(1, places(b.first), 0, places(a.most))].filter(
    (one) => one.first * one.second > 0,
  );

/** One actor stops once, in all places: the other runs from there to its end. */
export function oneChange(lengths: Lengths): Shape[] {
  return inBothOrders(lengths, (a, first, b) => ({ first, second: 1, text: (k) => `${a}:${k},${b},${a}` }));
}

/** Both stop once, in all places. */
export function twoChanges(lengths: Lengths): Shape[] {
  return inBothOrders(lengths, (a, first, b, second) => ({
    first,
    second,
    text: (k, l) => `${a}:${k},${b}:${l},${a},${b}`,
  }));
}

/** One is killed at each of its system calls, before the other, or where the other has stopped at each of its own. */
export function kills(lengths: Lengths): Shape[] {
  return [
    ...inBothOrders(lengths, (a, first, b) => ({ first, second: 1, text: (k) => `${a}:${k}k,${b}` })),
    ...inBothOrders(lengths, (a, first, b, second) => ({
      first,
      second,
      text: (k, l) => `${a}:${k},${b}:${l}k,${a}`,
    })),
  ];
}

export function isKill(schedule: string): boolean {
  return schedule.includes("k");
}

/** Whether a pod that takes no part is there: at every other place of a kill, since without it the pool and the records are made anew. */
export function hasBystander(schedule: string): boolean {
  return /:\d*[13579]k/.test(schedule);
}

export const sizeOf = (shapes: readonly Shape[]): number =>
  shapes.reduce((sum, { first, second }) => sum + first * second, 0);

/** `count` different ones of these, drawn; all when there are no more. */
export function drawnOf(shapes: readonly Shape[], count: number, random: Random): string[] {
  const size = sizeOf(shapes);
  if (count >= size) return Array.from({ length: size }, (_, n) => numbered(shapes, n));
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(random.below(size));
  return [...chosen].map((n) => numbered(shapes, n));
}

function numbered(shapes: readonly Shape[], n: number): string {
  let rest = n;
  for (const { first, second, text } of shapes) {
    if (rest < first * second) return text(1 + Math.floor(rest / second), 1 + (rest % second));
    rest -= first * second;
  }
  throw new RangeError(`no schedule ${n}`);
}

/** One place of the first actor, with all places of the second; found by running, because what the second does depends on the place. */
export interface Row {
  readonly shape: Shape;
  readonly stop: number;
}

export const rowsOf = (shapes: readonly Shape[]): Row[] =>
  shapes.flatMap((shape) => Array.from({ length: shape.first }, (_, n) => ({ shape, stop: n + 1 })));

/**
 * Runs all schedules of a row. `run` returns step.c's letters, one for each turn: where the second turn did not reach its count, a larger
 * one is the same schedule.
 * @return whether it came to the row's end
 */
export async function wholeRow(
  { shape, stop }: Row,
  run: (schedule: string) => Promise<string | undefined>,
): Promise<boolean> {
  let short = 0;
  for (let second = 1; ; second++) {
    const schedule = shape.text(stop, second);
    const turns = await run(schedule);
    if (turns === undefined) return false;
    short = turns[1] === "c" ? 0 : short + 1;
    // Beside every other kill there is a bystander, with which the call is shorter.
    if (shape.second === 1 || short > (isKill(schedule) ? 1 : 0)) return true;
  }
}

/** One of three or more actors: two of them stop once, and any of them goes first. */
function manyActors(lengths: readonly number[], kill: boolean, random: Random): string {
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

/** Different ones of three or more actors, with a kill and without, mixed: they may be ended early. */
export function drawnOfMany(lengths: readonly number[], two: number, kill: number, random: Random): string[] {
  const all = Array.from({ length: two + kill }, (_, n) => manyActors(lengths, n >= two, random));
  return drawn([...new Set(all)], all.length, random);
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
export function drawn<T>(all: readonly T[], count: number, random: Random): T[] {
  const rest = [...all];
  for (let at = 0; at < Math.min(count, rest.length); at++) {
    const other = at + random.below(rest.length - at);
    [rest[at], rest[other]] = [rest[other]!, rest[at]!];
  }
  return rest.slice(0, count);
}

const places = (length: number): number => Math.max(0, length - 1);
