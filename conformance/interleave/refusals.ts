// What a command line says that cannot be done: found before anything runs, so that a mistyped word does not read as a verdict.
import { accessSync, constants, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Call, Operation, Pair } from "./calls.ts";
import { type Turn, turnsOf } from "./schedule.ts";

export interface Asked {
  readonly bin: string;
  readonly peer: string;
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

/** What has no effect beside another option: who gives both would take the outcome for something else. */
const NO_EFFECT: readonly (readonly [string, readonly string[]])[] = [
  ["seeded", ["pair", "except", "schedule", "fault", "all", "stop", "peer", "json"]],
  ["schedule", ["one", "two", "kill", "all", "seed", "minutes", "stop"]],
  ["all", ["one"]],
];

/**
 * @param faults those that step.c knows. @param given whether an option is on the command line, and not by default
 * @throws with what is allowed
 */
export function refuse(
  asked: Asked,
  chosen: readonly Pair[],
  faults: readonly string[],
  given: (name: string) => boolean,
): void {
  for (const [option, others] of NO_EFFECT)
    for (const other of given(option) ? others : [])
      if (given(other)) throw new Error(`--${other} has no effect with --${option}: leave one of them out`);
  if (given("all") && chosen.every(({ actors }) => actors.length === 2))
    for (const other of ["two", "kill"].filter(given))
      throw new Error(`--${other} has no effect with --all, unless three calls run at once: leave one of them out`);
  for (const pair of chosen) {
    const lacks = pair.actors.flatMap((actor) => programsOf(asked.bin, actor)).find((path) => !isProgram(path));
    if (lacks !== undefined)
      throw new Error(`no program ${lacks}: --bin is the plugins' directory, with podnic beside it; run npm run build`);
    const no = given("peer") ? peersOf(pair, asked.peer).find((path) => !isProgram(path)) : undefined;
    if (no !== undefined) throw new Error(`no program ${no}: --peer is the directory of the Go plugins`);
  }
  if (given("peer") && chosen.every((pair) => peersOf(pair, asked.peer).length === 0))
    throw new Error("--peer has no effect: no Go plugin is in these pairs");
  if (asked.fault !== undefined && !faults.includes(asked.fault.replace(/:.*/s, "")))
    throw new Error(
      `no fault is called ${asked.fault}; there are ${faults.join(", ")}, each also as NAME:PART-OF-A-PATH`,
    );
  if (asked.schedule !== undefined) for (const pair of chosen) refuseSchedule(asked.schedule, pair);
}

/** A file that can be executed. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const pluginsOf = ({ config }: Call): string[] => {
  const { ipam } = config as { ipam?: { type?: string } };
  return [String(config.type), ...(ipam?.type === undefined ? [] : [ipam.type])];
};

function programsOf(bin: string, actor: Call | Operation): string[] {
  if ("podnic" in actor) return [join(resolve(bin), "../podnic")];
  return actor.peer ? [] : [...new Set(pluginsOf(actor))].map((plugin) => join(resolve(bin), plugin));
}

/** What of the Go plugins a pair runs. */
export function peersOf(pair: Pair, peer: string): string[] {
  const plugins = pair.actors.flatMap((actor) => ("config" in actor && actor.peer ? pluginsOf(actor) : []));
  const installed = pair.installs ? ["macvlan", "host-local"] : [];
  return [...new Set([...plugins, ...installed])].map((plugin) => join(resolve(peer), plugin));
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
