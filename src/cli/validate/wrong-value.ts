// The rules of a plugin rely on its schema. If a value violates the schema, podnic can still check the rules that do not read this value.
import type { Problem } from "../../config/messages.ts";

/** Thrown if a rule reads a value that violates the schema. The rule's result would be meaningless. */
export class WrongValue extends Error {
  override readonly name = "WrongValue";
}

/** Changes `config` so that reading a wrong or missing value throws WrongValue. Throws WrongValue if the whole configuration is wrong. */
export function withoutWrong(config: unknown, problems: Problem[]): unknown {
  for (const { pointer, key } of problems) {
    const steps = pointer.split("/").slice(1).map(unescapeStep);
    if (key !== undefined) steps.push(key);
    hide(config, steps);
  }
  return config;
}

function hide(root: unknown, steps: string[]): void {
  const last = steps.pop();
  if (last === undefined) throw new WrongValue();
  let value = root;
  for (const step of steps) {
    const own = Object.getOwnPropertyDescriptor(value, step);
    // The value is missing, or a value that contains it is already hidden.
    if (own === undefined || own.get !== undefined) return;
    value = own.value;
    if (typeof value !== "object" || value === null) return;
  }
  const get = () => {
    throw new WrongValue();
  };
  Object.defineProperty(value, last, { get, enumerable: true, configurable: true });
}

function unescapeStep(step: string): string {
  return step.replaceAll("~1", "/").replaceAll("~0", "~");
}
