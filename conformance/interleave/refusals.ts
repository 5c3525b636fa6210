// What a command line says that cannot be done: found before anything runs, so that a mistyped word does not read as a verdict.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Call, Operation, Pair } from "./calls.ts";
import { type Turn, turnsOf } from "./schedule.ts";

export interface Asked {
  readonly bin: string;
  readonly pair: readonly string[];
  readonly except: readonly string[];
  readonly schedule?: string;
  readonly fault?: string;
}

const isNamed = (one: Pair, texts: readonly string[]): boolean => texts.some((text) => one.name.includes(text));

/** The pairs that are asked for. @throws with what there is, when one of the texts names none */
export function chosenOf(pairs: readonly Pair[], { pair, except }: Asked): Pair[] {
  for (const text of [...pair, ...except])
    if (!pairs.some((one) => isNamed(one, [text])))
      throw new Error(`no pair is called ${text}; there are:\n  ${pairs.map((one) => one.name).join("\n  ")}`);
  const chosen = pairs.filter((one) => (pair.length === 0 || isNamed(one, pair)) && !isNamed(one, except));
  if (chosen.length === 0) throw new Error("--except leaves no pair");
  return chosen;
}

/** @param faults those that step.c knows. @throws with what is allowed */
export function refuse(asked: Asked, chosen: readonly Pair[], faults: readonly string[]): void {
  for (const pair of chosen) {
    const lacks = pair.actors.flatMap((actor) => programOf(asked.bin, actor)).find((path) => !existsSync(path));
    if (lacks !== undefined)
      throw new Error(`no ${lacks}: --bin is the plugins' directory, with podnic beside it; run npm run build`);
  }
  if (asked.fault !== undefined && !faults.includes(asked.fault.replace(/:.*/s, "")))
    throw new Error(
      `no fault is called ${asked.fault}; there are ${faults.join(", ")}, each also as NAME:PART-OF-A-PATH`,
    );
  if (asked.schedule !== undefined) for (const pair of chosen) refuseSchedule(asked.schedule, pair);
}

function programOf(bin: string, actor: Call | Operation): string[] {
  if ("podnic" in actor) return [join(resolve(bin), "../podnic")];
  return actor.peer ? [] : [join(resolve(bin), String(actor.config.type))];
}

function refuseSchedule(schedule: string, pair: Pair): void {
  const turns = turnsOf(schedule);
  const last = pair.actors.length - 1;
  const stranger = turns.find(({ actor }) => actor > last);
  if (stranger !== undefined)
    throw new Error(`${schedule}: the calls of ${pair.name} are 0 to ${last}, and ${stranger.actor} is none of them`);
  if (killsPeer(pair, turns))
    throw new Error(`${schedule}: it kills the Go plugin, and what that leaves is not judged`);
}

/** What the Go plugins leave when they are killed, such as a lease without an owner, is not ours to judge. With `installs` it may be one of them. */
export function killsPeer(pair: Pair, turns: readonly Turn[]): boolean {
  return turns.some(({ actor: n, kill }) => {
    const actor = pair.actors[n]!;
    return kill && "config" in actor && (actor.peer ?? pair.installs) === true;
  });
}
