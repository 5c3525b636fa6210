// CNI_ARGS: `K=V;K=V`.
import { Failure } from "../errors.ts";

export interface CniArgs {
  /** The value of a key that the plugin knows. If CNI_ARGS repeats a key, as Multus does, the last value wins. */
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
 * Parses CNI_ARGS. Decides about unknown keys at the end, because IgnoreUnknown can be anywhere (containerd writes the pairs in random
 * order). Accepts `=` in a value (Multus), empty values and empty pairs. If `strict` (ADD, CHECK), throws Failure("invalid environment") for
 * malformed pairs and unknown keys; otherwise ignores them. If the plugin knows no keys, ignores CNI_ARGS completely.
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
