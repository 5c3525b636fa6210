// Converts input to a configuration that a plugin can trust: folds the keys, and checks the values against the plugin's schema.
import { shapes, validators } from "#validators";
import { addDetails, Failure } from "../errors.ts";
import { fold, type Overlong } from "./fold.ts";
import { humanPath, type Problem, problemOf } from "./messages.ts";

/** A message lists at most this many further problems, and gives the number of the others. */
const listed = 8;

/** Folds the keys of `raw`, and lists its problems according to the schema `name` (the name of a plugin, or "policy"). */
export function inspect(name: string, raw: unknown): { config: unknown; problems: Problem[] } {
  const shape = shapes[name];
  const validate = validators[name];
  if (shape === undefined || validate === undefined) throw new Error(`no schema "${name}" was compiled in`);
  const overlong: Overlong[] = [];
  const config = fold(raw, shape, "", overlong);
  const problems: Problem[] = overlong.map(({ pointer, length, max }) => ({
    pointer,
    missing: false,
    text: `${humanPath(pointer)} has ${length} entries; at most ${max} are allowed`,
  }));
  if (!validate(config)) {
    const seen = new Set<string>();
    for (const error of validate.errors ?? []) {
      const problem = problemOf(error, config);
      // If a plugin's schema and the shared part both describe a key, both report it.
      if (!seen.has(problem.text)) problems.push(problem);
      seen.add(problem.text);
    }
  }
  return { config, problems };
}

/** The configuration, folded and valid. Throws a Failure("invalid config") with the first problem in `message` and the others in `details`. */
export function readConfig<T>(name: string, raw: unknown): T {
  const { config, problems } = inspect(name, raw);
  if (problems.length > 0) throw refusal("failed to load netconf", problems);
  return config as T;
}

export function refusal(prefix: string, problems: Problem[]): Failure {
  const [first, ...others] = problems;
  const more = others.slice(0, listed).map((problem) => problem.text);
  if (others.length > listed) more.push(`and ${others.length - listed} more`);
  const cure =
    first?.cure ??
    "Correct it in the network configuration (with Multus: in spec.config of the NetworkAttachmentDefinition).";
  const details = more.length === 0 ? cure : addDetails(cure, `Also: ${more.join("; ")}`);
  return new Failure("invalid config", `${prefix}: ${first?.text ?? "invalid"}`, details);
}

/**
 * The configuration for DEL and GC. Removes the invalid values, and lists them in `problems`. If a value inside a list entry is invalid,
 * removes the whole entry, because its other keys are meaningless without this value. If a key is missing elsewhere, removes nothing,
 * because these commands do as much as they can.
 */
export function readWhatIsValid<T>(name: string, raw: unknown): { config: T; problems: Problem[] } {
  const { config, problems } = inspect(name, raw);
  const lists = new Set<unknown[]>();
  for (const problem of problems) remove(config, problem, lists);
  for (const list of lists) {
    const kept = list.filter((item) => item !== undefined);
    list.length = 0;
    for (const item of kept) list.push(item);
  }
  return { config: config as T, problems };
}

/**
 * Deletes the innermost list entry that contains the problem, or the key if there is no such entry. Sets entries to undefined, so that the
 * indices in other problems' pointers stay valid.
 */
function remove(root: unknown, { pointer, missing }: Problem, lists: Set<unknown[]>): void {
  let value = root;
  let entry: (() => void) | undefined;
  let key: (() => void) | undefined;
  for (const step of pointer.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return; // already removed with a value that contained it
    const parent = value as Record<string, unknown>;
    if (Array.isArray(value)) {
      const list = value;
      entry = () => {
        list[Number(step)] = undefined;
        lists.add(list);
      };
    }
    key = () => delete parent[step];
    value = parent[step];
  }
  if (entry !== undefined) entry();
  else if (!missing) key?.();
}
