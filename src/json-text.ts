// JSON for stdout, which may be a terminal: JSON.stringify leaves DEL, the C1 controls (U+009B begins commands to a terminal) and the line
// separators as they are. The texts in it come from configurations, state files and other plugins.

import { host } from "./host/host.ts";

const CONTROL = /[\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same value to every reader. */
export function jsonText(value: unknown, indent: number): string {
  const text = JSON.stringify(value, undefined, indent);
  // ASCII, as nearly all is: two native calls instead of a pattern that is tried at each character.
  if (host.encode(text).length === text.length && !text.includes("\u007f")) return text;
  return text.replace(CONTROL, escaped);
}
