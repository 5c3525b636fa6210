// An error in a configuration, before its position in the file is known.

export type Level = "error" | "warning" | "note";

export interface Finding {
  level: Level;
  /** JSON pointer of the wrong value, or of the object that lacks a key. */
  pointer: string;
  /** True if the message should point to the key instead of the value. */
  atKey?: boolean;
  /** What is wrong and what was expected. */
  text: string;
  /** How to correct it, or "". */
  cure: string;
}

export function finding(level: Level, pointer: string, text: string, cure = ""): Finding {
  return { level, pointer, text, cure };
}

/** Removes duplicates: if two schemas describe a key, both report it. */
export function unique(findings: Finding[]): Finding[] {
  const first = new Map(findings.map((each) => [`${each.pointer} ${each.text}`, each] as const).reverse());
  return findings.filter((each) => first.get(`${each.pointer} ${each.text}`) === each);
}
