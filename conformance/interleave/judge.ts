// What holds also when a call was killed, and there is no serial order to compare with.
import type { Call, Operation, Pair } from "./calls.ts";
import { type Outcome, RESULT } from "./world.ts";

/** What others have lost, successes that are not true, and failures of calls that succeed in each serial order. */
export function untrue({ actors }: Pick<Pair, "actors">, outcome: Outcome, serial: readonly Outcome[]): string[] {
  const lost = outcome.lost.map((line) => `a bystander is without ${line}`);
  const lies = actors.flatMap((actor, n) => {
    const said = outcome.again?.[n] ?? outcome.said[n]!;
    if (said === "killed") return [];
    if (!said.startsWith("ok")) {
      const always = serial.length > 0 && serial.every((one) => one.said[n]!.startsWith("ok"));
      return always ? [`actor ${n} says: ${said}`] : [];
    }
    if (!("config" in actor) || actor.command !== "ADD" || isMeantByAnother(actors, n)) return [];
    return missing(actor, said.split(RESULT)[0]!.split(" ").slice(1), outcome.left).map(
      (line) => `actor ${n} says ${said}, without ${line}`,
    );
  });
  return [...lost, ...lies];
}

/** Calls that fail in each order: other schedules would only be compared with that. Alone with what was there before, each call can succeed. */
export function hopeless(actors: readonly (Call | Operation)[], serial: readonly Outcome[]): string[] {
  return actors.flatMap((_, n) => {
    const said = serial.map((one) => one.said[n]!);
    return said.some((one) => one.startsWith("ok")) ? [] : [`actor ${n} fails in each order: ${said[0]}`];
  });
}

/** A DEL of the same container may have come after it. */
function isMeantByAnother(actors: readonly (Call | Operation)[], n: number): boolean {
  const { container } = actors[n] as Call;
  return actors.some((other, m) => m !== n && "config" in other && other.container === container);
}

/** What an ADD promised that is not there. */
function missing({ config, container, pod }: Call, ips: readonly string[], left: readonly string[]): string[] {
  const leases = ips.map((ip) => `/${config.name}/${ip.split("/")[0]} ${JSON.stringify(`${container}\r\neth0`)}`);
  const interfaces = config.type === "host-local" ? [] : [["", ...ips].map((ip) => (ip === "" ? `${pod} eth0 ` : ip))];
  return [
    ...leases.filter((lease) => !left.some((line) => line.startsWith("file ") && line.endsWith(lease))),
    ...interfaces
      .filter((words) => !left.some((line) => line.startsWith(words[0]!) && words.every((word) => line.includes(word))))
      .map((words) => words.join("").trim()),
  ];
}
