// Runs a plugin's own rules. A call stops at the first violated rule. `podnic validate` continues and lists all of them.
import { Failure } from "../errors.ts";

/**
 * Runs one rule. `at` is the JSON pointer of the value that the rule checks, or of the object that should contain it. Returns the rule's
 * result, or undefined if the rule is broken and the caller continues anyway. A rule whose result the caller needs must therefore not return
 * undefined. If rules are nested, the innermost broken one is reported.
 */
export type Try = <T>(at: string, rule: () => T) => T | undefined;

/** For calls: a broken rule ends the call, because its error is not caught. */
export const orFail: Try = (_at, rule) => rule();

/** For calls that clean up: ignores a broken rule, and continues without the value. */
export const orNothing: Try = (_at, rule) => {
  try {
    return rule();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return undefined;
  }
};
