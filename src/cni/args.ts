// CNI_ARGS: `K=V;K=V`.
import { Failure } from "../errors.ts";

export interface CniArgs {
  /** Values of the keys the plugin knows; the last one wins, as with Multus, which sends duplicates. */
  get(key: string): string | undefined;
}

const truths = new Map([
  ["1", true],
  ["true", true],
  ["0", false],
  ["false", false],
]);

function refuse(what: string, cure: string): never {
  throw new Failure("invalid environment", `ARGS: ${what}`, `CNI_ARGS: ${cure}`);
}

/**
 * Two passes, because IgnoreUnknown may stand anywhere (containerd writes its pairs in random order). `=` in a value (Multus), empty
 * values and empty pairs are fine. `strict` (ADD, CHECK) refuses what is malformed or unknown; otherwise it is passed over.
 * A plugin that knows no key ignores CNI_ARGS as a whole.
 */
export function parseArgs(text: string, known: readonly string[], strict: boolean): CniArgs {
  const values = new Map<string, string>();
  const unknown: string[] = [];
  let ignoreUnknown = false;
  for (const pair of known.length === 0 ? [] : text.split(";")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const key = pair.slice(0, Math.max(equals, 0));
    const value = pair.slice(equals + 1);
    if (equals < 0) {
      if (strict) refuse(`invalid pair ${quote(pair)}`, "Write pairs as K=V, separated by semicolons.");
    } else if (known.includes(key)) {
      values.set(key, value);
    } else if (key === "IgnoreUnknown") {
      const truth = truths.get(value.toLowerCase());
      if (truth === undefined && strict) {
        refuse(
          `error parsing value of pair ${quote(pair)}: boolean unmarshal error: invalid input ${value}`,
          "Write 1 or 0.",
        );
      }
      ignoreUnknown = truth === true;
    } else {
      unknown.push(pair);
    }
  }
  if (strict && unknown.length > 0 && !ignoreUnknown) {
    const names = unknown.slice(0, 8).map(quote).join(" ");
    refuse(`unknown args [${names}]`, `Known arguments: ${known.join(", ")}. IgnoreUnknown=1 ignores all others.`);
  }
  return { get: (key) => values.get(key) };
}

function quote(pair: string): string {
  return JSON.stringify(pair.length > 64 ? `${pair.slice(0, 64)}…` : pair);
}
