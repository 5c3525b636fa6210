// A hostile file can contain 200,000 errors. Errors beyond a limit are counted but not listed.
import type { Level } from "./finding.ts";

/** Maximum number of listed findings of one level in one file, and of those with the same text. */
export const LISTED = 200;
export const LISTED_EQUAL = 20;

/** The number of findings that are not listed. */
export type Omitted = { [level in Level]: number };

/** The first findings of each level, in their order, and the number of the others. */
export function cut<T extends { level: Level; text: string }>(findings: T[]): { listed: T[]; omitted: Omitted } {
  const omitted: Omitted = { error: 0, warning: 0, note: 0 };
  const ofLevel: { [level in Level]: number } = { error: 0, warning: 0, note: 0 };
  const equal = new Map<string, number>();
  const listed = findings.filter(({ level, text }) => {
    const key = `${level} ${text}`;
    const before = equal.get(key) ?? 0;
    equal.set(key, before + 1);
    if (before < LISTED_EQUAL && ofLevel[level] < LISTED) {
      ofLevel[level]++;
      return true;
    }
    omitted[level]++;
    return false;
  });
  return { listed, omitted };
}
