// The rules of a plugin rely on its schema. If a value violates the schema, podnic can still check the rules that do not read this value.
import type { Problem } from "../../config/messages.ts";

/** A rule wanted to read a value that is known to be wrong: whatever it would say says nothing. */
export class WrongValue extends Error {
  override readonly name = "WrongValue";
}

/** `config`, whose wrong and missing values throw WrongValue when they are read. Changes `config`; throws when it is wrong as a whole. */
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
    // Hidden already with something above it.
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
