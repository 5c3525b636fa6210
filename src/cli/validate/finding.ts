// An error in a configuration, before its position in the file is known.

export type Level = "error" | "warning" | "note";

export interface Finding {
  level: Level;
  /** JSON pointer of the value to blame; of what should hold it when it is missing. */
  pointer: string;
  /** Point at the key and not at its value. */
  atKey?: boolean;
  /** What is wrong and what was expected. */
  text: string;
  /** What to do about it, or "". */
  cure: string;
}

export function finding(level: Level, pointer: string, text: string, cure = ""): Finding {
  return { level, pointer, text, cure };
}

/** A key that two schemas describe is reported by both. */
export function unique(findings: Finding[]): Finding[] {
  const first = new Map(findings.map((each) => [`${each.pointer} ${each.text}`, each] as const).reverse());
  return findings.filter((each) => first.get(`${each.pointer} ${each.text}`) === each);
}
