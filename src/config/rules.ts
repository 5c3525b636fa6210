// Runs a plugin's own rules. A call stops at the first violated rule. `podnic validate` continues and lists all of them.
import { Failure } from "../errors.ts";

/**
 * Runs one rule. `at` is the JSON pointer of the value that the rule is about; of what should hold it when it is missing. Returns what
 * the rule returns, or undefined when it is broken and the caller goes on nevertheless: a rule whose result matters returns something
 * else. Of nested rules the innermost counts.
 */
export type Try = <T>(at: string, rule: () => T) => T | undefined;

/** Of a call: what a rule throws ends it. */
export const orFail: Try = (_at, rule) => rule();

/** Of a call that cleans up: it goes on without what is wrong. */
export const orNothing: Try = (_at, rule) => {
  try {
    return rule();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return undefined;
  }
};
