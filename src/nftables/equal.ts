// Compares two rules.
import type { Expression } from "./expression.ts";

/** Whether two rules have the same expressions. Ignores counters. */
export function sameExpressions(a: Expression[], b: Expression[]): boolean {
  return equal(withoutCounters(a), withoutCounters(b));
}

function withoutCounters(expressions: Expression[]): Expression[] {
  return expressions.filter(({ counter }) => counter === undefined);
}

function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => equal((a as { [key: string]: unknown })[key], (b as { [key: string]: unknown })[key]))
  );
}
